"""ABORTING and ROLLING_BACK: traffic first, then the default, then drain, then unregister, then the policy goes.

Stable is checked, and brought back if need be, before it is given traffic that the candidate could still serve.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torchserve_rollout.machine.actions import Action, ClearTraffic, RenewLease, SetTraffic, Unregister
from torchserve_rollout.machine.foundation import correct_default, restore_stable, stable_health
from torchserve_rollout.machine.phases import Trigger
from torchserve_rollout.machine.sentences import on_nodes, other_defaults, silent
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.machine.tick import Decision, Tick
from torchserve_rollout.machine.traffic import clear, fence_sentence, is_foreign, policy
from torchserve_rollout.model import NodeStatus, VersionName
from torchserve_rollout.units import format_duration, format_pct


def returning(tick: Tick) -> Decision:
    """One step back towards stable on every node."""
    stable = tick.stable
    if stable is None:
        return _without_target(tick)
    for node in tick.reachable:
        if is_foreign(tick, node, policy(tick, stable, 0.0)):
            return tick.go(Trigger.FENCED, fence_sentence(node))
    if _is_out_of_the_way(tick):
        return _close(tick, replace(tick.state, is_closing=True, weight_pct=0.0), stable)
    tick = replace(tick, state=_with_refusals(tick))
    backs = [_back(tick, node, stable) for node in tick.reachable]
    state = _drain_watched(tick, backs)
    actions = [action for back in backs for action in back.actions]
    waiting = [reason for back in backs for reason in back.waiting]
    if not _is_drained(tick, state):
        draining = [] if state.drain_since is None else [f"draining {tick.candidate}{_in_flight(tick)}"]
        return _stay_or_hold(tick, state, actions, [*waiting, *draining])
    registered = _registered(tick)
    if registered:
        actions += [Unregister(node.node, tick.candidate) for node in registered]
        return _stay_or_hold(tick, state, actions, on_nodes(f"unregistering {tick.candidate}", registered))
    return _close(tick, replace(state, is_closing=True), stable)


def _close(tick: Tick, state: RolloutState, stable: VersionName) -> Decision:
    """The candidate is out of the way: remove the policies, see that the default is right, and be done."""
    actions: list[Action] = []
    for node in tick.reachable:
        # Without a policy the default has all traffic, so it must be right first.
        cleared = clear(tick, node) if node.default_version == stable else None
        steps = cleared, restore_stable(tick, node), correct_default(node, stable)
        actions += [step for step in steps if step is not None]
    waiting = [*_policies(tick), *other_defaults(tick.reachable, stable)]
    if waiting or tick.unreachable:
        return _stay_or_hold(tick, state, actions, waiting)
    return _returned(tick, f"{stable} has all traffic and is the default")


def _without_target(tick: Tick) -> Decision:
    """A first version that is given up: nobody takes its traffic, it is only removed."""
    actions = [action for node in tick.reachable if (action := clear(tick, node)) is not None]
    waiting = _policies(tick)
    if tick.spec.on_abort == "unregister":
        present = [node for node in tick.reachable if tick.candidate in node.versions]
        actions += [Unregister(node.node, tick.candidate) for node in present]
        waiting += on_nodes(f"unregistering {tick.candidate}", present)
    if waiting or tick.unreachable:
        return _stay_or_hold(tick, replace(tick.state, weight_pct=0.0), actions, waiting)
    return _returned(tick, "it was the first version, there is none to return to")


def _policies(tick: Tick) -> list[str]:
    return on_nodes("removing the traffic policy", [node for node in tick.reachable if node.traffic is not None])


def _returned(tick: Tick, how: str) -> Decision:
    return tick.go(Trigger.RETURNED, f"{tick.state.reason}; {how}", weight_pct=0.0)


def _stay_or_hold(tick: Tick, state: RolloutState, actions: list[Action], waiting: list[str]) -> Decision:
    """Try again next tick, unless it went on for too long: then a person is needed."""
    waiting = [*silent(tick.unreachable), *waiting]
    limit_s = tick.spec.prepare.timeout + tick.spec.drain_timeout
    if tick.elapsed_s(state.phase_since) <= limit_s:
        return tick.stay(state, actions, f"{state.reason}; {', '.join(waiting)}")
    health = stable_health(tick)
    trigger = Trigger.STUCK if health.is_ready or tick.stable is None else Trigger.STABLE_SICK
    sick = f"stable itself is sick: {health.sentence}; " if trigger is Trigger.STABLE_SICK else ""
    reason = f"{sick}the way back was not done within {format_duration(limit_s)}: {', '.join(waiting)}"
    return tick.go(trigger, reason, epoch=state.epoch, weight_pct=state.weight_pct)


def _is_out_of_the_way(tick: Tick) -> bool:
    """The candidate is gone wherever we can see, or drained and to be kept."""
    is_kept = tick.spec.on_abort == "keep" and tick.state.is_closing
    return is_kept or not any(tick.candidate in node.versions for node in tick.reachable)


def _registered(tick: Tick) -> list[NodeStatus]:
    """Where the candidate is still to be unregistered. Never the default, and never if the spec keeps it."""
    if tick.spec.on_abort == "keep" or tick.candidate == tick.stable:
        return []
    present = [node for node in tick.reachable if tick.candidate in node.versions]
    return [node for node in present if node.default_version != tick.candidate]


def _in_flight(tick: Tick) -> str:
    counts = [node.traffic.in_flight.get(tick.candidate, 0) for node in tick.reachable if node.traffic is not None]
    return f" ({sum(counts)} requests in flight)" if sum(counts) else ""


@dataclass(frozen=True, slots=True)
class _Back:
    """The way back on one node. ``weight_pct`` is what the candidate is given there now."""

    actions: tuple[Action, ...]
    waiting: tuple[str, ...]
    epoch: int
    weight_pct: float = 0.0
    is_off: bool = False
    """The candidate gets nothing here, and the default is right."""


def _back(tick: Tick, node: NodeStatus, stable: VersionName) -> _Back:
    epoch = tick.state.epoch
    mend = restore_stable(tick, node)
    mending = (mend,) if mend is not None else ()
    if not node.is_ready(stable) and node.is_ready(tick.candidate) and _serves(node, tick.candidate):
        kept = _keep(node)
        weight_pct = node.traffic.policy.weight_of(tick.candidate) if node.traffic else 100.0
        why = f"{stable} is not ready on {node.node}, so {tick.candidate} keeps {format_pct(weight_pct)} there"
        return _Back((*kept, *mending), (why,), epoch, weight_pct)
    traffic = _cut(tick, node, stable)
    if isinstance(traffic, SetTraffic):
        epoch = traffic.epoch
    default = correct_default(node, stable)
    actions = tuple(action for action in (traffic, default, *mending) if action is not None)
    waiting = [
        *on_nodes(f"taking the traffic from {tick.candidate}", [node] if _moves(traffic) else []),
        *on_nodes(f"{stable} is not ready", [] if node.is_ready(stable) else [node]),
        *other_defaults([node], stable),
    ]
    return _Back(actions, tuple(waiting), epoch, is_off=not waiting and _is_cut(tick, node, stable))


def _serves(node: NodeStatus, candidate: VersionName) -> bool:
    """The candidate carries requests on ``node`` right now: by the policy's weight, or as the default without one."""
    if node.traffic is None:
        return node.default_version == candidate
    return node.traffic.policy.weight_of(candidate) > 0


def _keep(node: NodeStatus) -> tuple[Action, ...]:
    traffic = node.traffic
    return (RenewLease(node.node, traffic.policy, traffic.epoch),) if traffic is not None else ()


def _cut(tick: Tick, node: NodeStatus, stable: VersionName) -> Action | None:
    """Weight 0 with the candidate still named, so that its requests in flight stay visible."""
    if tick.candidate not in node.versions:
        return clear(tick, node) if node.default_version == stable else None
    if node.node in tick.state.uncut:
        # Without a policy the default has all traffic: as good, but for what is in flight, which nobody then counts.
        return clear(tick, node) if node.default_version == stable else None
    if stable not in node.versions:
        return None  # no policy can name it before it is back
    wished = policy(tick, stable, 0.0)
    if node.traffic is not None and node.traffic.policy == wished:
        return RenewLease(node.node, wished, node.traffic.epoch)
    return SetTraffic(node.node, wished, tick.highest_epoch + 1)


def _is_cut(tick: Tick, node: NodeStatus, stable: VersionName) -> bool:
    if tick.candidate not in node.versions:
        return True
    if node.traffic is None:
        return node.node in tick.state.uncut and node.default_version == stable
    return node.traffic.policy == policy(tick, stable, 0.0)


def _moves(traffic: Action | None) -> bool:
    return isinstance(traffic, (SetTraffic, ClearTraffic))


def _with_refusals(tick: Tick) -> RolloutState:
    """The state that knows which gateways would not take the policy with weight 0."""
    refused = {
        result.action.node
        for result in tick.observation.results
        if result.is_refused and isinstance(result.action, SetTraffic)
    }
    return replace(tick.state, uncut=tick.state.uncut | refused) if refused else tick.state


def _may_be_in_flight(tick: Tick, node: NodeStatus) -> bool:
    if node.traffic is None:
        return tick.candidate in node.versions
    return bool(node.traffic.in_flight.get(tick.candidate, 0))


def _drain_watched(tick: Tick, backs: list[_Back]) -> RolloutState:
    """The state with the stopwatch and the count of the drain."""
    state = replace(
        tick.state,
        is_closing=False,
        epoch=max([tick.state.epoch, *(back.epoch for back in backs)]),
        weight_pct=max((back.weight_pct for back in backs), default=0.0),
    )
    if not all(back.is_off for back in backs):
        return replace(state, drain_since=None, quiet_ticks=0)
    is_quiet = not any(_may_be_in_flight(tick, node) for node in tick.reachable)
    return replace(
        state, drain_since=state.drain_since or tick.now, quiet_ticks=state.quiet_ticks + 1 if is_quiet else 0
    )


def _is_drained(tick: Tick, state: RolloutState) -> bool:
    if state.drain_since is None:
        return False
    return state.quiet_ticks >= 2 or tick.elapsed_s(state.drain_since) >= tick.spec.drain_timeout
