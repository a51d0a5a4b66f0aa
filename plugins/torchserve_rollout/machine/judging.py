"""Which measurements a rollout is judged on right now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from torchserve_rollout.analysis.before import judge_stable, relaxed
from torchserve_rollout.analysis.judge import AlarmClock, judge, judgement_of
from torchserve_rollout.analysis.samples import TickEvidence, accumulate
from torchserve_rollout.analysis.verdict import Judgement, Verdict
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.spec.metric import signal_of
from torchserve_rollout.spec.plan import final_bake_of, mirror_share, steps_of
from torchserve_rollout.spec.schema import RolloutSpec
from torchserve_rollout.spec.signals import Asked

_STRETCH_S: Final = 600.0
_PROMOTED: Final = frozenset({Phase.PROMOTING, Phase.BAKING, Phase.SUCCEEDED})


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
    is_over, whole = is_bake_over(state, spec, now), _share_of_whole(state, spec)
    judged = judge(spec, ledger, is_bake_over=is_over, recent=recent, clock=clock, share=whole)
    stretch = stretch_after_success(state, now)
    if stretch is None:
        return judged
    begun = max(since, stretch.begun)
    ledger = accumulate(evidence, begun, stable_since=stable_since)
    return _with_stretch(spec, judged, judge(spec, ledger, recent=recent, clock=clock, share=stretch.share))


@dataclass(frozen=True, slots=True)
class Stretch:
    """Part of the time after success, judged by itself with its ``share`` of the chance of a false alarm."""

    begun: datetime
    share: float


def stretch_after_success(state: RolloutState, now: datetime) -> Stretch | None:
    """The stretch that ``now`` lies in; None while nothing is watched.

    A fault that begins hours after success would drown in all that went well before. So after success every ten
    minutes are also judged by themselves. The n-th stretch (n = 2, 3, …) has 1 / n(n+1) of the chance of a false alarm,
    which is a half for all there can ever be; the other half is for the whole time since the promotion.
    """
    if not state.is_watched:
        return None
    passed = max(0, int((now - state.phase_since).total_seconds() // _STRETCH_S))
    begun = state.phase_since + timedelta(seconds=passed * _STRETCH_S)
    return Stretch(begun, 1 / ((passed + 2) * (passed + 3)))


def _share_of_whole(state: RolloutState, spec: RolloutSpec) -> float:
    """What is left for the time since the promotion as a whole, where stretches of it will be judged too."""
    phase = state.resume_phase if state.phase is Phase.HELD else state.phase
    return 0.5 if phase in _PROMOTED and spec.keep_prior else 1.0


def _with_stretch(spec: RolloutSpec, whole: Judgement, stretch: Judgement) -> Judgement:
    """Of each alarm what the whole says, unless it fires in the stretch; timed rules look at the stretch alone."""
    pairs = zip(spec.alarms, whole.alarms, stretch.alarms, strict=True)
    return judgement_of(
        tuple(
            latest if asked.is_timed or latest.verdict is Verdict.FAIL else overall for asked, overall, latest in pairs
        )
    )


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
