"""What the journal holds, as types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from torchserve_rollout.analysis.samples import TickEvidence
from torchserve_rollout.analysis.verdict import AlarmVerdict
from torchserve_rollout.machine.state import Command, RolloutState
from torchserve_rollout.model import ModelName, RolloutId, VersionName, Word
from torchserve_rollout.spec.schema import RolloutSpec


class EventKind(Word):
    """What one line of the journal tells."""

    ACCEPTED = "accepted"
    DECIDED = "decided"
    """An intent: written before the actions it names are done."""
    DONE = "done"
    FAILED = "failed"
    COMMAND = "command"
    VERDICT = "verdict"
    DRIFT = "drift"
    NOTIFIED = "notified"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A line about to be written. ``data`` of a DECIDED or ACCEPTED event holds the whole state under ``state``."""

    kind: EventKind
    sentence: str
    verdict: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the journal. ``seq`` grows over all rollouts and is never used twice."""

    seq: int
    rollout_id: RolloutId
    at: datetime
    kind: EventKind
    sentence: str
    phase: str
    weight_pct: float
    verdict: str | None
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RolloutRecord:
    """One rollout: what was asked for, and where it stands.

    ``spec_text`` is the spec as YAML; ``sentence`` what its last tick said, fresher than the reason in ``state``.
    """

    spec: RolloutSpec
    spec_text: str
    created_at: datetime
    started_by: str
    state: RolloutState
    ended_at: datetime | None = None
    alarms: tuple[AlarmVerdict, ...] = ()
    sentence: str = ""

    @property
    def id(self) -> RolloutId:
        return self.state.rollout_id

    @property
    def model(self) -> ModelName:
        return self.state.model


@dataclass(frozen=True, slots=True)
class PendingCommand:
    """A person's request that no tick has taken yet."""

    id: int
    command: Command


@dataclass(frozen=True, slots=True)
class CompletedVersion:
    """A version that went all the way, or was found as the default when its model's first rollout began.

    ``rollout_id`` is the rollout that completed it, or the one that found it.
    """

    model: ModelName
    version: VersionName
    workers: int
    at: datetime
    rollout_id: RolloutId


@dataclass(frozen=True, slots=True)
class TickRecord:
    """All that one tick adds to the journal, written in one transaction, before anything is done."""

    at: datetime
    state: RolloutState
    events: tuple[NewEvent, ...] = ()
    taken_commands: tuple[int, ...] = ()
    alarms: tuple[AlarmVerdict, ...] = ()
    evidence: TickEvidence | None = None
    completed: CompletedVersion | None = None
    sentence: str = ""
