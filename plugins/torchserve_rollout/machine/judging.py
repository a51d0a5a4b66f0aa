"""Which measurements a rollout is judged on right now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from torchserve_rollout.analysis.before import judge_stable, relaxed
from torchserve_rollout.analysis.judge import AlarmClock, judge
from torchserve_rollout.analysis.samples import TickEvidence, accumulate
from torchserve_rollout.analysis.verdict import Judgement, Verdict
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.spec.metric import signal_of
from torchserve_rollout.spec.plan import final_bake_of, mirror_share, steps_of
from torchserve_rollout.spec.schema import RolloutSpec
from torchserve_rollout.spec.signals import Asked


def judge_window(
    state: RolloutState, spec: RolloutSpec, evidence: Sequence[TickEvidence], now: datetime
) -> Judgement | None:
    """The judgement that :func:`~torchserve_rollout.machine.decide.decide` takes; None while no window is open.

    ``evidence`` holds the rollout's ticks in order, at least those since ``baseline_of(state)``. A window begins when
    the current weight is in force on every node; both cohorts are counted in the same window, except at 100 %, where
    stable gets no requests: its samples are then those of the last window in which it did.
    """
    since = judged_since(state.step_since, spec)
    if state.stable is None:
        return None  # a first version: there is nobody to compare with, and nobody to return to
    if state.phase is Phase.PREPARING and state.baseline_since is not None:
        return judge_stable(spec, accumulate(evidence, state.baseline_since))
    if since is None or not (state.is_armed or state.phase is Phase.HELD):
        return None
    stable_since = judged_since(baseline_of(state), spec) if state.weight_pct >= 100 else None
    ledger = accumulate(evidence, since, stable_since=stable_since)
    recent = {
        window_s: accumulate(evidence, max(since, now - timedelta(seconds=window_s)), stable_since=stable_since)
        for window_s in _windows(spec)
    }
    spec = relaxed(_armed(spec, state), state.baselines)
    clock = AlarmClock(now, state.broken_since)
    return judge(spec, ledger, is_bake_over=is_bake_over(state, spec, now), recent=recent, clock=clock)


def _armed(spec: RolloutSpec, state: RolloutState) -> RolloutSpec:
    """The spec with those of its alarms for which there are requests to look at under the present weight.

    The chance of a false alarm is shared anew over what is left, which keeps its sum over all windows.
    """
    steps = steps_of(spec, state.stable)
    is_stepping = state.weight_pct < 100 and 0 <= state.step_index < len(steps)
    asked = {Asked.ANY}
    if state.weight_pct > 0 or spec.cohort is not None:
        asked.add(Asked.USERS)
    if is_stepping and mirror_share(spec, steps[state.step_index]):
        asked.add(Asked.COPIES)
    armed = tuple(alarm for alarm in spec.alarms if (signal := signal_of(alarm)) is None or signal.asked in asked)
    return spec if len(armed) == len(spec.alarms) else spec.model_copy(update={"alarms": armed})


def judged_since(weight_since: datetime | None, spec: RolloutSpec) -> datetime | None:
    """From when samples count, under a weight that is in force since ``weight_since``: after the warm-up."""
    return None if weight_since is None else weight_since + timedelta(seconds=spec.warm_up)


def _windows(spec: RolloutSpec) -> set[float]:
    return {alarm.window for alarm in spec.alarms if alarm.window is not None}


def noted(state: RolloutState, spec: RolloutSpec, judgement: Judgement | None, now: datetime) -> RolloutState:
    """The state with what has to be remembered of a judgement: since when rules are broken, or sources fail."""
    if judgement is None:
        return state
    broken = {alarm.alarm: alarm.broken_since for alarm in judgement.alarms if alarm.broken_since is not None}
    is_blind = any(alarm.verdict is Verdict.ERROR for alarm in judgement.alarms if alarm.is_blocking)
    return replace(state, broken_since=broken, blind_since=(state.blind_since or now) if is_blind else None)


def baseline_of(state: RolloutState) -> datetime | None:
    """The moment from which evidence may still be needed."""
    moments = [moment for moment in (state.baseline_since, state.step_since) if moment is not None]
    return min(moments, default=None)


def is_bake_over(state: RolloutState, spec: RolloutSpec, now: datetime) -> bool:
    """Whether the weight was in force for as long as the current step, or the final bake, asks for.

    After promotion only a final bake has an end; without one no data is waited for, and none can be missed.
    """
    if state.step_since is None:
        return False
    baked_s = (now - state.step_since).total_seconds()
    steps = steps_of(spec, state.stable)
    if state.phase is Phase.PROGRESSING and state.step_index < len(steps):
        return baked_s >= steps[state.step_index].bake
    return state.phase is Phase.BAKING and 0 < final_bake_of(spec, state.stable) <= baked_s
