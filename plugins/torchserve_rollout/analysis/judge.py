"""The judge: alarms × accumulated measurements → verdicts. Pure, deterministic and replayable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from torchserve_rollout.analysis.bounds import bounds_of
from torchserve_rollout.analysis.case import Case
from torchserve_rollout.analysis.observed import WrongSample
from torchserve_rollout.analysis.samples import Measurement
from torchserve_rollout.analysis.verdict import AlarmVerdict, Judgement, Verdict, worst
from torchserve_rollout.spec.metric import signal_of
from torchserve_rollout.spec.plan import rule_in_words
from torchserve_rollout.spec.schema import AlarmSpec, NoData, RolloutSpec
from torchserve_rollout.spec.signals import CATALOGUE, Signal

JUDGE: Final = "torchserve-rollout-judge/1"


def judge(
    spec: RolloutSpec,
    ledger: Mapping[str, Measurement],
    *,
    is_bake_over: bool = False,
    catalogue: Mapping[str, Signal] = CATALOGUE,
) -> Judgement:
    """Every alarm of ``spec`` on the measurements of one window.

    ``ledger`` comes from :func:`~torchserve_rollout.analysis.samples.accumulate`. ``is_bake_over`` lets ``no_data:
    pass`` and ``no_data: fail`` speak; before that, too few samples are simply not enough yet.

    The false-alarm chance 1 − ``confidence`` is for the whole rollout: it is shared over all alarms and over all
    windows (the steps, and the time after promotion), and the tests pay for looking at every tick.
    """
    alarms = tuple(_judge_alarm(alarm, spec, ledger, is_bake_over, catalogue) for alarm in spec.alarms)
    return Judgement(worst(alarm.verdict for alarm in alarms), alarms, _summary(alarms), JUDGE)


def _judge_alarm(
    alarm: AlarmSpec,
    spec: RolloutSpec,
    ledger: Mapping[str, Measurement],
    is_bake_over: bool,
    catalogue: Mapping[str, Signal],
) -> AlarmVerdict:
    measured = ledger.get(alarm.signal_key, Measurement(alarm.signal_name))
    signal = signal_of(alarm, catalogue)
    if signal is None:
        sentence = f"{alarm.name}: no source measures {alarm.signal}"
        rule = rule_in_words(alarm)
        action = str(alarm.action)
        return AlarmVerdict(alarm.name, alarm.signal, Verdict.ERROR, None, None, 0, 0, rule, sentence, action)
    case = Case(alarm, signal, measured.candidate, measured.stable)
    if measured.error:
        return Case(alarm, signal, None, None).verdict(
            Verdict.ERROR, f"{signal.name} could not be measured: {measured.error}"
        )
    try:
        too_few = _too_few(case)
        return _without_data(case, too_few, is_bake_over) if too_few else _with_data(case, spec)
    except WrongSample as error:
        return Case(alarm, signal, None, None).verdict(Verdict.ERROR, str(error))


def _too_few(case: Case) -> str:
    """Which cohort has fewer samples than the alarm asks for; empty when none has."""
    needed = case.needed
    sizes = {"the candidate": case.candidate.n if case.candidate else 0}
    if case.is_comparison:
        sizes["stable"] = case.stable.n if case.stable else 0
    short = [f"{who} has {n}" for who, n in sizes.items() if n < needed]
    return f"{' and '.join(short)} of {needed} samples" if short else ""


def _without_data(case: Case, too_few: str, is_bake_over: bool) -> AlarmVerdict:
    if is_bake_over and case.alarm.no_data is NoData.PASS:
        return case.verdict(Verdict.PASS, f"{too_few}, and the spec lets that pass")
    if is_bake_over and case.alarm.no_data is NoData.FAIL:
        return case.verdict(Verdict.FAIL, f"{too_few} at the end of the bake, and the spec takes that for a failure")
    return case.verdict(Verdict.INCONCLUSIVE, f"{too_few}")


def _with_data(case: Case, spec: RolloutSpec) -> AlarmVerdict:
    """FAIL when a bound is proven broken, PASS when what is observed obeys all of them, open in between."""
    bounds = list(bounds_of(case))
    if not bounds:
        return case.verdict(Verdict.INCONCLUSIVE, f"{case.seen()}, which says nothing yet")
    windows = len(spec.steps) + 1
    needed = math.log(len(spec.alarms) * windows * len(bounds) / (1 - case.alarm.confidence))
    proven = max((bound for bound in bounds if bound.log_e >= needed), key=lambda bound: bound.log_e, default=None)
    if proven is not None and case.is_plain:
        return case.verdict(Verdict.FAIL, f"{case.seen()}, {proven.rule} is broken")
    if proven is not None:
        chance = f"the chance of a false alarm is below 1 in {_round(math.exp(min(proven.log_e, 60.0)))}"
        return case.verdict(Verdict.FAIL, f"{case.seen()}, {proven.rule} is broken; {chance}")
    doubtful = next((bound for bound in bounds if not bound.is_obeyed), None)
    if doubtful is not None:
        return case.verdict(
            Verdict.INCONCLUSIVE, f"{case.seen()}, {doubtful.rule} looks broken, but so few samples do not prove it"
        )
    return case.verdict(Verdict.PASS, f"{case.seen()}, the rule holds")


def _round(number: float) -> str:
    """Two leading digits, the rest zeros: 12,345 is 12,000."""
    digits = max(0, math.floor(math.log10(max(number, 1.0))) - 1)
    rounded = int(number // 10**digits) * 10**digits
    return f"{rounded:,}" if rounded < 1_000_000 else "a million"


def _summary(alarms: tuple[AlarmVerdict, ...]) -> str:
    """The worst alarms' own sentences, else that all is well."""
    if not alarms:
        return "no alarms are set"
    overall = worst(alarm.verdict for alarm in alarms)
    if overall is Verdict.PASS:
        return f"{', '.join(alarm.alarm for alarm in alarms)} pass" if len(alarms) > 1 else f"{alarms[0].alarm} passes"
    return "; ".join(alarm.sentence for alarm in alarms if alarm.verdict is overall)
