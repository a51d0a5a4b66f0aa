"""One alarm with what was measured for it, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from torchserve_rollout.analysis.blocks import Block
from torchserve_rollout.analysis.intervals import interval_of
from torchserve_rollout.analysis.observed import counted, observed
from torchserve_rollout.analysis.samples import Sample
from torchserve_rollout.analysis.verdict import AlarmVerdict, Interval, Verdict
from torchserve_rollout.spec.plan import format_value, rule_in_words
from torchserve_rollout.spec.schema import AlarmSpec
from torchserve_rollout.spec.signals import Kind, Signal
from torchserve_rollout.units import format_duration


@dataclass(frozen=True, slots=True)
class Case:
    """One alarm and what was measured for it. ``is_brief`` leaves the intervals out, which take most of the time."""

    alarm: AlarmSpec
    signal: Signal
    candidate: Sample | None
    stable: Sample | None
    blocks: tuple[Block, ...] = ()
    is_brief: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the value is taken as it is, with no statistics."""
        return self.alarm.is_timed or self.signal.kind.is_plain

    @property
    def needed(self) -> int:
        """Samples below which nothing passes and nothing fails; of a fact one is enough."""
        return 1 if self.signal.kind in (Kind.LEVEL, Kind.COUNT) else self.alarm.min_samples

    @property
    def is_comparison(self) -> bool:
        return self.alarm.is_comparison

    def verdict(self, verdict: Verdict, sentence: str, broken_since: datetime | None = None) -> AlarmVerdict:
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
            severity=str(self.alarm.severity),
            is_dry_run=self.alarm.dry_run,
            broken_since=broken_since,
            candidate_interval=self._interval(self.candidate),
            stable_interval=self._interval(self.stable),
        )

    def _interval(self, sample: Sample | None) -> Interval | None:
        if self.is_plain or self.is_brief:
            return None
        return interval_of(self.signal, sample, 1 - self.alarm.confidence)

    def seen(self) -> str:
        """``error_rate is 12 % (6 of 50); stable has 0.1 % (1 of 950)``."""
        over = f" over {format_duration(self.alarm.window)}" if self.alarm.window else ""
        said = f"{self.signal.name}{over} is {self._value(self.candidate)}"
        return f"{said}; stable has {self._value(self.stable)}" if self.is_comparison else said

    def _value(self, sample: Sample | None) -> str:
        value = observed(self.signal, sample)
        if value is None:
            return "unknown (no samples)"
        return f"{format_value(value, self.signal.unit)} ({counted(self.signal, sample)})"
