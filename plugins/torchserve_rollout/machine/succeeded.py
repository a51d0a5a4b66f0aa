"""SUCCEEDED: the candidate is live, and watched for as long as the prior version is kept warm; then that is let go.

No traffic policy stands here: a controller that dies takes nothing away from a version that has succeeded.
"""

from __future__ import annotations

from dataclasses import replace

from torchserve_rollout.machine.actions import Scale
from torchserve_rollout.machine.armed import cause_to_return, notes
from torchserve_rollout.machine.phases import Trigger
from torchserve_rollout.machine.sentences import on_nodes, silent
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.machine.tick import Decision, Tick
from torchserve_rollout.model import NodeStatus, VersionName
from torchserve_rollout.spec.schema import AlarmAction
from torchserve_rollout.units import format_duration


def succeeded(tick: Tick) -> Decision:
    """An alarm sets the default back while the prior version is kept warm; a later rollout ends the watch."""
    state, prior, successor = tick.state, tick.stable, tick.observation.successor
    if prior is None or state.warm_until is None:
        return tick.stay(replace(state, warm_until=None), (), state.reason)
    if successor is not None:
        if prior in successor.versions:
            return _done(tick, f"{successor.rollout_id} has taken over, with {prior}")
        return _let_go(tick, prior, f"{successor.rollout_id} has taken over")
    left_s = (state.warm_until - tick.now).total_seconds()
    if state.is_closing or left_s <= 0:
        return _let_go(tick, prior, "")
    if not any(node.default_version == tick.candidate for node in tick.reachable):
        return _stay(tick, f"{tick.candidate} is the default on no node now, so nothing is judged")
    cause = cause_to_return(tick)
    if cause is not None:
        reason, ended_by = cause
        changes = {"ended_by": ended_by, "epoch": tick.highest_epoch, "warm_until": None}
        return tick.go(Trigger.ALARM, f"after its success: {reason}", **changes)
    # A hold has nothing left to freeze: it only calls the person.
    told = notes(tick, AlarmAction.HOLD)
    return _stay(tick, f"{prior} is kept warm for {format_duration(round(left_s))} more, alarms are armed{told}")


def _let_go(tick: Tick, prior: VersionName, why: str) -> Decision:
    """Stop the workers of the prior version once nobody waits for its answers. It stays registered."""
    warm = [node for node in tick.reachable if _has_workers(node, prior) and not _is_in_use(node, prior)]
    state = _drain_watched(replace(tick.state, is_closing=True), tick)
    # What is live must serve before the other is let go; a successor sees to that itself.
    unready = [] if why else [node for node in warm if not node.is_ready(tick.candidate)]
    waiting = [*silent(tick.unreachable), *on_nodes(f"{tick.candidate} is not ready", unready)]
    is_drained = state.quiet_ticks >= 2 or tick.elapsed_s(state.drain_since) >= tick.spec.drain_timeout
    if warm and not is_drained:
        waiting.append(f"{prior} is let go once its requests are answered")
    actions = [Scale(node.node, prior, 0) for node in warm if node not in unready] if is_drained else []
    if waiting or actions:
        said = [why, *(waiting or [f"stopping the workers of {prior}"])]
        return _stay(replace(tick, state=state), "; ".join(each for each in said if each), actions)
    used = on_nodes(f"{prior} is left alone, it is in use", [n for n in tick.reachable if _is_in_use(n, prior)])
    gone = used[0] if used else f"{prior} stays registered, without workers"
    return _done(tick, f"{why}; {gone}" if why else gone)


def _has_workers(node: NodeStatus, version: VersionName) -> bool:
    status = node.versions.get(version)
    return status is not None and (status.workers > 0 or status.min_workers > 0)


def _is_in_use(node: NodeStatus, version: VersionName) -> bool:
    """Somebody, by hand or by another rollout, sends it requests that name no version."""
    policy = node.traffic.policy if node.traffic else None
    return node.default_version == version or (policy is not None and version in {policy.stable, *policy.weights_pct})


def _drain_watched(state: RolloutState, tick: Tick) -> RolloutState:
    is_quiet = tick.observation.stable_in_flight == 0
    return replace(
        state, drain_since=state.drain_since or tick.now, quiet_ticks=state.quiet_ticks + 1 if is_quiet else 0
    )


def _stay(tick: Tick, said: str, actions: list[Scale] | None = None) -> Decision:
    return tick.stay(tick.state, actions or [], f"{tick.state.reason}; {said}")


def _done(tick: Tick, said: str) -> Decision:
    state = replace(tick.state, warm_until=None, is_closing=False, drain_since=None, quiet_ticks=0)
    return tick.stay(state, (), f"{state.reason}; {said}")
