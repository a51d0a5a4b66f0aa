"""PENDING and PREPARING: bring the candidate up beside stable; no user request reaches it."""

from __future__ import annotations

from torchserve_rollout.machine.actions import Action, RunGates
from torchserve_rollout.machine.foundation import permanent_failures, repair, stable_health
from torchserve_rollout.machine.phases import Trigger
from torchserve_rollout.machine.sentences import describe, last_error, on_nodes, silent
from torchserve_rollout.machine.tick import Decision, Tick
from torchserve_rollout.machine.traffic import clear, fence_sentence
from torchserve_rollout.model import NodeStatus
from torchserve_rollout.spec.schema import AlreadyFiring
from torchserve_rollout.units import format_duration, format_pct


def pending(tick: Tick) -> Decision:
    """Begin. The epochs that the nodes know become ours to exceed."""
    beside = f"beside {tick.stable}" if tick.stable else "as the first version"
    return tick.go(
        Trigger.STARTED,
        f"bringing up {tick.candidate} {beside}",
        epoch=tick.highest_epoch,
        baseline_since=tick.now,
    )


def preparing(tick: Tick) -> Decision:
    """Register, scale, wait until ready, probe, on every node; then the gates."""
    failure = tick.observation.archive_problem or next(permanent_failures(tick), "") or _failed_gate(tick)
    if failure:
        return _failed(tick, failure)
    actions = [action for node in tick.reachable if (action := _next_action(tick, node)) is not None]
    waiting = _waiting(tick)
    if not waiting and tick.spec.gates and tick.observation.gates is None:
        actions.append(RunGates(tick.candidate))
        waiting = [f"the gates run on {tick.candidate}"]
    if not waiting and tick.state.pause_reasons:
        return tick.stay(
            tick.state, actions, f"paused: {tick.candidate} is prepared and gets no requests until resumed"
        )
    if not waiting:
        return _failed(tick, _says_nothing(tick)) if _is_refused(tick) else _prepared(tick)
    limit_s = tick.spec.prepare.timeout
    if tick.elapsed_s(tick.state.phase_since) > limit_s:
        steered = next((node for node in tick.reachable if _is_steered_by_another(tick, node)), None)
        if steered is not None:
            return tick.go(Trigger.FENCED, fence_sentence(steered))
        why = f"not ready within {format_duration(limit_s)}: {', '.join(waiting)}{last_error(tick.observation)}"
        return _failed(tick, f"{tick.candidate} is {why}")
    doing = [describe(action) for action in actions] or waiting
    reason = f"preparing {tick.candidate}: {', '.join(doing)}{last_error(tick.observation)}"
    return tick.stay(tick.state, actions, reason)


def _next_action(tick: Tick, node: NodeStatus) -> Action | None:
    """One step towards the candidate standing there. A left-over policy goes as soon as the default can take over."""
    is_default_right = tick.stable is None or node.default_version == tick.stable
    if is_default_right and node.traffic is not None and not _is_steered_by_another(tick, node):
        return clear(tick, node)
    return repair(tick, node, tick.stable)


def _is_refused(tick: Tick) -> bool:
    """Whether an alarm fires on stable already, and the spec does not put up with that."""
    is_firing = tick.judgement is not None and bool(tick.judgement.failing())
    return is_firing and tick.spec.already_firing is AlreadyFiring.REFUSE


def _says_nothing(tick: Tick) -> str:
    names = " and ".join(alarm.alarm for alarm in tick.judgement.failing()) if tick.judgement else ""
    sentence = tick.judgement.sentence if tick.judgement else ""
    return (
        f"before the start {names} already fires on stable {tick.stable}, so it would say nothing of {tick.candidate}: "
        f"{sentence} (change the bound, compare with stable, or set already_firing: baseline)"
    )


def _baselines(tick: Tick) -> dict[str, float]:
    """What stable does where an alarm fires on it already."""
    firing = tick.judgement.failing() if tick.judgement else ()
    return {alarm.alarm: alarm.stable for alarm in firing if alarm.stable is not None}


def _prepared(tick: Tick) -> Decision:
    gates = tick.observation.gates or ()
    scored = "".join(f", {gate.probe} scored {gate.score:.2f}" for gate in gates)
    baselines = _baselines(tick)
    excused = f"; measured against what stable did before: {', '.join(baselines)}" if baselines else ""
    ready = f"{tick.candidate} is ready and answered its probe{scored}{excused}"
    if not tick.steps:
        return tick.go(
            Trigger.STEPS_DONE,
            f"{ready}; it becomes the default",
            step_since=None,
            weight_pct=100.0,
            baselines=baselines,
        )
    first = tick.steps[0]
    return tick.go(
        Trigger.PREPARED,
        f"{ready}; step 1 of {len(tick.steps)} gives it {format_pct(first.weight)}",
        step_index=0,
        step_since=None,
        weight_pct=first.weight,
        baselines=baselines,
    )


def _failed(tick: Tick, why: str) -> Decision:
    return tick.go(Trigger.PREPARE_FAILED, why, ended_by="prepare", weight_pct=0.0)


def _failed_gate(tick: Tick) -> str:
    """The sentence of the first gate that did not pass; empty when all did, or none has run."""
    for gate in tick.observation.gates or ():
        if gate.error:
            return f"the gate {gate.probe} could not score {tick.candidate}: {gate.error}"
        if not gate.is_passed:
            return (
                f"{tick.candidate} scored {gate.score:.2f} on the gate {gate.probe} "
                f"({gate.prompts} prompts), at least {gate.min_score:g} is needed"
            )
    return ""


def _waiting(tick: Tick) -> list[str]:
    """What is not as it must be before the first request, in words."""
    waiting = silent(tick.unreachable)
    unready = [node for node in tick.reachable if not node.is_ready(tick.candidate)]
    unprobed = [node for node in tick.reachable if node not in unready and node.node not in tick.state.probed]
    steered = [node for node in tick.reachable if _is_steered_by_another(tick, node)]
    left_over = [node for node in tick.reachable if node.traffic is not None and node not in steered]
    waiting += on_nodes(f"{tick.candidate} is not ready", unready)
    waiting += on_nodes(f"{tick.candidate} has not answered its probe", unprobed)
    waiting += on_nodes("a traffic policy that is not ours is in force", steered)
    waiting += on_nodes("a traffic policy is left over from before", left_over)
    health = stable_health(tick)
    if tick.stable is not None and not health.is_ready:
        waiting.append(health.sentence)
    return waiting


def _is_steered_by_another(tick: Tick, node: NodeStatus) -> bool:
    """A live policy gives somebody weight although no request was moved yet."""
    traffic = node.traffic
    return traffic is not None and traffic.lease_is_valid and any(traffic.policy.weights_pct.values())
