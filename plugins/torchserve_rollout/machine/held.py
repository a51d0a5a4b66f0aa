"""HELD: nothing advances until a person says how to go on; what serves is kept serving."""

from __future__ import annotations

from torchserve_rollout.machine.actions import Action, RenewLease
from torchserve_rollout.machine.armed import repairs
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.tick import Decision, Tick

_PROMOTED = frozenset({Phase.PROMOTING, Phase.BAKING})
_RETURNING = frozenset({Phase.ABORTING, Phase.ROLLING_BACK})


def held(tick: Tick) -> Decision:
    """Renew the policies as they are, and put right what a restarted node lost.

    A policy that is newer than ours is somebody else's: its node is left alone.
    """
    ours = [node for node in tick.reachable if node.traffic is None or node.traffic.epoch <= tick.state.epoch]
    actions: list[Action] = [
        RenewLease(node.node, node.traffic.policy, node.traffic.epoch) for node in ours if node.traffic is not None
    ]
    if tick.state.resume_phase not in _RETURNING:
        actions += repairs(tick, ours, is_promoted=tick.state.resume_phase in _PROMOTED)
    return tick.stay(tick.state, actions, f"held, a person is needed: {tick.state.reason}")
