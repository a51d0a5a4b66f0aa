"""The four verdicts, their order, and what a verdict carries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

Interval = tuple[float, float | None]
"""From … to; None: nothing bounds it above."""

_SEVERITIES = ("critical", "warning", "info")


class Verdict(IntEnum):
    """Ordered from best to worst; combining is taking the worst. No data is INCONCLUSIVE, never PASS."""

    PASS = 0
    INCONCLUSIVE = 1
    ERROR = 2
    FAIL = 3


@dataclass(frozen=True, slots=True)
class AlarmVerdict:
    """One alarm's judgement with everything a person needs to check it.

    ``candidate`` and ``stable`` are the observed values in the signal's unit (None: no data),
    ``candidate_interval``/``stable_interval`` where the true values are with the alarm's confidence (None: the value
    is a fact, or there is no data), ``candidate_n``/``stable_n`` the samples behind them, ``rule`` the rule in words,
    ``sentence`` the whole story in one sentence. ``broken_since`` is when a plain value broke its bound without having
    kept it since.
    """

    alarm: str
    signal: str
    verdict: Verdict
    candidate: float | None
    stable: float | None
    candidate_n: int
    stable_n: int
    rule: str
    sentence: str
    action: str = "rollback"
    severity: str = "critical"
    is_dry_run: bool = False
    broken_since: datetime | None = None
    candidate_interval: Interval | None = None
    stable_interval: Interval | None = None

    @property
    def is_blocking(self) -> bool:
        """Whether the rollout waits for it to pass."""
        return self.action != "notify" and not self.is_dry_run


@dataclass(frozen=True, slots=True)
class Judgement:
    """All alarms of one tick. ``judge`` names the judge and its version; it is stored with every verdict."""

    verdict: Verdict
    alarms: tuple[AlarmVerdict, ...]
    sentence: str
    judge: str

    def failing(self) -> tuple[AlarmVerdict, ...]:
        """The alarms that fired and are not only rehearsed; the gravest first."""
        fired = [alarm for alarm in self.alarms if alarm.verdict is Verdict.FAIL and not alarm.is_dry_run]
        return tuple(sorted(fired, key=lambda alarm: _SEVERITIES.index(alarm.severity)))


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of several; PASS when there is nothing to judge."""
    return max(verdicts, default=Verdict.PASS)
