"""Who is counted in which cohort."""

from __future__ import annotations

import pytest

from torchserve_rollout.analysis.samples import Histogram, Rate
from torchserve_rollout.model import ModelName, VersionName
from torchserve_rollout.signals.metrics.error_rate import ErrorRate
from torchserve_rollout.signals.metrics.latency_p95 import LatencyP95
from torchserve_rollout.signals.registry import known_signals, metric_signals
from torchserve_rollout.signals.scrape import Increments, Series
from torchserve_rollout.signals.source import Cohorts
from torchserve_rollout.spec.signals import KNOWN_SIGNALS

COHORTS = Cohorts(ModelName("m"), VersionName("2.0"), VersionName("1.0"))


def attempts(*rows: tuple[str, str, str, int]) -> Increments:
    """Rows of version, role, outcome and count."""
    return Increments(
        {
            Series(
                "ts_rollout_attempts_total",
                frozenset({("model", "m"), ("version", version), ("role", role), ("outcome", outcome)}),
            ): float(count)
            for version, role, outcome, count in rows
        }
    )


def test_every_signal_a_spec_may_name_has_a_source() -> None:
    assert known_signals() == KNOWN_SIGNALS
    assert all(signal.name == name for name, signal in metric_signals().items())


@pytest.mark.parametrize("outcome", ["model_error", "timeout", "worker_died", "out_of_memory", "stream_broken"])
def test_what_the_version_is_to_blame_for_is_an_error(outcome: str) -> None:
    measured = ErrorRate().measure(attempts(("2.0", "candidate", outcome, 2), ("2.0", "candidate", "ok", 8)), COHORTS)
    assert measured.candidate == Rate(2, 10)


def test_a_client_error_is_an_answer_and_no_error_of_the_version() -> None:
    measured = ErrorRate().measure(attempts(("2.0", "candidate", "client_error", 4)), COHORTS)
    assert measured.candidate == Rate(0, 4)


@pytest.mark.parametrize("outcome", ["bad_input", "no_capacity", "client_gone"])
def test_what_nobody_is_charged_for_counts_nowhere(outcome: str) -> None:
    measured = ErrorRate().measure(attempts(("2.0", "candidate", outcome, 9), ("1.0", "stable", outcome, 9)), COHORTS)
    assert (measured.candidate, measured.stable) == (Rate(), Rate())


def test_failovers_and_explicit_calls_are_no_sample_of_the_traffic() -> None:
    measured = ErrorRate().measure(
        attempts(
            ("1.0", "failover", "ok", 50),
            ("1.0", "explicit", "model_error", 50),
            ("1.0", "stable", "ok", 5),
            ("2.0", "explicit", "model_error", 50),
            ("3.0", "candidate", "model_error", 50),
        ),
        COHORTS,
    )
    assert (measured.candidate, measured.stable) == (Rate(), Rate(0, 5))


def test_a_first_version_has_no_stable_cohort() -> None:
    measured = ErrorRate().measure(
        attempts(("2.0", "candidate", "ok", 1)), Cohorts(COHORTS.model, COHORTS.candidate, None)
    )
    assert (measured.candidate, measured.stable) == (Rate(0, 1), None)


def test_latencies_are_counted_per_role() -> None:
    def bucket(version: str, role: str, bound: str, count: int) -> tuple[Series, float]:
        labels = {"model": "m", "version": version, "role": role, "le": bound}
        return Series("ts_rollout_attempt_latency_seconds_bucket", frozenset(labels.items())), float(count)

    rows = (
        bucket("2.0", "candidate", "1.0", 2),
        bucket("2.0", "candidate", "+Inf", 3),
        bucket("1.0", "stable", "1.0", 7),
        bucket("1.0", "stable", "+Inf", 7),
        bucket("1.0", "failover", "+Inf", 9),
    )
    measured = LatencyP95().measure(Increments(dict(rows)), COHORTS)
    assert measured.candidate == Histogram((1.0, float("inf")), (2, 1))
    assert measured.stable == Histogram((1.0, float("inf")), (7, 0))
