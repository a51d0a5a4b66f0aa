"""One tick as the phases see it: the state, the spec, what was observed and judged, and questions about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from torchserve_rollout.analysis.verdict import AlarmVerdict, Judgement, Verdict, worst
from torchserve_rollout.machine.actions import Action
from torchserve_rollout.machine.alerts import Alert
from torchserve_rollout.machine.observation import Observation
from torchserve_rollout.machine.phases import Phase, Trigger
from torchserve_rollout.machine.state import Command, RolloutState
from torchserve_rollout.machine.transitions import next_phase
from torchserve_rollout.model import NodeName, NodeStatus, VersionName
from torchserve_rollout.spec.plan import steps_of
from torchserve_rollout.spec.schema import AlarmAction, RolloutSpec, StepSpec


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from one tick. ``actions`` are carried out in their order, after ``state`` has been stored.

    ``reason`` is one sentence for a person; ``refused`` holds the commands that are not possible, each with why.
    """

    state: RolloutState
    actions: tuple[Action, ...]
    reason: str
    refused: tuple[tuple[Command, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Tick:
    """Everything a decision rests on. Nodes are visited in the order of their names."""

    state: RolloutState
    spec: RolloutSpec
    observation: Observation
    judgement: Judgement | None
    now: datetime

    @property
    def stable(self) -> VersionName | None:
        return self.state.stable

    @property
    def candidate(self) -> VersionName:
        return self.state.candidate

    @property
    def steps(self) -> Sequence[StepSpec]:
        return steps_of(self.spec, self.state.stable)

    @property
    def reachable(self) -> tuple[NodeStatus, ...]:
        nodes = self.observation.nodes
        return tuple(nodes[name] for name in sorted(nodes) if nodes[name].is_reachable)

    @property
    def unreachable(self) -> tuple[NodeName, ...]:
        return tuple(sorted(name for name, node in self.observation.nodes.items() if not node.is_reachable))

    @property
    def highest_epoch(self) -> int:
        """The highest epoch that we or any node know."""
        seen = [max(node.last_epoch, node.traffic.epoch if node.traffic else 0) for node in self.reachable]
        return max([self.state.epoch, *seen])

    def elapsed_s(self, since: datetime | None) -> float:
        """Seconds from ``since`` to now; 0 when it has not begun."""
        return max(0.0, (self.now - since).total_seconds()) if since else 0.0

    def can_serve(self, node: NodeStatus) -> bool:
        """The candidate is registered on ``node``, has workers, and answered its probe since it came up."""
        status = node.versions.get(self.candidate)
        return status is not None and status.workers > 0 and node.node in self.state.probed

    def stay(self, state: RolloutState, actions: Sequence[Action], reason: str) -> Decision:
        """Remain in the phase."""
        return Decision(state, tuple(actions), reason)

    def go(self, trigger: Trigger, reason: str, **changes: object) -> Decision:
        """Leave the phase, or begin its next step; the new phase acts within the same tick."""
        return Decision(moved(self.state, trigger, reason, self.now, changes), (), reason)

    # What was judged

    def firing(self, action: AlarmAction) -> tuple[AlarmVerdict, ...]:
        """The alarms that fired and ask for ``action``."""
        failing = self.judgement.failing() if self.judgement else ()
        return tuple(alarm for alarm in failing if alarm.action == action)

    def alerts(self, action: AlarmAction) -> tuple[Alert, ...]:
        """The alerts from elsewhere that fire and ask for ``action``."""
        return tuple(alert for alert in self.observation.alerts if alert.action is action)

    @property
    def erring(self) -> tuple[AlarmVerdict, ...]:
        """The alarms that matter and could not be measured."""
        alarms = self.judgement.alarms if self.judgement else ()
        return tuple(alarm for alarm in alarms if alarm.verdict is Verdict.ERROR and alarm.is_blocking)

    @property
    def blocking_verdict(self) -> Verdict:
        """The worst verdict of the alarms that can stop the rollout. Alarms without a judgement are INCONCLUSIVE."""
        watched = [alarm for alarm in self.spec.alarms if alarm.is_blocking]
        if not watched:
            return Verdict.PASS
        if self.judgement is None:
            return Verdict.INCONCLUSIVE
        return worst(alarm.verdict for alarm in self.judgement.alarms if alarm.is_blocking)

    @property
    def breaker(self) -> str:
        """Why a gateway cut the candidate off; empty while none has."""
        for node in self.reachable:
            if node.traffic is not None and self.candidate in node.traffic.breakers_open:
                why = node.traffic.breakers_open[self.candidate]
                return f"the gateway on {node.node} cut {self.candidate} off: {why}"
        return ""


def moved(
    state: RolloutState, trigger: Trigger, reason: str, now: datetime, changes: Mapping[str, object]
) -> RolloutState:
    """The state after ``trigger``, as the table says.

    Raises:
        IllegalTransition: the table has no such move.
    """
    phase = next_phase(state.phase, trigger, state.resume_phase)
    fresh: dict[str, object] = {"phase": phase, "reason": reason}
    if phase is not state.phase:
        fresh |= {"phase_since": now, "inconclusive_since": None, "troubled_since": None, "is_closing": False}
        fresh |= {"blind_since": None, "broken_since": {}}
        fresh |= {"quiet_ticks": 0, "drain_since": None, "uncut": frozenset()}
        fresh |= {"resume_phase": state.phase if phase is Phase.HELD else None}
    return state.evolve(**{**fresh, **changes})
