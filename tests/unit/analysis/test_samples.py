"""Samples add up, and a window is the sum of its ticks."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchserve_rollout.analysis.samples import (
    Histogram,
    Measurement,
    Rate,
    Scores,
    TickEvidence,
    accumulate,
    quantile,
)

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def tick(second: int, measurement: Measurement) -> TickEvidence:
    return TickEvidence(START + timedelta(seconds=second), {measurement.signal: measurement})


def rates(second: int, failed: int = 1) -> TickEvidence:
    return tick(second, Measurement("error_rate", Rate(failed, 10), Rate(0, 90)))


def test_a_window_is_the_sum_of_the_ticks_after_its_beginning() -> None:
    summed = accumulate([rates(1), rates(2), rates(3)], START + timedelta(seconds=1))["error_rate"]
    assert (summed.candidate, summed.stable) == (Rate(2, 20), Rate(0, 180))


def test_stable_may_be_counted_from_an_earlier_moment() -> None:
    summed = accumulate([rates(1), rates(2), rates(3)], START + timedelta(seconds=2), stable_since=START)["error_rate"]
    assert (summed.candidate, summed.stable) == (Rate(1, 10), Rate(0, 270))


def test_the_latest_error_of_a_source_stands_until_it_measures_again() -> None:
    broken = tick(2, Measurement("error_rate", error="scrape failed"))
    assert accumulate([rates(1), broken], START)["error_rate"].error == "scrape failed"
    mended = accumulate([rates(1), broken, rates(3)], START)["error_rate"]
    assert mended.error == "" and mended.candidate == Rate(2, 20)


def test_a_tick_without_a_signal_adds_nothing_to_it() -> None:
    assert accumulate([rates(1), TickEvidence(START + timedelta(seconds=2), {})], START)["error_rate"].error == ""


def test_samples_of_different_kinds_cannot_be_added() -> None:
    scores = tick(2, Measurement("error_rate", Scores.of([0.5])))
    with pytest.raises(ValueError, match="a Rate and a Scores cannot be added"):
        accumulate([rates(1), scores], START)


def test_histograms_with_different_buckets_cannot_be_added() -> None:
    with pytest.raises(ValueError, match="different bounds"):
        Histogram((1.0,), (1,)) + Histogram((2.0,), (1,))


@given(st.permutations(range(1, 8)))
def test_the_order_of_ticks_does_not_matter_for_the_sums(order: list[int]) -> None:
    ticks = [rates(second, failed=second) for second in range(1, 8)]
    in_order, shuffled = accumulate(ticks, START), accumulate([ticks[i - 1] for i in order], START)
    assert replace(in_order["error_rate"], blocks=()) == replace(shuffled["error_rate"], blocks=())


@given(st.lists(st.floats(0.001, 9.9), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_a_quantile_lies_in_the_bucket_where_numpy_finds_it(values: list[float], q: float) -> None:
    bounds = (0.5, 1.0, 2.0, 4.0, 10.0, float("inf"))
    counts, _ = np.histogram(values, bins=[0.0, *bounds])
    found = quantile(Histogram(bounds, tuple(int(count) for count in counts)), q)
    exact = float(np.quantile(values, q, method="inverted_cdf"))
    bucket = int(np.searchsorted(bounds, exact, side="right"))
    lower = 0.0 if bucket == 0 else bounds[bucket - 1]
    assert lower - 1e-9 <= found <= bounds[bucket] + 1e-9


def test_a_quantile_beyond_the_last_bound_is_that_bound_and_none_without_samples() -> None:
    assert quantile(Histogram((1.0, float("inf")), (0, 5)), 0.95) == 1.0
    assert np.isnan(quantile(Histogram((1.0, float("inf")), (0, 0)), 0.95))
