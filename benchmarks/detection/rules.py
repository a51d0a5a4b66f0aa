"""The decision rules of others, and ours: in which second each would have turned the rollout back.

Written from their documentation. A rule with a fixed threshold is given one that a good operator would choose knowing
stable's true level: twice its error rate (at least half a percent), a quarter above its p95, five points below its
score. Where a rule reads a window of five minutes, its first look is after the first minute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.detection.streams import BOUNDS, P95_S, Side, Stream
from torchserve_rollout.analysis.judge import judge
from torchserve_rollout.analysis.samples import (
    Histogram,
    Measurement,
    Rate,
    Sample,
    Scores,
    TickEvidence,
    accumulate,
)
from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.spec.schema import RolloutSpec

Rule = Callable[[Stream], int | None]
"""The second after which the rule turns the rollout back; None when it never does."""
MINUTE: Final = 60
AT: Final = datetime(2026, 1, 1, tzinfo=timezone.utc)
BEFORE: Final = AT - timedelta(seconds=1)


def value(side: Side, begin: int, end: int) -> float:
    """Error rate, badness of the score, or p95 in seconds, over [begin, end); NaN without requests."""
    begin = max(0, begin)
    total = int(side.total[begin:end].sum())
    if not total:
        return float("nan")
    if side.buckets is None:
        return float(side.bad[begin:end].sum() / total)
    reached = np.cumsum(side.buckets[begin:end].sum(axis=0))
    index = int(np.searchsorted(reached, 0.95 * total))
    low, high = (BOUNDS[index - 1] if index else 0.0), BOUNDS[index]
    before = reached[index - 1] if index else 0
    inside = reached[index] - before
    return low if high == float("inf") else low + (high - low) * (0.95 * total - before) / max(1, inside)


def threshold(stream: Stream) -> float:
    """What a fixed limit is set to."""
    if stream.scenario.signal == "latency_p95":
        return 1.25 * P95_S
    if stream.scenario.signal == "error_rate":
        return max(0.005, 2 * stream.scenario.stable)
    return 1 - stream.scenario.stable + 0.05


def is_bad(stream: Stream, begin: int, end: int) -> bool:
    """Whether the window breaks the limit; no requests do not."""
    return value(stream.candidate, begin, end) > threshold(stream)


def naive(stream: Stream) -> int | None:
    """Everything so far against the limit, every second, from the 20th request on."""
    seen = np.cumsum(stream.candidate.total)
    return next((t for t in range(1, stream.seconds + 1) if seen[t - 1] >= 20 and is_bad(stream, 0, t)), None)


def argo_inline(stream: Stream) -> int | None:
    """One measurement over ``[5m]`` when the step's minute is over; the first failure ends it."""
    return MINUTE if is_bad(stream, 0, MINUTE) else None


def argo_background(stream: Stream) -> int | None:
    """``interval: 5m``, ``failureLimit: 3``: measurements at 1, 6, 11 … minutes; the fourth failure."""
    return _nth(4, (t for t in range(MINUTE, stream.seconds + 1, 300) if is_bad(stream, t - 300, t)))


def flagger(interval_s: int, limit: int) -> Rule:
    """A check each interval over ``[1m]``; failures are never forgotten; the tick after the last one rolls back.

    No requests fail the check.
    """

    def rule(stream: Stream) -> int | None:
        failed = (
            t
            for t in range(interval_s, stream.seconds + 1, interval_s)
            if is_bad(stream, t - MINUTE, t) or not stream.candidate.total[max(0, t - MINUTE) : t].sum()
        )
        last = _nth(limit, failed)
        return None if last is None else last + interval_s

    return rule


def cloudwatch(stream: Stream) -> int | None:
    """``Period: 300``, ``EvaluationPeriods: 2``: both of the last two periods break the limit."""
    ends = range(300, stream.seconds + 1, 300)
    return next((t for t in ends if t >= 600 and is_bad(stream, t - 300, t) and is_bad(stream, t - 600, t - 300)), None)


def kayenta(stream: Stream) -> int | None:
    """Each hour, on a point a minute: the 98 % interval of the Hodges–Lehmann shift beyond ±25 % of its estimate."""
    for end in range(3600, stream.seconds + 1, 3600):
        points = [_points(side, end) for side in (stream.candidate, stream.stable)]
        if min(map(len, points)) >= 2 and _is_high(*points):
            return end
    return None


def _points(side: Side, end: int) -> NDArray[np.float64]:
    values = [value(side, t - MINUTE, t) for t in range(MINUTE, end + 1, MINUTE)]
    return np.array([each for each in values if not math.isnan(each)])


def _is_high(candidate: NDArray[np.float64], stable: NDArray[np.float64]) -> bool:
    shifts = np.sort((candidate[:, None] - stable[None, :]).ravel())
    estimate = float(np.median(shifts))
    n, m = len(candidate), len(stable)
    rank = n * m / 2 - stats.norm.ppf(0.99) * np.sqrt(n * m * (n + m + 1) / 12)
    low = float(shifts[max(0, int(rank))])
    return low > 0.25 * abs(estimate) and low > 0


def ours(stream: Stream) -> int | None:
    """``worse_than_stable_by: 0`` at the default confidence of 0.99: every second, later every ten (never sooner)."""
    signal = stream.scenario.signal
    alarm = {
        "name": "x",
        "signal": signal,
        "worse_than_stable_by": 0,
        "probe": "p" if signal == "probe_score" else None,
    }
    fields = {"model": "m", "steps": [{"weight": 5}], "alarms": [alarm]}
    spec = RolloutSpec.model_validate(fields)
    so_far: tuple[TickEvidence, ...] = ()
    begin = 0
    for end in _looks(stream.seconds):
        ticks = [_tick(stream, spec.alarms[0].signal_key, second) for second in range(begin, end)]
        ledger = accumulate((*so_far, *ticks), BEFORE)
        if judge(spec, ledger, is_brief=True).verdict is Verdict.FAIL:
            return end
        so_far, begin = (TickEvidence(AT, ledger),), end
    return None


def _looks(seconds: int) -> Iterator[int]:
    yield from range(1, min(seconds, 120) + 1)
    yield from range(130, seconds + 1, 10)


def _tick(stream: Stream, key: str, second: int) -> TickEvidence:
    signal = stream.scenario.signal
    candidate, stable = _sample(stream.candidate, signal, second), _sample(stream.stable, signal, second)
    return TickEvidence(AT, {key: Measurement(signal, candidate, stable)})


def _sample(side: Side, signal: str, second: int) -> Sample:
    total, bad = int(side.total[second]), int(side.bad[second])
    if side.buckets is not None:
        return Histogram(BOUNDS, tuple(side.buckets[second].tolist()))
    return Rate(bad, total) if signal == "error_rate" else Scores(total, total - bad, total - bad)


def _nth(n: int, moments: Iterator[int]) -> int | None:
    return next((moment for number, moment in enumerate(moments, 1) if number == n), None)


RULES: Final[Mapping[str, Rule]] = {
    "ours": ours,
    "naive threshold": naive,
    "Argo inline": argo_inline,
    "Argo background": argo_background,
    "Flagger defaults": flagger(60, 1),
    "Flagger docs": flagger(60, 10),
    "CloudWatch 2 of 2": cloudwatch,
    "Kayenta": kayenta,
}
