"""How many requests an alarm needs to see an effect: the judge itself, asked with exactly the expected counts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from torchserve_rollout.analysis.blocks import evenly
from torchserve_rollout.analysis.judge import judge
from torchserve_rollout.analysis.samples import Histogram, Measurement, Pairs, Rate, Sample, Scores
from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.spec.metric import signal_of
from torchserve_rollout.spec.plan import format_value, mirror_share
from torchserve_rollout.spec.schema import AlarmSpec, RolloutSpec, StepSpec
from torchserve_rollout.spec.signals import Asked, Kind, Signal, Unit, Worse
from torchserve_rollout.units import format_duration, format_pct

_MOST: Final = 100_000_000
# What stable is taken to do where the spec does not tell: one request in a hundred fails, nine answers in ten are good.
_STABLE_SHARE: Final = 0.01
_STABLE_SCORE: Final = 0.9
# The least effect worth planning for: five points of a share, ten of a score.
_LEAST_SHARE: Final = 0.05
_LEAST_SCORE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Need:
    """What one alarm needs at one weight. ``samples`` is None when it cannot see the effect however long it looks."""

    alarm: str
    step: str
    weight_pct: float
    effect: str
    samples: int | None
    seconds: float | None
    sentence: str
    warning: str = ""


def needs(spec: RolloutSpec, rate_per_s: float | None = None) -> tuple[Need, ...]:
    """For each alarm that makes tests, and each step, the candidate's requests until it fires.

    ``rate_per_s`` is the traffic of the whole model; without it nothing is said of time.
    """
    found = []
    for alarm in spec.alarms:
        signal = signal_of(alarm)
        if signal is None or alarm.is_timed or signal.kind.is_plain:
            continue
        for number, step in enumerate(spec.steps, 1):
            if _share(spec, signal, step) > 0:
                found.append(_need(spec, alarm, signal, f"step {number}", step, rate_per_s))
    return tuple(found)


def _share(spec: RolloutSpec, signal: Signal, step: StepSpec) -> float:
    """Which share of the model's requests says something of the signal."""
    if signal.asked is Asked.COPIES:
        return mirror_share(spec, step) * (1 - step.weight / 100)
    return step.weight / 100


def _need(
    spec: RolloutSpec, alarm: AlarmSpec, signal: Signal, name: str, step: StepSpec, rate_per_s: float | None
) -> Need:
    stable, candidate = _levels(alarm, signal)
    effect = _effect(signal, stable, candidate, alarm.is_comparison)
    samples = _samples(spec, alarm, signal, step.weight, (stable, candidate))
    # Probes come at their own pace, which no traffic changes.
    share = _share(spec, signal, step)
    per_s = rate_per_s * share if rate_per_s and not signal.needs_probe else None
    seconds = samples / per_s if samples is not None and per_s else None
    if samples is None:
        said = f"{alarm.name} cannot see {effect} at {_round_pct(share)}"
        return Need(alarm.name, name, step.weight, effect, None, None, said, f"{name}: {said}")
    is_copied = signal.asked is Asked.COPIES
    unit = "scores" if signal.kind is Kind.SCORE else "pairs" if is_copied else "requests of the candidate"
    said = f"{alarm.name} sees {effect} after about {samples} {unit}"
    if seconds is None:
        return Need(alarm.name, name, step.weight, effect, samples, None, said)
    said = f"{said}: {format_duration(max(1.0, round(seconds)))} at {_round_pct(share)} of {rate_per_s:g}/s"
    judged_s = step.bake - spec.warm_up
    is_short = seconds > judged_s and (step.min_requests < samples)
    warning = f"{name} bakes {format_duration(step.bake)}, too short for {alarm.name}: {said}" if is_short else ""
    return Need(alarm.name, name, step.weight, effect, samples, seconds, said, warning)


def _levels(alarm: AlarmSpec, signal: Signal) -> tuple[float, float]:
    """What stable does, and a candidate that must be found out.

    Of a quantile the share of requests beyond the bound; it is enough to know that twice as many are there as may be.
    """
    if signal.quantile is not None:
        allowed = 1 - signal.quantile
        return allowed / 2, min(1.0, 2 * allowed)
    is_score, is_higher = signal.kind is Kind.SCORE, signal.worse is Worse.HIGHER
    least = _LEAST_SCORE if is_score or signal.usual is not None else _LEAST_SHARE
    stable = signal.usual if signal.usual is not None else _STABLE_SCORE if is_score else _STABLE_SHARE
    if alarm.worse_than_stable_by is not None:
        by = alarm.effect if alarm.effect is not None else alarm.worse_than_stable_by + least
    elif alarm.worse_than_stable_ratio is not None:
        default = stable * (2 * alarm.worse_than_stable_ratio - 1) if is_higher else least
        by = alarm.effect if alarm.effect is not None else default
    else:
        bound = alarm.max if alarm.max is not None else alarm.min
        stable = bound if bound is not None else stable
        by = alarm.effect if alarm.effect is not None else least
        is_higher = alarm.max is not None
    return stable, min(1.0, max(0.0, stable + by if is_higher else stable - by))


def _round_pct(share: float) -> str:
    return format_pct(round(100 * share, 4))


def _effect(signal: Signal, stable: float, candidate: float, is_compared: bool) -> str:
    if signal.quantile is not None:
        return f"{format_value(candidate, Unit.SHARE)} of the {signal.name} values beyond the bound"
    said = f"{signal.name} {format_value(candidate, signal.unit)}"
    return f"{said} against {format_value(stable, signal.unit)}" if is_compared else said


def _samples(
    spec: RolloutSpec, alarm: AlarmSpec, signal: Signal, weight_pct: float, levels: tuple[float, float]
) -> int | None:
    """The least number of the candidate's samples with which the alarm fires."""

    def fires(n: int) -> bool:
        is_even = signal.kind is Kind.SCORE or signal.asked is Asked.COPIES
        of_stable = n if is_even else round(n * (100 - weight_pct) / weight_pct)
        measured = Measurement(
            signal.name,
            candidate=_expected(alarm, signal, n, levels[1]),
            stable=_expected(alarm, signal, of_stable, levels[0]),
            blocks=evenly(n, n * levels[1], of_stable, of_stable * levels[0]),
        )
        if signal.kind is Kind.PAIRED:
            measured = Measurement(signal.name, Pairs(n, round(n * levels[1]), round(n * levels[0])))
        judged = judge(spec, {alarm.signal_key: measured}, is_brief=True).alarms
        return next(each for each in judged if each.alarm == alarm.name).verdict is Verdict.FAIL

    high = max(1, alarm.min_samples)
    while not fires(high):
        high *= 2
        if high > _MOST:
            return None
    low = max(alarm.min_samples - 1, high // 2)
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if fires(middle) else (middle, high)
    return high


def _expected(alarm: AlarmSpec, signal: Signal, n: int, level: float) -> Sample:
    bad = round(n * level)
    if signal.kind is Kind.SCORE:
        return Scores(n, bad, bad)
    if signal.kind is Kind.RATE:
        return Rate(bad, n)
    bound = alarm.max if alarm.max is not None else alarm.min if alarm.min is not None else 1.0
    beyond = bound * max(2.0, alarm.worse_than_stable_ratio or 1.0) + 2 * (alarm.worse_than_stable_by or 0.0) + 1.0
    return Histogram(
        (bound, beyond, math.inf), (n - bad, 0, bad) if signal.worse is Worse.HIGHER else (bad, 0, n - bad)
    )
