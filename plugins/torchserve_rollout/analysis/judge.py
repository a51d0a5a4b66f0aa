"""The judge: alarms × accumulated measurements → verdicts. Pure, deterministic and replayable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from torchserve_rollout.analysis.bounds import Bound, bounds_of
from torchserve_rollout.analysis.case import Case
from torchserve_rollout.analysis.observed import WrongSample
from torchserve_rollout.analysis.samples import Measurement, Pairs, Sample
from torchserve_rollout.analysis.verdict import AlarmVerdict, Judgement, Verdict, worst
from torchserve_rollout.spec.metric import signal_of
from torchserve_rollout.spec.schema import AlarmSpec, NoData, RolloutSpec
from torchserve_rollout.spec.signals import CATALOGUE, Kind, Signal, Unit, Worse
from torchserve_rollout.units import format_duration

JUDGE: Final = "torchserve-rollout-judge/3"
_NOTHING: Final[Mapping[float, Mapping[str, Measurement]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class AlarmClock:
    """What time it is, and since when, by name, alarms with plain rules have been broken without a break."""

    now: datetime | None = None
    since: Mapping[str, datetime] = field(default_factory=dict)

    def broken_since(self, alarm: str) -> datetime | None:
        """Since when; now for one that was not broken before."""
        return self.since.get(alarm, self.now)

    def seconds_since(self, moment: datetime | None) -> float:
        """Seconds from ``moment`` to now; 0 without a clock."""
        return (self.now - moment).total_seconds() if self.now is not None and moment is not None else 0.0


NO_CLOCK: Final = AlarmClock()


def judge(
    spec: RolloutSpec,
    ledger: Mapping[str, Measurement],
    *,
    is_bake_over: bool = False,
    catalogue: Mapping[str, Signal] = CATALOGUE,
    recent: Mapping[float, Mapping[str, Measurement]] = _NOTHING,
    clock: AlarmClock = NO_CLOCK,
    share: float = 1.0,
    is_brief: bool = False,
) -> Judgement:
    """Every alarm of ``spec`` on the measurements of one window.

    ``ledger`` comes from :func:`~torchserve_rollout.analysis.samples.accumulate`. ``is_bake_over`` lets ``no_data:
    pass`` and ``no_data: fail`` speak; before that, too few samples are simply not enough yet.

    The false-alarm chance 1 − ``confidence`` is for the whole rollout: it is shared over all alarms and over all
    windows (the steps, and the time after promotion), and the tests pay for looking at every tick. Plain rules make no
    such promise and take no share of it.

    Args:
        recent: for each ``window`` of an alarm, in seconds, the measurements of that much time.
        clock: what time it is, and since when plain rules are broken.
        share: how much of the window's chance of a false alarm this look at it may use up, 0–1.
        is_brief: leave the intervals out, for thousands of simulated looks.
    """
    shared = _Shared(spec, is_bake_over, catalogue, clock, share, is_brief)
    alarms = tuple(
        shared.judge(alarm, ledger if alarm.window is None else recent.get(alarm.window, {})) for alarm in spec.alarms
    )
    return judgement_of(alarms)


def judgement_of(alarms: tuple[AlarmVerdict, ...]) -> Judgement:
    """What the alarms say together; rehearsals do not count."""
    counting = tuple(alarm for alarm in alarms if not alarm.is_dry_run)
    return Judgement(worst(alarm.verdict for alarm in counting), alarms, _summary(counting), JUDGE)


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the judgement of every alarm needs."""

    spec: RolloutSpec
    is_bake_over: bool
    catalogue: Mapping[str, Signal]
    clock: AlarmClock
    share: float
    is_brief: bool

    def judge(self, alarm: AlarmSpec, ledger: Mapping[str, Measurement]) -> AlarmVerdict:
        """One alarm on what was measured for it."""
        measured = ledger.get(alarm.signal_key, Measurement(alarm.signal_name))
        signal = signal_of(alarm, self.catalogue)
        if signal is None:
            unknown = Signal(alarm.signal, Kind.RATE, Unit.SCORE, Worse.HIGHER, "")
            return Case(alarm, unknown, None, None).verdict(Verdict.ERROR, f"no source measures {alarm.signal}")
        nothing = Case(alarm, signal, None, None)
        if measured.error:
            return nothing.verdict(Verdict.ERROR, f"{signal.name} could not be measured: {measured.error}")
        case = Case(alarm, signal, measured.candidate, _of_stable(measured), measured.blocks, self.is_brief)
        try:
            too_few = _too_few(case)
            return _without_data(case, too_few, self.is_bake_over) if too_few else self._with_data(case)
        except WrongSample as error:
            return nothing.verdict(Verdict.ERROR, str(error))

    def _with_data(self, case: Case) -> AlarmVerdict:
        """FAIL when a bound is proven broken, PASS when what is observed obeys all of them, open in between."""
        bounds = list(bounds_of(case))
        if not bounds:
            return case.verdict(Verdict.INCONCLUSIVE, f"{case.seen()}, which says nothing yet")
        needed = math.log(self._tests * self._windows * len(bounds) / self.share / (1 - case.alarm.confidence))
        proven = max((bound for bound in bounds if bound.log_e >= needed), key=lambda bound: bound.log_e, default=None)
        if proven is not None and proven.log_e == math.inf:
            return self._broken(case, proven)
        if proven is not None:
            once_in = math.exp(min(proven.log_e - needed, 60.0)) / (1 - case.alarm.confidence)
            return case.verdict(Verdict.FAIL, f"{_against(case, proven)}. {_how_sure(once_in)}")
        doubtful = next((bound for bound in bounds if not bound.is_obeyed), None)
        if doubtful is not None:
            return case.verdict(
                Verdict.INCONCLUSIVE, f"{_against(case, doubtful)}. That looks bad, but so few samples do not prove it"
            )
        return case.verdict(Verdict.PASS, f"{_against(case, *bounds)}")

    def _broken(self, case: Case, bound: Bound) -> AlarmVerdict:
        """A plain rule is broken; it fires once that has held for as long as the alarm asks."""
        said = _against(case, bound)
        asked_s = case.alarm.for_s or 0.0
        if not asked_s:
            return case.verdict(Verdict.FAIL, said)
        since = self.clock.broken_since(case.alarm.name)
        held_s = self.clock.seconds_since(since)
        if held_s >= asked_s:
            return case.verdict(Verdict.FAIL, f"{said}. Broken for {format_duration(round(held_s))}", since)
        passed = f"Broken for {format_duration(round(held_s))} of {format_duration(asked_s)}"
        return case.verdict(Verdict.INCONCLUSIVE, f"{said}. {passed}", since)

    @property
    def _tests(self) -> int:
        """How many alarms share the chance of a false alarm: those that make tests, and can do harm."""
        tested = [alarm for alarm in self.spec.alarms if not alarm.dry_run and not self._is_plain(alarm)]
        return max(1, len(tested))

    def _is_plain(self, alarm: AlarmSpec) -> bool:
        signal = signal_of(alarm, self.catalogue)
        is_rare = signal is not None and signal.kind is Kind.COUNT and alarm.worse_than_stable_ratio is not None
        return alarm.is_timed or (signal is not None and signal.kind.is_plain and not is_rare)

    @property
    def _windows(self) -> int:
        return len(self.spec.steps) + 1


def _of_stable(measured: Measurement) -> Sample | None:
    """Stable's samples; pairs hold those of both."""
    return measured.candidate.swapped() if isinstance(measured.candidate, Pairs) else measured.stable


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


def _against(case: Case, *bounds: Bound) -> str:
    """What was seen, and what is allowed."""
    return f"{case.seen()}. Allowed: {' and '.join(bound.rule for bound in bounds)}"


def _how_sure(once_in: float) -> str:
    """How rarely a harmless version looks like this, over whole rollouts: at its weakest as rarely as asked for."""
    return f"A harmless version would look like this less than once in {_round(once_in * (1 + 1e-9))} rollouts"


def _round(number: float) -> str:
    """Two leading digits, the rest zeros: 12,345 is 12,000."""
    digits = max(0, math.floor(math.log10(max(number, 1.0))) - 1)
    rounded = int(number // 10**digits) * 10**digits
    return f"{rounded:,}" if rounded < 1_000_000 else "a million"


def _summary(alarms: tuple[AlarmVerdict, ...]) -> str:
    """The worst alarms' own sentences, else that all is well."""
    if not alarms:
        return "no alarm has anything to look at"
    overall = worst(alarm.verdict for alarm in alarms)
    if overall is Verdict.PASS:
        return f"{', '.join(alarm.alarm for alarm in alarms)} pass" if len(alarms) > 1 else f"{alarms[0].alarm} passes"
    return "; ".join(alarm.sentence for alarm in alarms if alarm.verdict is overall)
