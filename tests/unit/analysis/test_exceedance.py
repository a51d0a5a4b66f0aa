"""A quantile is judged by how many exceed it; a bucket that says neither is counted in favour."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchserve_rollout.analysis.exceedance import (
    log_evidence_quantile_above,
    log_evidence_quantile_below,
    log_evidence_quantile_higher,
    surely_above,
    surely_at_most,
)
from torchserve_rollout.analysis.samples import Histogram
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
