"""Quantiles through exceedances: "p95 is above 2 s" is "more than 5 % take longer than 2 s", a rate.

Histogram buckets only tell for certain what lies beyond a bucket's bound. Where the fixed bound of a rule falls inside
a bucket, the bucket is counted in favour of the version, so that no alarm fires on a guess. Where two versions are
compared, the same line is drawn through both their buckets.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betaln, logsumexp, xlog1py, xlogy

from torchserve_rollout.analysis.samples import Histogram, quantile
from torchserve_rollout.analysis.sequential import Cohort, log_evidence_above

Floats = NDArray[np.float64]
# How many samples the priors around a share are worth: far off to very near. Of the lower cohort, mostly stable, there
# are many samples, and its quantile must be known well; the higher is most likely far off.
_LOWER_STRENGTHS: Final = (30.0, 300.0, 3000.0, 30000.0)
_HIGHER_STRENGTHS: Final = (2.0, 20.0, 200.0, 2000.0)
_POINTS: Final = 128


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

    Quantiles are those that :func:`~torchserve_rollout.analysis.samples.quantile` reads off a histogram: linear within
    a bucket. The share beyond x is then the mean of a value in 0–1 (1 beyond x's bucket, a part within it), and "x is
    the quantile" says that this mean is 1 − q. For every pair of quantiles that obeys the rule the product of both
    cohorts' evidence against theirs is a supermartingale, however the two are interleaved; the infimum over all such
    pairs is an e-process (universal inference; sources in ``sequential``).
    """
    if not higher.n or not lower.n or len(higher.upper_bounds) < 2:
        return 0.0
    bounds, beyond_higher, beyond_lower = _edges(higher), _beyond(higher), _beyond(lower)
    allowed = 1 - q
    # Below the one and above the other quantile as observed (give or take a request) the product only grows.
    begin = _where(bounds, beyond_lower, lower.n * allowed + 1)
    end = (_where(bounds, beyond_higher, max(higher.n * allowed - 1, 0.0)) - margin) / ratio
    if end <= begin or quantile(higher, q) <= ratio * quantile(lower, q) + margin:
        return 0.0
    kinks = np.concatenate([bounds, (bounds - margin) / ratio])
    at = np.unique(np.concatenate([np.linspace(begin, end, _POINTS), kinks[(kinks > begin) & (kinks < end)]]))
    of_lower = _evidence_against_share(lower.n, np.interp(at, bounds, beyond_lower), allowed, _LOWER_STRENGTHS)
    beyond = np.interp(ratio * at + margin, bounds, beyond_higher)
    of_higher = np.minimum.accumulate(_evidence_against_share(higher.n, beyond, allowed, _HIGHER_STRENGTHS))
    # Between two points each of the two is at least the lesser of its ends.
    return max(0.0, float(np.min(of_higher[1:] + np.minimum(of_lower[:-1], of_lower[1:]))))


def quantile_interval(histogram: Histogram, q: float, alpha: float) -> tuple[float, float | None]:
    """Holds the true ``q``-quantile at all times at once with probability at least 1 − ``alpha``.

    It is where the evidence against "this is the quantile" stays below 1/``alpha``. The upper end is None where that
    may lie beyond all buckets.
    """
    bounds, beyond, share = _edges(histogram), _beyond(histogram), 1 - q

    def excess(number: float) -> float:
        against = _evidence_against_share(histogram.n, np.array([number]), share, _HIGHER_STRENGTHS)
        return float(against[0]) + math.log(alpha)

    middle, n = histogram.n * share, float(histogram.n)
    if excess(middle) >= 0:
        return float(bounds[0]), None
    most = float(brentq(excess, middle, n)) if excess(n) > 0 else n
    least = float(brentq(excess, 0.0, middle)) if excess(0.0) > 0 else 0.0
    is_bounded = least > 0 and least >= beyond[-1]
    return _where(bounds, beyond, most), _where(bounds, beyond, least) if is_bounded else None


def _edges(histogram: Histogram) -> Floats:
    """0 and the finite bounds: what lies beyond the last of them counts as lying at it, as ``quantile`` has it."""
    return np.array([0.0, *(bound for bound in histogram.upper_bounds if math.isfinite(bound))])


def _beyond(histogram: Histogram) -> Floats:
    """How many samples lie beyond each of the edges; from the largest number to the smallest."""
    counts = np.array(histogram.counts, dtype=np.float64)
    edges = len(_edges(histogram))
    return np.asarray(histogram.n - np.concatenate([[0.0], np.cumsum(counts)])[:edges], dtype=np.float64)


def _where(bounds: Floats, beyond: Floats, number: float) -> float:
    """The value beyond which ``number`` samples lie."""
    return float(np.interp(-number, -beyond, bounds))


def _evidence_against_share(n: int, beyond: Floats, share: float, strengths: tuple[float, ...]) -> Floats:
    """log E against "a sample is beyond with chance ``share``", for each number of samples beyond (they may be parts).

    A mixture of Beta priors around that share; the likelihood ratio of a value anywhere in 0–1 is a supermartingale in
    either direction (Hoeffding 1963). It is least, within a sample, where just that share is beyond.
    """
    priors = [(strength * share, strength * (1 - share)) for strength in strengths]
    mixed = logsumexp([betaln(beyond + a, n - beyond + b) - betaln(a, b) for a, b in priors], axis=0)
    return np.asarray(mixed - math.log(len(priors)) - xlogy(beyond, share) - xlog1py(n - beyond, -share))
