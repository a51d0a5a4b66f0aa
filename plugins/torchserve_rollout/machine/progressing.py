"""PROGRESSING: the candidate has the weight of its step until it baked, enough was seen, and every alarm passes."""

from __future__ import annotations

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
from torchserve_rollout.machine.phases import Trigger
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.machine.tick import Decision, Tick
from torchserve_rollout.machine.traffic import steer
from torchserve_rollout.spec.schema import Inconclusive, StepSpec
from torchserve_rollout.units import format_duration, format_pct


def progressing(tick: Tick) -> Decision:
    """Hold the weight, repair what broke, advance when all conditions of the step are met."""
    alarm = alarmed(tick) or blinded(tick)
    if alarm is not None:
        return alarm
    step = tick.steps[tick.state.step_index]
    steering = steer(tick, step.weight, step)
    if steering.fenced:
        return tick.go(Trigger.FENCED, steering.fenced)
    state = watched(tick, steering)
    lost = lost_candidate(tick, state)
    if lost:
        return tick.go(Trigger.PREPARE_FAILED, lost, ended_by="prepare", epoch=state.epoch)
    actions = [*steering.actions, *repairs(tick, tick.reachable, is_promoted=False)]
    return _hold_or_advance(tick, state, step, actions, list(steering.waiting))


def _hold_or_advance(
    tick: Tick, state: RolloutState, step: StepSpec, actions: list[Action], waiting: list[str]
) -> Decision:
    where = f"{tick.candidate} at {format_pct(step.weight)} (step {state.step_index + 1} of {len(tick.steps)})"
    baked_s = tick.elapsed_s(state.step_since)
    is_baked = state.step_since is not None and baked_s >= step.bake
    world = unsettled(tick) or waiting
    few = _too_few_requests(tick, step)
    blocks = [*world, *few, *undecided(tick)]
    state = clocked(tick, state, bool(blocks) and (is_baked or bool(tick.unreachable)))
    if is_overdue(tick, state):
        timeout = format_duration(tick.spec.inconclusive_timeout)
        why = f"{where} could not go on for {timeout}: {'; '.join(blocks)}"
        policy = unproven(tick, state, is_alone=not world)
        if policy is Inconclusive.PROMOTE:
            return _advance(tick, state, step, f"{why}; the spec lets it go on: {where}")
        if policy is Inconclusive.ROLLBACK:
            return tick.go(Trigger.ALARM, f"{why}; the spec takes that for a failure", ended_by="inconclusive")
        return tick.go(Trigger.UNDECIDED, why)
    if is_baked and not blocks and not state.pause_reasons:
        return _advance(tick, state, step, where)
    if state.pause_reasons:
        reason = f"{where}: paused by {' and '.join(sorted(state.pause_reasons))}"
    elif world:
        reason = f"{where}: {', '.join(world)}"
    else:
        bake = [] if is_baked else [f"{format_duration(round(baked_s))} of {format_duration(step.bake)} baked"]
        reason = f"{where}: {'; '.join([*bake, *few, *undecided(tick)]) or 'all is well'}"
    return tick.stay(state, actions, reason + notes(tick))


def _too_few_requests(tick: Tick, step: StepSpec) -> list[str]:
    seen = tick.observation.candidate_requests
    return [f"{seen} of {step.min_requests} requests"] if seen < step.min_requests else []


def _advance(tick: Tick, state: RolloutState, step: StepSpec, where: str) -> Decision:
    seen, baked = tick.observation.candidate_requests, format_duration(round(tick.elapsed_s(state.step_since)))
    verdict = f"; {tick.judgement.sentence}" if tick.judgement and tick.spec.alarms else ""
    passed = f"{where} passed after {baked} and {seen} requests{verdict}"
    fresh = {
        "step_since": None,
        "inconclusive_since": None,
        "epoch": state.epoch,
        "baseline_since": state.baseline_since,
        "troubled_since": state.troubled_since,
    }
    following = state.step_index + 1
    if following == len(tick.steps):
        reason = f"{passed}; it becomes the default"
        return tick.go(Trigger.STEPS_DONE, reason, **{**fresh, "weight_pct": 100.0})
    weight_pct = tick.steps[following].weight
    reason = f"{passed}; going to {format_pct(weight_pct)}"
    return tick.go(Trigger.STEP_PASSED, reason, **{**fresh, "step_index": following, "weight_pct": weight_pct})
