"""What the controller remembers of one rollout. Everything else it observes anew each tick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from torchserve_rollout.machine.phases import PauseReason, Phase
from torchserve_rollout.model import ModelName, NodeName, RolloutId, VersionName, Word


@dataclass(frozen=True, slots=True)
class RolloutState:
    """One rollout between two ticks.

    ``stable`` is the rollback target: the last version that *completed*; None for a model's first version.
    ``step_index`` counts from 0; −1 before the first step. ``step_since`` is when the current weight
    was in force, ``probed`` names the nodes on which the candidate answered its probe. ``inconclusive_since`` is when
    the bake was over and the verdict still was not PASS. ``resume_phase`` is where a HELD rollout came from.
    """

    rollout_id: RolloutId
    model: ModelName
    stable: VersionName | None
    candidate: VersionName
    phase: Phase
    phase_since: datetime
    reason: str
    step_index: int = -1
    step_since: datetime | None = None
    weight_pct: float = 0.0
    epoch: int = 0
    pause_reasons: frozenset[PauseReason] = frozenset()
    probed: frozenset[NodeName] = frozenset()
    inconclusive_since: datetime | None = None
    resume_phase: Phase | None = None
    baseline_since: datetime | None = None
    """Since when stable's samples count while stable gets no requests itself: the last window in which it did."""
    broken_since: Mapping[str, datetime] = field(default_factory=dict)
    """Since when the plain rules of alarms have been broken, by the alarm's name."""
    baselines: Mapping[str, float] = field(default_factory=dict)
    """By the name of the alarm, what was seen on stable where it fired before the start."""
    blind_since: datetime | None = None
    """Since when a source cannot measure what an alarm needs."""
    troubled_since: datetime | None = None
    """Since when the candidate, or its weight, is not as it must be on some node; None while all is well."""
    drain_since: datetime | None = None
    """On the way back: since when no node sends the candidate anything."""
    quiet_ticks: int = 0
    """On the way back: consecutive ticks in which the candidate had no request in flight."""
    uncut: frozenset[NodeName] = frozenset()
    """On the way back: the nodes whose gateway refused the policy that gives the candidate nothing."""
    is_closing: bool = False
    """All is done but for removing the traffic policy; after success, but for letting the prior version go."""
    is_bake_waived: bool = False
    """A person ended the final bake early."""
    warm_until: datetime | None = None
    """After success: until when alarms stay armed and the prior version is kept warm; None once it was let go."""
    ended_by: str = ""
    """What caused the way back: ``alarm:<name>``, ``operator``, ``prepare``, ``breaker``; empty while all is well."""

    @property
    def is_watched(self) -> bool:
        """It succeeded, and the prior version has not been let go."""
        return self.phase is Phase.SUCCEEDED and self.warm_until is not None

    @property
    def is_armed(self) -> bool:
        """Alarms can turn the rollout round."""
        return self.phase.is_armed or (self.is_watched and not self.is_closing)

    @property
    def is_over(self) -> bool:
        """Nothing is left to do."""
        return self.phase.is_terminal and not self.is_watched

    def evolve(self, **changes: Any) -> RolloutState:
        """A copy with some fields changed."""
        return replace(self, **changes)


class CommandKind(Word):
    """What a person can ask of a running rollout."""

    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ABORT = "abort"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Command:
    """One request of a person, taken from the inbox. ``actor`` says who (user, token name, runbook)."""

    kind: CommandKind
    actor: str
    reason: str
    at: datetime
