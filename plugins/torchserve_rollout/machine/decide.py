"""The decision of one tick, as a pure function: nothing is read or done, the same input gives the same answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from torchserve_rollout.analysis.verdict import Judgement
from torchserve_rollout.machine.actions import Probe
from torchserve_rollout.machine.commands import obey
from torchserve_rollout.machine.held import held
from torchserve_rollout.machine.judging import noted
from torchserve_rollout.machine.observation import Observation
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.preparing import pending, preparing
from torchserve_rollout.machine.progressing import progressing
from torchserve_rollout.machine.promoting import baking, promoting
from torchserve_rollout.machine.returning import returning
from torchserve_rollout.machine.state import Command, RolloutState
from torchserve_rollout.machine.succeeded import succeeded
from torchserve_rollout.machine.tick import Decision, Tick
from torchserve_rollout.spec.schema import RolloutSpec

__all__ = ["Decision", "decide"]

_PHASES: Final[Mapping[Phase, Callable[[Tick], Decision]]] = {
    Phase.PENDING: pending,
    Phase.PREPARING: preparing,
    Phase.PROGRESSING: progressing,
    Phase.PROMOTING: promoting,
    Phase.BAKING: baking,
    Phase.ABORTING: returning,
    Phase.ROLLING_BACK: returning,
    Phase.HELD: held,
    Phase.SUCCEEDED: succeeded,
}
# A tick passes through a few phases at most (all steps of bake 0 wait for their weight to be in force).
_MOST_MOVES: Final = 8


def decide(
    state: RolloutState,
    spec: RolloutSpec,
    observation: Observation,
    judgement: Judgement | None,
    commands: Sequence[Command],
    now: datetime,
) -> Decision:
    """What one tick makes of one rollout.

    Store ``Decision.state`` before carrying out the actions: an epoch that a node has seen must be one that we
    remember. ``judgement`` is that of the window ``state`` stands in
    (:func:`~torchserve_rollout.machine.judging.judge_window`).
    """
    state = noted(_with_probes(state, observation), spec, judgement, now)
    obeyed = obey(Tick(state, spec, observation, judgement, now), commands)
    tick, reasons = obeyed.tick, list(obeyed.sentences)
    if not observation.nodes:
        return Decision(tick.state, (), _sentence(reasons, "no node is known, so nothing is decided"), obeyed.refused)
    for _ in range(_MOST_MOVES):
        if tick.state.is_over:
            break
        decision = _PHASES[tick.state.phase](tick)
        has_moved = _place(decision.state) != _place(tick.state)
        # What was judged before the start was stable, not the candidate.
        judgement = None if tick.state.phase is Phase.PREPARING and has_moved else tick.judgement
        tick = replace(tick, state=decision.state, judgement=judgement)
        if not has_moved:
            return Decision(tick.state, decision.actions, _sentence(reasons, decision.reason), obeyed.refused)
        reasons.append(decision.reason)
    return Decision(tick.state, (), _sentence(reasons, tick.state.reason), obeyed.refused)


def _place(state: RolloutState) -> tuple[Phase, int]:
    return state.phase, state.step_index


def _sentence(reasons: Sequence[str], last: str) -> str:
    """All that happened, in order, without saying anything twice."""
    said: list[str] = []
    for reason in [*reasons, last]:
        if said and reason.startswith(said[-1]):
            said.pop()
        if reason not in said:
            said.append(reason)
    return "; ".join(said)


def _with_probes(state: RolloutState, observation: Observation) -> RolloutState:
    """The state that knows on which nodes the candidate answered, and forgets those where it is gone since."""
    answered = {
        result.action.node
        for result in observation.results
        if isinstance(result.action, Probe) and result.is_ok and result.action.version == state.candidate
    }
    probed = {
        name
        for name in state.probed | answered
        if (node := observation.nodes.get(name)) is not None
        and (not node.is_reachable or ((status := node.versions.get(state.candidate)) is not None and status.workers))
    }
    return state if probed == state.probed else replace(state, probed=frozenset(probed))
