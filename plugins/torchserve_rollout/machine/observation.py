"""What one tick saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torchserve_rollout.machine.actions import ActionResult
from torchserve_rollout.machine.alerts import Alert
from torchserve_rollout.model import NodeName, NodeStatus, RolloutId, VersionName


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate of the spec, run against the candidate."""

    probe: str
    score: float
    min_score: float
    prompts: int
    error: str = ""

    @property
    def is_passed(self) -> bool:
        return not self.error and self.score >= self.min_score


@dataclass(frozen=True, slots=True)
class Successor:
    """A later rollout of the same model, and the versions it needs."""

    rollout_id: RolloutId
    versions: frozenset[VersionName]


@dataclass(frozen=True, slots=True)
class Observation:
    """The world at one tick.

    ``candidate_requests`` counts the candidate's attempts since the current step began. ``results`` are the
    outcomes of the actions of the previous tick. ``gates`` is None until the gates have run.
    """

    nodes: Mapping[NodeName, NodeStatus]
    results: tuple[ActionResult, ...] = ()
    gates: tuple[GateResult, ...] | None = None
    candidate_requests: int = 0
    archive_problem: str = ""
    """Why the candidate's archive cannot be used (missing, digest differs); empty when it can."""
    alerts: tuple[Alert, ...] = ()
    """Alerts about the candidate that fire now, judged elsewhere."""
    successor: Successor | None = None
    """The rollout that came after this one; looked for after success only."""
    stable_in_flight: int | None = None
    """Requests in flight on stable, as the gateways count them; None when they cannot be asked."""


@dataclass(frozen=True, slots=True)
class StableHealth:
    """Whether the rollback target could take the traffic: loaded and ready on every reachable node."""

    is_ready: bool
    sentence: str
    by_node: Mapping[NodeName, bool] = field(default_factory=dict)
