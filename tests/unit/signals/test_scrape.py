"""Counters of ``/metrics`` become increments, whatever restarts in between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from torchserve_rollout.analysis.samples import Histogram
from torchserve_rollout.signals.scrape import Increments, Series, Tracker, parse

PAGE = """\
# HELP ts_rollout_attempts_total Attempts.
# TYPE ts_rollout_attempts_total counter
ts_rollout_attempts_total{model="m",version="2.0",role="candidate",outcome="ok",} 12.0
ts_rollout_attempts_total{model="m",version="2.0",role="candidate",outcome="model_error",} 3.0
# TYPE ts_inference_latency_microseconds counter
ts_inference_latency_microseconds{model_name="m",model_version="default",hostname="vm",} 77.5
# TYPE ts_rollout_llm_requests counter
ts_rollout_llm_requests{ModelVersion="2.0",ModelName="m",Level="Model",Hostname="vm",} 5.0
# TYPE ts_rollout_attempt_latency_seconds histogram
ts_rollout_attempt_latency_seconds_bucket{model="m",le="0.1",} 4.0
ts_rollout_attempt_latency_seconds_bucket{model="m",le="1.0",} 9.0
ts_rollout_attempt_latency_seconds_bucket{model="m",le="+Inf",} 10.0
ts_rollout_attempt_latency_seconds_count{model="m",} 10.0
"""


def series(name: str, **labels: str) -> Series:
    return Series(name, frozenset(labels.items()))


def test_names_stay_as_torchserve_writes_them() -> None:
    readings = parse(PAGE)
    assert {each.name for each in readings} == {
        "ts_rollout_attempts_total",
        "ts_rollout_llm_requests",
        "ts_rollout_attempt_latency_seconds_bucket",
        "ts_rollout_attempt_latency_seconds_count",
    }
    assert parse(PAGE, prefix="ts_inference_") == {
        series("ts_inference_latency_microseconds", model_name="m", model_version="default", hostname="vm"): 77.5
    }


def test_the_first_look_counts_nothing_because_it_all_happened_before() -> None:
    assert Tracker().advance(parse(PAGE)).values == {}


def test_growth_is_read_by_label() -> None:
    tracker = Tracker()
    tracker.advance({})
    grown = tracker.advance(parse(PAGE))
    assert grown.by("ts_rollout_attempts_total", "outcome", model="m", role="candidate") == {
        "ok": 12,
        "model_error": 3,
    }
    assert grown.by("ts_rollout_attempts_total", "outcome", model="other") == {}


def test_cumulative_buckets_become_counts_between_bounds() -> None:
    tracker = Tracker()
    tracker.advance({})
    grown = tracker.advance(parse(PAGE))
    assert grown.histogram("ts_rollout_attempt_latency_seconds", model="m") == Histogram(
        (0.1, 1.0, float("inf")), (4, 5, 1)
    )
    assert grown.histogram("ts_rollout_attempt_latency_seconds", model="other") == Histogram()


def test_a_series_born_between_two_looks_counts_from_zero() -> None:
    tracker = Tracker()
    tracker.advance({})
    assert tracker.advance({series("a_total"): 5.0}).values == {series("a_total"): 5.0}


def test_after_a_restart_a_counter_that_already_overtook_its_old_value_counts_whole() -> None:
    tracker = Tracker()
    tracker.advance({series("a_total"): 100.0, series("b_total"): 2.0})
    grown = tracker.advance({series("a_total"): 1.0, series("b_total"): 3.0})
    assert grown.values == {series("a_total"): 1.0, series("b_total"): 3.0}


growths = st.lists(st.integers(0, 50), min_size=3, max_size=3)


@given(st.lists(growths, max_size=30))
def test_the_increments_of_a_running_server_sum_up_to_its_growth(ticks: list[list[int]]) -> None:
    tracker = Tracker()
    counters = [7, 0, 1000]
    tracker.advance(page_of(counters))
    total = Increments()
    for growth in ticks:
        counters = [count + more for count, more in zip(counters, growth, strict=True)]
        total += tracker.advance(page_of(counters))
    assert totals(total) == [sum(growth[index] for growth in ticks) for index in range(3)]


@given(st.lists(st.tuples(growths, st.booleans()), max_size=30))
def test_restarts_never_add_or_take_more_than_what_happened(ticks: list[tuple[list[int], bool]]) -> None:
    """A server restarts before some ticks; its series appear again when they first count."""
    tracker = Tracker()
    counters = [500, 500, 500]
    tracker.advance(page_of(counters))
    total, happened = Increments(), [0, 0, 0]
    for growth, is_restarted in ticks:
        if is_restarted:
            counters = [0, 0, 0]
        counters = [count + more for count, more in zip(counters, growth, strict=True)]
        happened = [count + more for count, more in zip(happened, growth, strict=True)]
        grown = tracker.advance(page_of(counters))
        assert all(value >= 0 for value in grown.values.values()), "nothing ever looks like a drop"
        total += grown
    assert all(seen <= real for seen, real in zip(totals(total), happened, strict=True)), "nor like a burst"


def page_of(counters: list[int]) -> dict[Series, float]:
    return {series("c_total", index=str(index)): float(count) for index, count in enumerate(counters) if count}


def totals(increments: Increments) -> list[int]:
    return [increments.by("c_total", "index").get(str(index), 0) for index in range(3)]
