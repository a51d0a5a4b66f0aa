"""The judge: alarms × accumulated measurements → verdicts. Pure, deterministic and replayable."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from torchserve_rollout.analysis.compare import evidence_worse
from torchserve_rollout.analysis.observed import WrongSample, counted, observed
from torchserve_rollout.analysis.samples import Measurement, Sample
from torchserve_rollout.analysis.threshold import evidence_above, evidence_below
from torchserve_rollout.analysis.verdict import AlarmVerdict, Judgement, Verdict, worst
from torchserve_rollout.spec.plan import format_value, rule_in_words
from torchserve_rollout.spec.schema import AlarmSpec, NoData, RolloutSpec
from torchserve_rollout.spec.signals import CATALOGUE, Signal, Worse

JUDGE: Final = "torchserve-rollout-judge/1"
# A candidate worse by exactly the margin obeys it: 0.9 − 0.8 is not more than 0.1.
_ROUNDING: Final = 1e-9


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


@dataclass(frozen=True, slots=True)
class _Case:
    """One alarm and what was measured for it."""

    alarm: AlarmSpec
    signal: Signal
    candidate: Sample | None
    stable: Sample | None

    @property
    def is_comparison(self) -> bool:
        return self.alarm.worse_than_stable_by is not None

    def verdict(self, verdict: Verdict, sentence: str) -> AlarmVerdict:
        return AlarmVerdict(
            alarm=self.alarm.name,
            signal=self.alarm.signal_key,
            verdict=verdict,
            candidate=observed(self.signal, self.candidate),
            stable=observed(self.signal, self.stable),
            candidate_n=self.candidate.n if self.candidate else 0,
            stable_n=self.stable.n if self.stable else 0,
            rule=rule_in_words(self.alarm),
            sentence=f"{self.alarm.name}: {sentence}",
            action=str(self.alarm.action),
        )

    def seen(self) -> str:
        """``error_rate is 12 % (6 of 50) against 0.1 % (1 of 950) of stable``."""
        said = f"{self.signal.name} is {self._value(self.candidate)}"
        return f"{said} against {self._value(self.stable)} of stable" if self.is_comparison else said

    def _value(self, sample: Sample | None) -> str:
        value = observed(self.signal, sample)
        if value is None:
            return "unknown (no samples)"
        return f"{format_value(value, self.signal.unit)} ({counted(self.signal, sample)})"


def _judge_alarm(
    alarm: AlarmSpec,
    spec: RolloutSpec,
    ledger: Mapping[str, Measurement],
    is_bake_over: bool,
    catalogue: Mapping[str, Signal],
) -> AlarmVerdict:
    measured = ledger.get(alarm.signal_key, Measurement(alarm.signal))
    signal = catalogue.get(alarm.signal)
    if signal is None:
        sentence = f"{alarm.name}: no source measures {alarm.signal}"
        rule = rule_in_words(alarm)
        action = str(alarm.action)
        return AlarmVerdict(alarm.name, alarm.signal, Verdict.ERROR, None, None, 0, 0, rule, sentence, action)
    case = _Case(alarm, signal, measured.candidate, measured.stable)
    if measured.error:
        return _Case(alarm, signal, None, None).verdict(
            Verdict.ERROR, f"{signal.name} could not be measured: {measured.error}"
        )
    try:
        too_few = _too_few(case)
        return _without_data(case, too_few, is_bake_over) if too_few else _with_data(case, spec)
    except WrongSample as error:
        return _Case(alarm, signal, None, None).verdict(Verdict.ERROR, str(error))


def _too_few(case: _Case) -> str:
    """Which cohort has fewer samples than the alarm asks for; empty when none has."""
    needed = case.alarm.min_samples
    sizes = {"the candidate": case.candidate.n if case.candidate else 0}
    if case.is_comparison:
        sizes["stable"] = case.stable.n if case.stable else 0
    short = [f"{who} has {n}" for who, n in sizes.items() if n < needed]
    return f"{' and '.join(short)} of {needed} samples" if short else ""


def _without_data(case: _Case, too_few: str, is_bake_over: bool) -> AlarmVerdict:
    if is_bake_over and case.alarm.no_data is NoData.PASS:
        return case.verdict(Verdict.PASS, f"{too_few}, and the spec lets that pass")
    if is_bake_over and case.alarm.no_data is NoData.FAIL:
        return case.verdict(Verdict.FAIL, f"{too_few} at the end of the bake, and the spec takes that for a failure")
    return case.verdict(Verdict.INCONCLUSIVE, f"{too_few}")


def _with_data(case: _Case, spec: RolloutSpec) -> AlarmVerdict:
    """FAIL when a bound is proven broken, PASS when what is observed obeys all of them, open in between."""
    bounds = list(_bounds(case))
    windows = len(spec.steps) + 1
    needed = math.log(len(spec.alarms) * windows * len(bounds) / (1 - case.alarm.confidence))
    proven = max((bound for bound in bounds if bound.log_e >= needed), key=lambda bound: bound.log_e, default=None)
    if proven is not None:
        chance = f"the chance of a false alarm is below 1 in {_round(math.exp(min(proven.log_e, 60.0)))}"
        return case.verdict(Verdict.FAIL, f"{case.seen()}, {proven.rule} is broken; {chance}")
    doubtful = next((bound for bound in bounds if not bound.is_obeyed), None)
    if doubtful is not None:
        return case.verdict(
            Verdict.INCONCLUSIVE, f"{case.seen()}, {doubtful.rule} looks broken, but so few samples do not prove it"
        )
    return case.verdict(Verdict.PASS, f"{case.seen()}, the rule holds")


@dataclass(frozen=True, slots=True)
class _Bound:
    """One bound of an alarm: log E against it being kept, whether the observed values keep it, and its words."""

    log_e: float
    is_obeyed: bool
    rule: str


def _bounds(case: _Case) -> Iterator[_Bound]:
    alarm, signal, candidate = case.alarm, case.signal, case.candidate
    value = observed(signal, candidate)
    if candidate is None or value is None:
        return
    if alarm.max is not None:
        rule = f"at most {format_value(alarm.max, signal.unit)}"
        yield _Bound(evidence_above(signal, candidate, alarm.max), value <= alarm.max, rule)
    if alarm.min is not None:
        rule = f"at least {format_value(alarm.min, signal.unit)}"
        yield _Bound(evidence_below(signal, candidate, alarm.min), value >= alarm.min, rule)
    of_stable = observed(signal, case.stable)
    if alarm.worse_than_stable_by is not None and case.stable is not None and of_stable is not None:
        margin = alarm.worse_than_stable_by
        worse_by = value - of_stable if signal.worse is Worse.HIGHER else of_stable - value
        rule = f"not worse than stable by more than {format_value(margin, signal.unit)}"
        yield _Bound(evidence_worse(signal, case.stable, candidate, margin), worse_by <= margin + _ROUNDING, rule)


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
