"""A quantile is judged by how many exceed it; a bucket that says neither is counted in favour."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp

from torchserve_rollout.analysis.exceedance import (
    _HIGHER_STRENGTHS,
    _LOWER_STRENGTHS,
    _evidence_against_share,
    log_evidence_quantile_above,
    log_evidence_quantile_below,
    log_evidence_quantile_higher,
    quantile_interval,
    surely_above,
    surely_at_most,
)
from torchserve_rollout.analysis.samples import Histogram, quantile
from torchserve_rollout.analysis.sequential import log_evidence_above

BOUNDS = (0.1, 0.5, 1.0, 2.0, 4.0, math.inf)


def histogram(*counts: int) -> Histogram:
    return Histogram(BOUNDS, counts)


def test_only_buckets_that_lie_wholly_beyond_the_bound_count() -> None:
    h = histogram(1, 2, 3, 4, 5, 6)
    assert surely_above(h, 2.0).total == 11
    assert surely_above(h, 1.5).total == 11
    assert surely_above(h, 5.0).total == 0
    assert surely_at_most(h, 2.0).total == 10
    assert surely_at_most(h, 1.5).total == 6
    assert surely_at_most(h, 1000.0).total == 15


def test_a_quantile_rule_is_a_rule_on_the_rate_of_exceedance() -> None:
    h = histogram(0, 50, 30, 0, 20, 0)
    assert log_evidence_quantile_above(h, 0.95, 2.0) == log_evidence_above(surely_above(h, 2.0), 0.05) > 5
    assert log_evidence_quantile_above(h, 0.95, 4.0) == 0
    assert log_evidence_quantile_below(h, 0.50, 4.0) > 5
    assert log_evidence_quantile_below(h, 0.50, 0.1) == 0


def test_a_slower_candidate_is_told_from_stable() -> None:
    stable, slow = histogram(100, 800, 80, 20, 0, 0), histogram(10, 50, 20, 10, 10, 0)
    assert log_evidence_quantile_higher(slow, stable, 0.95, 0.0) > 5
    assert log_evidence_quantile_higher(stable, slow, 0.95, 0.0) == 0
    assert log_evidence_quantile_higher(slow, stable, 0.95, 5.0) == 0


@given(st.lists(st.integers(0, 200), min_size=6, max_size=6), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_a_version_is_never_slower_than_itself(counts: list[int], q: float) -> None:
    assert log_evidence_quantile_higher(histogram(*counts), histogram(*counts), q, 0.0) == 0


@given(
    st.lists(st.integers(0, 100), min_size=6, max_size=6),
    st.lists(st.integers(0, 100), min_size=6, max_size=6),
    st.sampled_from([0.001, 0.25, 60.0, 1000.0]),
)
def test_the_unit_of_time_does_not_matter(a: list[int], b: list[int], scale: float) -> None:
    scaled = tuple(bound * scale for bound in BOUNDS)
    plain = log_evidence_quantile_higher(histogram(*a), histogram(*b), 0.95, 0.0)
    other = log_evidence_quantile_higher(Histogram(scaled, tuple(a)), Histogram(scaled, tuple(b)), 0.95, 0.0)
    assert other == pytest.approx(plain)


def test_nothing_is_known_without_samples() -> None:
    empty = histogram(0, 0, 0, 0, 0, 0)
    assert log_evidence_quantile_higher(empty, histogram(1, 1, 1, 1, 1, 1), 0.95, 0.0) == 0
    assert log_evidence_quantile_higher(Histogram(), Histogram(), 0.95, 0.0) == 0


FINE = (0.5, 1.0, 1.5, 2.0, 3.0, math.inf)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.3])
@pytest.mark.parametrize("n", [5, 60, 400])
def test_a_true_share_is_expected_to_collect_no_evidence(n: int, share: float) -> None:
    beyond = np.arange(n + 1, dtype=np.float64)
    for strengths in (_LOWER_STRENGTHS, _HIGHER_STRENGTHS):
        log_e = _evidence_against_share(n, beyond, share, strengths)
        assert float(logsumexp(log_e + stats.binom.logpmf(beyond, n, share))) == pytest.approx(0.0, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 60), min_size=6, max_size=6),
    st.lists(st.integers(0, 600), min_size=6, max_size=6),
    st.sampled_from([0.5, 0.9]),
    st.sampled_from([(0.0, 1.0), (0.2, 1.0), (0.0, 1.3)]),
)
def test_the_evidence_of_two_quantiles_is_the_least_over_all_pairs_that_obey_the_rule(
    higher: list[int], lower: list[int], q: float, rule: tuple[float, float]
) -> None:
    """Against a fine grid over both quantiles; a bound from below never exceeds it."""
    margin, ratio = rule
    slow, fast = Histogram(FINE, tuple(higher)), Histogram(FINE, tuple(lower))
    found = log_evidence_quantile_higher(slow, fast, q, margin, ratio)
    edges, grid = np.array([0.0, *FINE[:-1]]), np.linspace(0, 3, 601)
    against = [
        _evidence_against_share(
            max(1, side.n), np.interp(grid, edges, side.n - np.cumsum([0, *side.counts[:-1]])), 1 - q, strengths
        )
        for side, strengths in ((slow, _HIGHER_STRENGTHS), (fast, _LOWER_STRENGTHS))
    ]
    obeys = grid[:, None] <= ratio * grid[None, :] + margin
    least = float(np.min(np.where(obeys, against[0][:, None] + against[1][None, :], np.inf)))
    assert found <= max(0.0, least) + 0.01
    if found > 0:
        assert found == pytest.approx(least, rel=0.1, abs=0.5)


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 200), min_size=6, max_size=6).filter(any),
    st.sampled_from([0.5, 0.9, 0.95]),
    st.sampled_from([0.01, 0.1]),
)
def test_the_interval_of_a_quantile_holds_what_is_observed_and_widens_with_the_confidence(
    counts: list[int], q: float, alpha: float
) -> None:
    histogram = Histogram(FINE, tuple(counts))
    low, high = quantile_interval(histogram, q, alpha)
    assert low <= quantile(histogram, q) + 1e-9 and (high is None or quantile(histogram, q) <= high + 1e-9)
    wider_low, wider_high = quantile_interval(histogram, q, alpha / 10)
    assert wider_low <= low and (wider_high is None or (high is not None and high <= wider_high))


def test_the_interval_of_a_quantile_misses_the_true_one_at_any_look_no_more_often_than_it_says() -> None:
    rng, alpha, missed = np.random.default_rng(8), 0.1, 0
    for _ in range(100):
        values = rng.uniform(0, 3, 600)
        for n in range(20, 600, 20):
            counts, _ = np.histogram(values[:n], bins=[0.0, *FINE[:-1], np.inf])
            low, high = quantile_interval(Histogram(FINE, tuple(counts.tolist())), 0.9, alpha)
            if not low <= 2.7 or (high is not None and high < 2.7):
                missed += 1
                break
    assert missed <= 100 * alpha


def test_where_nothing_bounds_a_quantile_its_interval_is_open() -> None:
    low, high = quantile_interval(histogram(0, 0, 0, 0, 5, 100), 0.95, 0.01)
    assert low > 2.0 and high is None
    assert quantile_interval(histogram(1, 0, 0, 0, 0, 0), 0.95, 0.01)[1] is None


def test_a_p95_half_as_long_again_is_found_out_within_some_thousand_requests() -> None:
    """Log-normal latencies, whose p95 moves within one bucket of the gateway's."""
    bounds = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 5.0, math.inf)

    def expected(n: int, factor: float) -> Histogram:
        at_most = [stats.norm.cdf(math.log(bound / 0.1 / factor)) for bound in bounds]
        return Histogram(bounds, tuple(round(n * share) for share in np.diff([0.0, *at_most])))

    assert log_evidence_quantile_higher(expected(2000, 1.5), expected(2000, 1.0), 0.95, 0.0) > math.log(1000)
    assert log_evidence_quantile_higher(expected(2000, 1.5), expected(2000, 1.0), 0.95, 0.3) == 0.0
    assert log_evidence_quantile_higher(expected(2000, 1.5), expected(2000, 1.0), 0.95, 0.0, ratio=1.6) == 0.0
