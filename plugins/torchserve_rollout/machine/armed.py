"""PROGRESSING, PROMOTING and BAKING have this in common: alarms are armed, nodes are kept as they must be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.machine.actions import Action
from torchserve_rollout.machine.foundation import permanent_failures, repair, stable_health
from torchserve_rollout.machine.phases import PauseReason, Phase, Trigger
from torchserve_rollout.machine.sentences import last_error, on_nodes, silent
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.machine.tick import Decision, Tick
from torchserve_rollout.machine.traffic import Steering
from torchserve_rollout.model import NodeStatus
from torchserve_rollout.spec.schema import AlarmAction, Inconclusive
from torchserve_rollout.units import format_duration


def alarmed(tick: Tick) -> Decision | None:
    """The way back, or the hold, that an alarm or the gateway's breaker demands; None while all is quiet."""
    cause = cause_to_return(tick)
    if cause is not None:
        reason, ended_by = cause
        if tick.stable is None and tick.state.phase in (Phase.PROMOTING, Phase.BAKING):
            return _held_by_alarm(tick, f"{reason}; {stable_health(tick).sentence}")
        return tick.go(Trigger.ALARM, reason, ended_by=ended_by)
    holding = _sentences(tick, AlarmAction.HOLD)
    return _held_by_alarm(tick, holding[0]) if holding else None


def cause_to_return(tick: Tick) -> tuple[str, str] | None:
    """What demands the way back: the sentence, and what the state calls it; None while all is quiet."""
    firing, alerts = tick.firing(AlarmAction.ROLLBACK), tick.alerts(AlarmAction.ROLLBACK)
    if firing:
        return firing[0].sentence, f"alarm:{firing[0].alarm}"
    if alerts:
        return alerts[0].sentence, f"alert:{alerts[0].name}"
    return (tick.breaker, "breaker") if tick.breaker else None


def blinded(tick: Tick) -> Decision | None:
    """The hold that a source demands which could not measure for too long; it is not the candidate's fault."""
    limit_s = tick.spec.source_timeout
    if tick.state.blind_since is None or tick.elapsed_s(tick.state.blind_since) < limit_s:
        return None
    why = "; ".join(alarm.sentence for alarm in tick.erring)
    return tick.go(Trigger.UNDECIDED, f"not measured for {format_duration(limit_s)}: {why}")


def unproven(tick: Tick, state: RolloutState, is_alone: bool) -> Inconclusive:
    """What the spec makes of a rollout that stayed without a verdict for too long.

    Its ``promote`` and ``rollback`` are for missing verdicts alone: whatever else is wrong, a person is called.
    """
    is_open = is_alone and tick.blocking_verdict <= Verdict.INCONCLUSIVE
    return tick.spec.inconclusive if is_open else Inconclusive.HOLD


def _held_by_alarm(tick: Tick, reason: str) -> Decision:
    pauses = tick.state.pause_reasons | {PauseReason.ALARM}
    return tick.go(Trigger.ALARM_HOLD, reason, pause_reasons=pauses)


def notes(tick: Tick, *actions: AlarmAction) -> str:
    """What alarms that only notify have to say; those that ask for ``actions`` too, where these have no effect."""
    listed = [sentence for action in (*actions, AlarmAction.NOTIFY) for sentence in _sentences(tick, action)]
    return "".join(f"; {sentence} (only notified)" for sentence in listed)


def _sentences(tick: Tick, action: AlarmAction) -> list[str]:
    """What fires and asks for ``action``: our own alarms first."""
    alarms = [alarm.sentence for alarm in tick.firing(action)]
    return [*alarms, *(alert.sentence for alert in tick.alerts(action))]


def repairs(tick: Tick, nodes: Sequence[NodeStatus], *, is_promoted: bool) -> list[Action]:
    """One step a node towards stable, the right default, and the candidate standing there.

    Once promoted the default is the candidate wherever it can serve; until then, and elsewhere, it is stable.
    """
    actions = []
    for node in nodes:
        default = tick.candidate if is_promoted and tick.can_serve(node) else tick.stable
        action = repair(tick, node, default)
        if action is not None:
            actions.append(action)
    return actions


def watched(tick: Tick, steering: Steering) -> RolloutState:
    """The state with its stopwatches: since when the weight is in force everywhere, since when something is wrong."""
    state = replace(tick.state, epoch=max(tick.state.epoch, steering.epoch))
    trouble = steering.waiting or not_ready(tick)
    if not trouble and not tick.unreachable:
        since = state.step_since or tick.now
        shares = state.weight_pct < 100
        return replace(
            state, step_since=since, troubled_since=None, baseline_since=since if shares else state.baseline_since
        )
    lost = any(not tick.can_serve(node) for node in tick.reachable)
    return replace(
        state,
        step_since=None if lost else state.step_since,
        troubled_since=(state.troubled_since or tick.now) if trouble else None,
    )


def lost_candidate(tick: Tick, state: RolloutState) -> str:
    """Why the candidate is given up: a repair cannot work, or took too long; empty while there is hope."""
    permanent = next(permanent_failures(tick), "")
    if permanent:
        return permanent
    limit_s = tick.spec.prepare.timeout
    if tick.elapsed_s(state.troubled_since) <= limit_s:
        return ""
    trouble = ", ".join(not_ready(tick)) or "its weight could not be put in force"
    return f"{tick.candidate} was not back within {format_duration(limit_s)}: {trouble}{last_error(tick.observation)}"


def not_ready(tick: Tick) -> list[str]:
    """On which nodes the candidate does not serve, in words."""
    return on_nodes(f"{tick.candidate} is not ready", [n for n in tick.reachable if not n.is_ready(tick.candidate)])


def unsettled(tick: Tick) -> list[str]:
    """What of the world keeps the rollout from advancing, in words."""
    waiting = [*silent(tick.unreachable), *not_ready(tick)]
    health = stable_health(tick)
    if tick.stable is not None and not health.is_ready:
        waiting.append(health.sentence)
    return waiting


def undecided(tick: Tick) -> list[str]:
    """Which alarms keep the rollout from advancing, in words."""
    if tick.blocking_verdict is Verdict.PASS:
        return []
    if tick.judgement is None:
        return ["nothing was measured yet"]
    open_alarms = (a for a in tick.judgement.alarms if a.verdict is not Verdict.PASS and a.is_blocking)
    return [alarm.sentence for alarm in open_alarms]


def clocked(tick: Tick, state: RolloutState, is_blocked: bool) -> RolloutState:
    """The state with the stopwatch of a blocked rollout; a pause stops it."""
    counts = is_blocked and not state.pause_reasons
    return replace(state, inconclusive_since=(state.inconclusive_since or tick.now) if counts else None)


def is_overdue(tick: Tick, state: RolloutState) -> bool:
    """Whether the rollout is blocked for longer than the spec allows."""
    return tick.elapsed_s(state.inconclusive_since) > tick.spec.inconclusive_timeout
