"""Before the start: alarms that fire on stable say nothing of the candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from torchserve_rollout.analysis.judge import judge
from torchserve_rollout.analysis.samples import Measurement
from torchserve_rollout.analysis.verdict import Judgement, worst
from torchserve_rollout.spec.metric import signal_of
from torchserve_rollout.spec.schema import AlarmSpec, RolloutSpec

# A candidate that is as stable is would look broken every other time, were it held to stable's very value.
_ROOM: Final = 1.1


def judge_stable(spec: RolloutSpec, ledger: Mapping[str, Measurement]) -> Judgement | None:
    """The alarms of ``spec`` whose fixed bounds are broken by stable itself; None when there are none.

    ``ledger`` holds what stable did before the first request was moved. Comparisons and dry runs are left out.
    """
    fixed = tuple(_only_fixed(alarm) for alarm in spec.alarms if _has_fixed_bound(alarm))
    if not fixed:
        return None
    stable = {key: replace(each, candidate=each.stable, stable=None) for key, each in ledger.items()}
    recent = {alarm.window: stable for alarm in fixed if alarm.window is not None}
    judged = judge(spec.model_copy(update={"alarms": fixed}), stable, recent=recent)
    firing = tuple(
        replace(
            alarm,
            candidate=None,
            stable=alarm.candidate,
            candidate_n=0,
            stable_n=alarm.candidate_n,
            broken_since=None,
            candidate_interval=None,
            stable_interval=alarm.candidate_interval,
        )
        for alarm in judged.failing()
    )
    if not firing:
        return None
    sentence = "; ".join(alarm.sentence for alarm in firing)
    return Judgement(worst(alarm.verdict for alarm in firing), firing, sentence, judged.judge)


def relaxed(spec: RolloutSpec, baselines: Mapping[str, float]) -> RolloutSpec:
    """The spec whose alarms that fired on stable allow what stable did, and a tenth more.

    Args:
        baselines: by the name of the alarm, what was seen on stable.
    """
    if not baselines:
        return spec
    return spec.model_copy(update={"alarms": tuple(_relaxed(each, baselines.get(each.name)) for each in spec.alarms)})


def _relaxed(alarm: AlarmSpec, value: float | None) -> AlarmSpec:
    if value is None:
        return alarm
    signal = signal_of(alarm)
    highest = 1.0 if signal is not None and signal.unit.is_up_to_one else float("inf")
    changes: dict[str, float] = {}
    if alarm.max is not None and value > alarm.max:
        changes["max"] = min(_ROOM * value, highest)
    if alarm.min is not None and value < alarm.min:
        changes["min"] = value / _ROOM
    return alarm.model_copy(update=changes)


def _has_fixed_bound(alarm: AlarmSpec) -> bool:
    return alarm.is_blocking and (alarm.max is not None or alarm.min is not None)


def _only_fixed(alarm: AlarmSpec) -> AlarmSpec:
    return alarm.model_copy(update={"worse_than_stable_by": None, "worse_than_stable_ratio": None, "for_s": None})
