"""What a person may ask, when, and what it does. A refused command changes nothing and says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.machine.armed import unsettled
from torchserve_rollout.machine.phases import PauseReason, Phase, Trigger
from torchserve_rollout.machine.state import Command, CommandKind, RolloutState
from torchserve_rollout.machine.tick import Tick, moved
from torchserve_rollout.spec.schema import AlarmAction

_BACK = frozenset({Phase.ABORTING, Phase.ROLLING_BACK})
_PROMOTED = frozenset({Phase.BAKING, Phase.ROLLING_BACK})


@dataclass(frozen=True, slots=True)
class Obeyed:
    """The tick after all commands; what was done, in sentences; what was refused, and why."""

    tick: Tick
    sentences: tuple[str, ...]
    refused: tuple[tuple[Command, str], ...]


class Refusal(Exception):
    """Why a command is not possible now."""


def obey(tick: Tick, commands: Sequence[Command]) -> Obeyed:
    """Apply ``commands`` one after the other, in the order they were given."""
    sentences: list[str] = []
    refused: list[tuple[Command, str]] = []
    for command in sorted(commands, key=lambda command: command.at):
        try:
            state = _OBEY[command.kind](tick, command)
        except Refusal as refusal:
            refused.append((command, str(refusal)))
            continue
        tick = replace(tick, state=state)
        sentences.append(_said(command))
    return Obeyed(tick, tuple(sentences), tuple(refused))


def _pause(tick: Tick, command: Command) -> RolloutState:
    state = tick.state
    _refuse_if_over(tick)
    if state.phase in _BACK:
        raise Refusal(f"{state.phase}: a way back is never paused")
    if state.phase is Phase.HELD:
        raise Refusal("it is held already")
    if PauseReason.OPERATOR in state.pause_reasons:
        raise Refusal("it is paused already")
    return replace(state, pause_reasons=state.pause_reasons | {PauseReason.OPERATOR}, inconclusive_since=None)


def _resume(tick: Tick, command: Command) -> RolloutState:
    state = tick.state
    _refuse_if_over(tick)
    if state.phase is not Phase.HELD:
        if not state.pause_reasons:
            raise Refusal("it is neither paused nor held")
        return replace(state, pause_reasons=frozenset())
    if state.resume_phase is None:
        raise Refusal("nobody knows where it was held; abort or roll back")
    # The step begins anew: what led to the hold must show again in fresh measurements. Whoever steers, we take over.
    return _moved(tick, Trigger.OPERATOR_RESUME, command, pause_reasons=frozenset(), step_since=None)


def _promote(tick: Tick, command: Command) -> RolloutState:
    state = tick.state
    if state.is_watched and not state.is_closing:
        return _moved(tick, Trigger.OPERATOR_PROMOTE, command, warm_until=tick.now)
    _refuse_if_over(tick)
    if state.phase in (Phase.PENDING, Phase.PREPARING):
        raise Refusal(f"{tick.candidate} is not prepared yet")
    if state.phase is Phase.PROMOTING:
        raise Refusal(f"{tick.candidate} is being promoted already")
    if state.phase in _BACK or (state.phase is Phase.HELD and state.resume_phase in {*_BACK, Phase.PREPARING}):
        raise Refusal(f"{tick.candidate} is on the way back, or was never prepared; start a new rollout")
    if tick.blocking_verdict is Verdict.FAIL:
        failing = (*tick.firing(AlarmAction.ROLLBACK), *tick.firing(AlarmAction.HOLD))
        raise Refusal(f"an alarm fails: {failing[0].sentence}")
    if alerts := (*tick.alerts(AlarmAction.ROLLBACK), *tick.alerts(AlarmAction.HOLD)):
        raise Refusal(f"an alert fires: {alerts[0].sentence}")
    if tick.breaker:
        raise Refusal(tick.breaker)
    wrong = unsettled(tick)
    if wrong:
        raise Refusal(f"not everything is as it must be: {', '.join(wrong)}")
    is_accepted = Phase.BAKING in (state.phase, state.resume_phase)
    changes = {"is_bake_waived": is_accepted or state.is_bake_waived, "pause_reasons": frozenset(), "weight_pct": 100.0}
    if not is_accepted:
        changes["step_since"] = None
    return _moved(tick, Trigger.OPERATOR_PROMOTE, command, **changes)


def _abort(tick: Tick, command: Command) -> RolloutState:
    state = tick.state
    _refuse_if_over(tick)
    if state.phase in _BACK:
        raise Refusal("it is on the way back already")
    if state.phase is Phase.HELD and (state.resume_phase in _BACK or _has_no_way_back(tick)):
        return _moved(tick, Trigger.GIVEN_UP, command, ended_by="operator")
    if state.phase is Phase.BAKING or (state.phase is Phase.HELD and state.resume_phase in _PROMOTED):
        raise Refusal(f"{tick.candidate} is promoted; roll it back instead")
    return _moved(tick, Trigger.OPERATOR_ABORT, command, ended_by="operator")


def _rollback(tick: Tick, command: Command) -> RolloutState:
    state = tick.state
    if state.phase is Phase.SUCCEEDED:
        raise Refusal(f"it is over ({state.phase}); start a rollout of {tick.stable or 'another version'} instead")
    _refuse_if_over(tick)
    if state.phase in _BACK:
        raise Refusal("it is on the way back already")
    if _has_no_way_back(tick):
        raise Refusal(f"{tick.candidate} is the first version: there is none to return to")
    if state.phase is Phase.HELD and state.resume_phase in _BACK:
        # Once more from the start of the way back.
        return _moved(tick, Trigger.OPERATOR_RESUME, command)
    was_promoted = state.phase is not Phase.HELD or state.resume_phase in {Phase.PROMOTING, Phase.BAKING}
    trigger = Trigger.OPERATOR_ROLLBACK if was_promoted else Trigger.OPERATOR_ABORT
    return _moved(tick, trigger, command, ended_by="operator")


_OBEY: Mapping[CommandKind, Callable[[Tick, Command], RolloutState]] = {
    CommandKind.PAUSE: _pause,
    CommandKind.RESUME: _resume,
    CommandKind.PROMOTE: _promote,
    CommandKind.ABORT: _abort,
    CommandKind.ROLLBACK: _rollback,
}


def _has_no_way_back(tick: Tick) -> bool:
    promoted = {Phase.PROMOTING, Phase.BAKING}
    return tick.stable is None and (tick.state.phase in promoted or tick.state.resume_phase in promoted)


def _refuse_if_over(tick: Tick) -> None:
    if tick.state.phase.is_terminal:
        raise Refusal(f"it is over ({tick.state.phase})")


def _moved(tick: Tick, trigger: Trigger, command: Command, **changes: object) -> RolloutState:
    changes = {"epoch": tick.highest_epoch, **changes}
    return moved(tick.state, trigger, _said(command), tick.now, changes)


def _said(command: Command) -> str:
    why = f": {command.reason}" if command.reason else ""
    return f"{command.kind} by {command.actor}{why}"
