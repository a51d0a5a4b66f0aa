"""Who is counted in which cohort."""

from __future__ import annotations

import pytest

from torchserve_rollout.analysis.samples import Amount, Histogram, Measurement, Rate
from torchserve_rollout.model import ModelName, VersionName
from torchserve_rollout.signals.metrics.error_rate import SIGNAL as ERROR_RATE
from torchserve_rollout.signals.metrics.latency_p95 import SIGNAL as LATENCY_P95
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
    measured = ERROR_RATE.measure(attempts(("2.0", "candidate", outcome, 2), ("2.0", "candidate", "ok", 8)), COHORTS)
    assert measured.candidate == Rate(2, 10)


def test_a_client_error_is_an_answer_and_no_error_of_the_version() -> None:
    measured = ERROR_RATE.measure(attempts(("2.0", "candidate", "client_error", 4)), COHORTS)
    assert measured.candidate == Rate(0, 4)


@pytest.mark.parametrize("outcome", ["bad_input", "no_capacity", "client_gone"])
def test_what_nobody_is_charged_for_counts_nowhere(outcome: str) -> None:
    measured = ERROR_RATE.measure(attempts(("2.0", "candidate", outcome, 9), ("1.0", "stable", outcome, 9)), COHORTS)
    assert (measured.candidate, measured.stable) == (Rate(), Rate())


def test_failovers_and_explicit_calls_are_no_sample_of_the_traffic() -> None:
    measured = ERROR_RATE.measure(
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
    measured = ERROR_RATE.measure(
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
    measured = LATENCY_P95.measure(Increments(dict(rows)), COHORTS)
    assert measured.candidate == Histogram((1.0, float("inf")), (2, 1))
    assert measured.stable == Histogram((1.0, float("inf")), (7, 0))


def only(name: str, *rows: tuple[str, float, dict[str, str]]) -> Measurement:
    """What the signal ``name`` makes of these series."""
    values = {Series(series, frozenset(labels.items())): value for series, value, labels in rows}
    return metric_signals()[name].measure(Increments(values), COHORTS)


@pytest.mark.parametrize(
    ("name", "candidate", "stable"),
    [
        ("client_error_rate", Rate(3, 10), Rate(0, 20)),
        ("timeout_rate", Rate(1, 10), Rate(0, 20)),
        ("error_rate", Rate(2, 10), Rate(0, 20)),
        ("no_capacity_rate", Rate(4, 15), Rate(0, 20)),
    ],
)
def test_each_share_counts_its_own_outcomes(name: str, candidate: Rate, stable: Rate) -> None:
    seen = attempts(
        ("2.0", "candidate", "ok", 5),
        ("2.0", "candidate", "client_error", 3),
        ("2.0", "candidate", "timeout", 1),
        ("2.0", "candidate", "model_error", 1),
        ("2.0", "candidate", "no_capacity", 4),
        ("2.0", "candidate", "bad_input", 1),
        ("2.0", "candidate", "client_gone", 7),
        ("1.0", "stable", "ok", 15),
        ("1.0", "default", "ok", 5),
    )
    measured = metric_signals()[name].measure(seen, COHORTS)
    assert (measured.candidate, measured.stable) == (candidate, stable)


def test_failovers_are_a_share_of_the_candidates_attempts_and_never_more_than_all() -> None:
    def replayed(count: float, ended: float) -> Measurement:
        labels = {"model": "m", "version": "2.0"}
        return only(
            "failover_rate",
            ("ts_rollout_failovers_total", count, labels | {"outcome": "timeout"}),
            ("ts_rollout_attempts_total", ended, labels | {"role": "candidate", "outcome": "timeout"}),
        )

    assert replayed(3, 10).candidate == Rate(3, 10)
    assert replayed(3, 2).candidate == Rate(3, 3)
    assert replayed(3, 10).stable == Rate(0, 0)


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("latency_p50", "ts_rollout_attempt_latency_seconds"),
        ("latency_p99", "ts_rollout_attempt_latency_seconds"),
        ("ttft_p95", "ts_rollout_first_byte_seconds"),
        ("queue_time_p95", "ts_rollout_queue_seconds"),
    ],
)
def test_each_quantile_reads_its_own_histogram(name: str, series: str) -> None:
    labels = {"model": "m", "version": "2.0", "role": "candidate"}
    measured = only(
        name, (f"{series}_bucket", 4, labels | {"le": "0.5"}), (f"{series}_bucket", 6, labels | {"le": "+Inf"})
    )
    assert measured.candidate == Histogram((0.5, float("inf")), (4, 2))


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("empty_rate", "ts_rollout_llm_empty_answers_total"),
        ("repetition_rate", "ts_rollout_llm_repeated_answers_total"),
    ],
)
def test_the_handlers_shares_are_of_its_prompts(name: str, series: str) -> None:
    of_candidate = {"ModelName": "m", "ModelVersion": "2.0", "Level": "Model"}
    other = of_candidate | {"ModelName": "another"}
    requests = "ts_rollout_llm_requests_total"
    measured = only(name, (series, 2, of_candidate), (requests, 8, of_candidate), (series, 9, other))
    assert (measured.candidate, measured.stable) == (Rate(2, 8), Rate(0, 0))


def test_speed_is_tokens_by_seconds() -> None:
    labels = {"ModelName": "m", "ModelVersion": "2.0"}
    measured = only(
        "tokens_per_second",
        ("ts_rollout_llm_generated_tokens_total", 120, labels),
        ("ts_rollout_llm_latency_seconds_sum", 4.0, labels),
        ("ts_rollout_llm_latency_seconds_count", 3, labels),
    )
    assert measured.candidate == Amount(3, 120, 4.0)
