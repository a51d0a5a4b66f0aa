"""A ``metric:`` block of a spec makes a signal of any series on ``/metrics``."""

from __future__ import annotations

from typing import Any

import pytest

from torchserve_rollout.analysis.judge import judge
from torchserve_rollout.analysis.samples import Amount, Histogram, Measurement, Rate, Reading
from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.model import ModelName, VersionName
from torchserve_rollout.signals.own_metric import OwnMetric
from torchserve_rollout.signals.scrape import Tracker, parse
from torchserve_rollout.signals.source import Cohorts
from torchserve_rollout.spec.metric import MetricSpec
from torchserve_rollout.spec.schema import RolloutSpec

COHORTS = Cohorts(ModelName("m"), VersionName("2.0"), VersionName("1.0"))
BEFORE = """
my_bad_total{model="m",version="2.0",role="candidate"} 1
my_all_total{model="m",version="2.0",role="candidate"} 10
Requests2XX{Level="Host"} 5
ts_inference_latency_microseconds{model_name="m",model_version="2.0"} 100
"""
AFTER = """
my_bad_total{model="m",version="2.0",role="candidate"} 4
my_bad_total{model="m",version="2.0",role="explicit"} 99
my_bad_total{model="other",version="2.0",role="candidate"} 99
my_all_total{model="m",version="2.0",role="candidate"} 30
my_all_total{model="m",version="1.0",role="stable"} 7
my_all_total{model="m",version="1.0",role="default"} 2
Requests2XX{Level="Host"} 9
ts_inference_latency_microseconds{model_name="m",model_version="2.0"} 350
step_seconds_bucket{ModelName="m",ModelVersion="2.0",le="1.0"} 3
step_seconds_bucket{ModelName="m",ModelVersion="2.0",le="+Inf"} 5
step_seconds_sum{ModelName="m",ModelVersion="2.0"} 12.5
step_seconds_count{ModelName="m",ModelVersion="2.0"} 5
gpu_mb{worker="a-2.0"} 100
gpu_mb{worker="a-1.0"} 300
queue{model="m",version="2.0",kind="x"} 4
queue{model="m",version="2.0",kind="y"} 8
"""


def measured(elapsed_s: float = 2.0, **fields: Any) -> Measurement:
    """What the block with these fields measures between the two pages."""
    metric = MetricSpec.model_validate(fields)
    tracker = Tracker(metric.series if metric.counter else ())
    tracker.advance(parse(BEFORE, ""))
    return OwnMetric(metric).measure(tracker.advance(parse(AFTER, "")), COHORTS, elapsed_s)


def test_one_counter_over_another_is_a_share_of_either_cohort() -> None:
    seen = measured(counter="my_bad_total", over="my_all_total")
    assert (seen.candidate, seen.stable) == (Rate(3, 20), Rate(0, 9))


def test_a_counter_alone_is_a_speed() -> None:
    assert measured(counter="ts_inference_latency_microseconds").candidate == Amount(1, 250, 2.0)
    assert measured(0.0, counter="my_bad_total").candidate is None, "at the first look no time has passed"


def test_a_gauge_is_the_mean_of_the_series_that_fit() -> None:
    assert measured(gauge="queue").candidate == Reading(1, 6)
    assert measured(gauge="queue", labels={"kind": "y"}).candidate == Reading(1, 8)
    assert measured(gauge="queue").stable is None


def test_labels_that_name_the_version_decide_alone() -> None:
    seen = measured(gauge="gpu_mb", labels={"worker": "a-{version}"})
    assert (seen.candidate, seen.stable) == (Reading(1, 100), Reading(1, 300))


def test_a_series_that_names_no_version_belongs_to_nobody() -> None:
    assert measured(gauge="Requests2XX").candidate is None


def test_a_histogram_gives_its_buckets_or_its_mean() -> None:
    assert measured(histogram="step_seconds").candidate == Histogram((1.0, float("inf")), (3, 2))
    assert measured(mean="step_seconds").candidate == Amount(5, 12.5, 5)


@pytest.mark.parametrize(
    ("fields", "sample", "verdict", "said"),
    [
        ({"gauge": "gpu_mb", "unit": "megabytes"}, Reading(3, 900), "FAIL", "gpu_mb is 900 MB (3 readings). Allowed"),
        ({"gauge": "gpu_mb"}, Reading(3, 700), "PASS", "gpu_mb is 700 (3 readings). Allowed: at most 800"),
        ({"mean": "bytes"}, Amount(30, 27000, 30), "FAIL", "mean of bytes is 900 (30 samples). Allowed: at most 800"),
        ({"mean": "bytes"}, Amount(5, 4500, 5), "INCONCLUSIVE", "the candidate has 5 of 20 samples"),
        ({"counter": "x_total"}, Amount(30, 0, 0), "INCONCLUSIVE", "x_total per second is unknown"),
        ({"gauge": "gpu_mb"}, Rate(1, 50), "ERROR", "gpu_mb is a level, but its source delivered Rate"),
    ],
)
def test_plain_values_are_judged_as_they_are(fields: dict[str, Any], sample: Any, verdict: str, said: str) -> None:
    alarm = {"name": "own", "metric": fields, "max": 800}
    spec = RolloutSpec.model_validate({"model": "m", "steps": [{"weight": 5}], "alarms": [alarm]})
    key = spec.alarms[0].signal_key
    (judged,) = judge(spec, {key: Measurement(key, sample)}).alarms
    assert (judged.verdict, judged.sentence.startswith(f"own: {said}")) == (Verdict[verdict], True), judged.sentence


def test_two_blocks_with_other_labels_are_kept_apart() -> None:
    keys = {MetricSpec(gauge="g", labels={"kind": kind}).key for kind in ("x", "y")}
    assert keys == {'g{kind="x"}', 'g{kind="y"}'}
