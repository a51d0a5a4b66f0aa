"""Quantiles through exceedances: "p95 is above 2 s" is "more than 5 % take longer than 2 s", a rate.

Histogram buckets only tell for certain what lies beyond a bucket's bound; where a bound of the rule falls inside a
bucket, the bucket is counted in favour of the version, so that no alarm fires on a guess.
"""

from __future__ import annotations

import math

from torchserve_rollout.analysis.samples import Histogram
from torchserve_rollout.analysis.sequential import Cohort, log_evidence_above


def surely_above(histogram: Histogram, value: float) -> Cohort:
    """How many of the samples are certainly above ``value``."""
    lowers = (-math.inf, *histogram.upper_bounds[:-1])
    above = sum(count for lower, count in zip(lowers, histogram.counts, strict=True) if lower >= value)
    return Cohort(histogram.n, above)


def surely_at_most(histogram: Histogram, value: float) -> Cohort:
    """How many of the samples are certainly not above ``value``."""
    pairs = zip(histogram.upper_bounds, histogram.counts, strict=True)
    return Cohort(histogram.n, sum(count for upper, count in pairs if upper <= value))


def log_evidence_quantile_above(histogram: Histogram, q: float, bound: float) -> float:
    """log E against "the ``q``-quantile is at most ``bound``"."""
    return log_evidence_above(surely_above(histogram, bound), 1 - q)


def log_evidence_quantile_below(histogram: Histogram, q: float, bound: float) -> float:
    """log E against "the ``q``-quantile is at least ``bound``"."""
    return log_evidence_above(surely_at_most(histogram, bound), q)


def log_evidence_quantile_higher(
    higher: Histogram, lower: Histogram, q: float, margin: float, ratio: float = 1.0
) -> float:
    """log E against "the ``q``-quantile of ``higher`` is at most ``ratio`` times that of ``lower`` + ``margin``".

    Were it true, then for every x either ``higher`` exceeds x in at most 1 − q of the cases, or ``lower`` exceeds
    (x − ``margin``) / ``ratio`` in at least 1 − q. The lesser of the two evidences against these is an e-process for
    one x; the average over all bucket bounds is one that need not know x.
    """
    bounds = [bound for bound in higher.upper_bounds if math.isfinite(bound)]
    if not bounds or not higher.n or not lower.n:
        return 0.0
    logs = []
    for x in bounds:
        of_higher = log_evidence_above(surely_above(higher, x), 1 - q)
        if of_higher > 0:
            of_lower = log_evidence_above(surely_at_most(lower, (x - margin) / ratio), q)
            logs.append(min(of_higher, of_lower))
    top = max(logs, default=0.0)
    if top <= 0:
        return 0.0
    return max(0.0, top + math.log(sum(math.exp(log - top) for log in logs)) - math.log(len(bounds)))
