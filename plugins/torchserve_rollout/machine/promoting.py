"""PROMOTING and BAKING: the candidate is the default and takes all traffic; stable stays loaded, alarms armed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.machine.actions import Action
from torchserve_rollout.machine.armed import (
    alarmed,
    blinded,
    clocked,
    is_overdue,
    lost_candidate,
    notes,
    repairs,
    undecided,
    unproven,
    unsettled,
    watched,
)
from torchserve_rollout.machine.foundation import stable_health
from torchserve_rollout.machine.phases import Trigger
from torchserve_rollout.machine.sentences import other_defaults
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.machine.tick import Decision, Tick
from torchserve_rollout.machine.traffic import clear, steer
from torchserve_rollout.spec.plan import final_bake_of
from torchserve_rollout.spec.schema import Inconclusive
from torchserve_rollout.units import format_duration


def promoting(tick: Tick) -> Decision:
    """All traffic to the candidate, and the default on every node."""
    alarm = alarmed(tick)
    if alarm is not None:
        return alarm
    steering = steer(tick, 100.0)
    if steering.fenced:
        return tick.go(Trigger.FENCED, steering.fenced)
    state = watched(tick, steering)
    waiting = [*unsettled(tick), *steering.waiting, *other_defaults(tick.reachable, tick.candidate)]
    if not waiting:
        reason = f"{tick.candidate} is the default on every node and takes all requests"
        return tick.go(Trigger.PROMOTED, reason, epoch=state.epoch, step_since=state.step_since, weight_pct=100.0)
    actions = [*steering.actions, *repairs(tick, tick.reachable, is_promoted=True)]
    limit_s = tick.spec.prepare.timeout
    if tick.elapsed_s(tick.state.phase_since) > limit_s:
        reason = f"the promotion was not done within {format_duration(limit_s)}: {', '.join(waiting)}"
        if tick.unreachable:
            return tick.go(Trigger.STUCK, reason, epoch=state.epoch)
        return tick.go(Trigger.PROMOTE_FAILED, reason, ended_by="promotion", epoch=state.epoch)
    return tick.stay(state, actions, f"promoting {tick.candidate}: {', '.join(waiting)}{notes(tick)}")


def baking(tick: Tick) -> Decision:
    """Watch the promoted candidate; then take the policy away and be done."""
    alarm = alarmed(tick) or blinded(tick)
    if alarm is not None:
        return alarm
    if tick.state.is_closing:
        return _close(tick)
    steering = steer(tick, 100.0)
    if steering.fenced:
        return tick.go(Trigger.FENCED, steering.fenced)
    state = watched(tick, steering)
    lost = lost_candidate(tick, state)
    if lost and tick.stable is None:
        return tick.go(Trigger.UNDECIDED, f"{lost}; {stable_health(tick).sentence}", epoch=state.epoch)
    if lost:
        return tick.go(Trigger.PREPARE_FAILED, lost, ended_by="prepare", epoch=state.epoch)
    world = [*unsettled(tick), *other_defaults(tick.reachable, tick.candidate)] or list(steering.waiting)
    actions = [*steering.actions, *repairs(tick, tick.reachable, is_promoted=True)]
    return _watch(tick, state, actions, world)


def _watch(tick: Tick, state: RolloutState, actions: list[Action], world: list[str]) -> Decision:
    bake_s = 0.0 if state.is_bake_waived else final_bake_of(tick.spec, tick.stable)
    # At least one look at the candidate as the default, even without a bake.
    baked_s = min(tick.elapsed_s(state.phase_since), tick.elapsed_s(state.step_since))
    is_baked = state.step_since is not None and baked_s >= bake_s and tick.now > state.phase_since
    blocks = [*world, *([] if _needs_no_verdict(tick, bake_s) else undecided(tick))]
    state = clocked(tick, state, bool(blocks) and (is_baked or bool(tick.unreachable)))
    if is_overdue(tick, state):
        timeout = format_duration(tick.spec.inconclusive_timeout)
        reason = f"{tick.candidate} is the default but could not be accepted for {timeout}: {'; '.join(blocks)}"
        policy = unproven(tick, state, is_alone=not world)
        if policy is Inconclusive.PROMOTE:
            return _close(replace(tick, state=replace(state, is_closing=True)))
        if policy is Inconclusive.ROLLBACK and tick.stable is not None:
            reason = f"{reason}; the spec takes that for a failure"
            return tick.go(Trigger.ALARM, reason, ended_by="inconclusive", epoch=state.epoch)
        return tick.go(Trigger.UNDECIDED, reason, epoch=state.epoch)
    if is_baked and not blocks and not state.pause_reasons:
        return _close(replace(tick, state=replace(state, is_closing=True)))
    baked = f"{format_duration(round(baked_s))} of {format_duration(bake_s)} baked"
    said = [f"paused by {' and '.join(sorted(state.pause_reasons))}"] if state.pause_reasons else []
    reason = f"{tick.candidate} is the default, {'; '.join([*said, baked, *blocks])}"
    return tick.stay(state, actions, reason + notes(tick))


def _needs_no_verdict(tick: Tick, bake_s: float) -> bool:
    """Without a bake nothing is waited for; a failure or an error still blocks."""
    return bake_s == 0 and tick.blocking_verdict <= Verdict.INCONCLUSIVE


def _close(tick: Tick) -> Decision:
    """Remove the policies; the default alone then carries the traffic."""
    state = tick.state
    wrong = [*unsettled(tick), *other_defaults(tick.reachable, tick.candidate)]
    if wrong:
        return tick.stay(
            replace(state, is_closing=False), (), f"{tick.candidate} is the default, but {', '.join(wrong)}"
        )
    actions = [action for node in tick.reachable if (action := clear(tick, node)) is not None]
    if actions:
        return tick.stay(state, actions, f"{tick.candidate} is accepted; the traffic policy is being removed")
    is_watched = final_bake_of(tick.spec, tick.stable) > 0
    baked = f" and baked {format_duration(round(tick.elapsed_s(state.phase_since)))}" if is_watched else ""
    warm_until = tick.now + timedelta(seconds=tick.spec.keep_prior) if tick.stable else None
    return tick.go(
        Trigger.BAKED,
        f"{tick.candidate} is live on every node{baked}",
        warm_until=warm_until,
        pause_reasons=frozenset(),
    )
