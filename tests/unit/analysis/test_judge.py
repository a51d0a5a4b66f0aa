"""What each alarm says, and why."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchserve_rollout.analysis.blocks import evenly
from torchserve_rollout.analysis.judge import JUDGE, AlarmClock, judge
from torchserve_rollout.analysis.samples import Amount, Histogram, Measurement, Rate, Sample, Scores
from torchserve_rollout.analysis.sequential import Cohort, interval, log_evidence_worse, log_evidence_worse_ratio
from torchserve_rollout.analysis.verdict import AlarmVerdict, Verdict
from torchserve_rollout.spec.schema import RolloutSpec

ERRORS = {"name": "errors", "signal": "error_rate", "worse_than_stable_by": 0.01}
SLOW = {"name": "slow", "signal": "latency_p95", "max": 2.0}
QUALITY = {"name": "quality", "signal": "probe_score", "worse_than_stable_by": 0.1, "probe": "smoke.yaml"}
BOUNDS = (0.1, 0.5, 1.0, 2.0, 4.0, math.inf)


def spec_of(*alarms: dict[str, Any], steps: int = 1) -> RolloutSpec:
    listed = [{"weight": 10.0 * (number + 1)} for number in range(steps)]
    return RolloutSpec.model_validate({"model": "m", "steps": listed, "alarms": list(alarms)})


def verdict_of(
    alarm: dict[str, Any], candidate: Sample | None, stable: Sample | None = None, **how: Any
) -> AlarmVerdict:
    """The verdict of a spec with one alarm."""
    spec = spec_of(alarm)
    key = spec.alarms[0].signal_key
    judgement = judge(spec, {key: Measurement(alarm["signal"], candidate, stable)}, **how)
    assert judgement.judge == JUDGE == "torchserve-rollout-judge/3"
    assert judgement.verdict is judgement.alarms[0].verdict
    return judgement.alarms[0]


def side_by_side(signal: str, candidate: Scores, stable: Scores) -> Measurement:
    """Scores that came evenly, both versions' at the same time."""
    blocks = evenly(candidate.n, candidate.total, stable.n, stable.total)
    return Measurement(signal, candidate, stable, blocks=blocks)


def binary(n: int, good: float) -> Scores:
    return Scores(n, good, good)


def test_a_candidate_that_fails_everything_is_found_out_within_twelve_requests() -> None:
    for stable in (Rate(0, 12), Rate(0, 228), Rate(2, 10_000)):
        spec = spec_of(ERRORS | {"min_samples": 2}, SLOW, QUALITY, steps=3)
        needed = next(
            n
            for n in range(1, 13)
            if judge(spec, {"error_rate": Measurement("error_rate", Rate(n, n), stable)}).verdict is Verdict.FAIL
        )
        assert needed <= (7 if stable.total < 20 else 4)


def test_a_fall_of_the_score_by_a_half_is_found_out_within_thirty_scores_beside_two_other_alarms() -> None:
    spec = spec_of(ERRORS, SLOW, QUALITY)
    key = "probe_score:smoke.yaml"
    for n, expected in ((20, Verdict.INCONCLUSIVE), (33, Verdict.FAIL)):
        ledger = {key: side_by_side("probe_score", binary(n, n / 2), binary(n, n))}
        assert judge(spec, ledger).alarms[2].verdict is expected
    worse = {key: Measurement("probe_score", binary(20, 6), binary(20, 20))}
    assert judge(spec, worse).alarms[2].verdict is Verdict.FAIL


def test_the_sentence_tells_values_samples_rule_and_chance() -> None:
    said = verdict_of(ERRORS, Rate(12, 50), Rate(1, 950)).sentence
    assert said.startswith(
        "errors: error_rate is 24 % (12 of 50); stable has 0.105 % (1 of 950). Allowed: at most 1 % worse than stable. "
        "A harmless version would look like this less than once in "
    )
    assert said.endswith(" rollouts")
    assert verdict_of(SLOW, Histogram(BOUNDS, (0, 0, 0, 10, 90, 0))).sentence.startswith(
        "slow: latency_p95 is 3.89s (100 requests). Allowed: at most 2s. A harmless version "
    )
    passed = verdict_of(QUALITY, binary(40, 36), binary(40, 37))
    assert passed.sentence == (
        "quality: probe_score is 0.9 (40 scores); stable has 0.925 (40 scores). Allowed: at most 0.1 worse than stable"
    )


def test_a_verdict_carries_what_a_person_needs_to_check_it() -> None:
    verdict = verdict_of(ERRORS | {"action": "hold"}, Rate(12, 50), Rate(1, 950))
    assert verdict.candidate == 0.24 and verdict.stable == pytest.approx(1 / 950)
    assert (verdict.candidate_n, verdict.stable_n, verdict.action) == (50, 950, "hold")
    assert verdict.rule == "error_rate at most 1 % worse than stable"


@pytest.mark.parametrize(
    ("candidate", "stable", "said"),
    [
        (None, None, "errors: the candidate has 0 and stable has 0 of 20 samples"),
        (Rate(5, 19), Rate(0, 900), "errors: the candidate has 19 of 20 samples"),
        (Rate(50, 50), Rate(0, 3), "errors: stable has 3 of 20 samples"),
    ],
)
def test_too_few_samples_are_never_good_and_never_bad(candidate: Rate | None, stable: Rate | None, said: str) -> None:
    verdict = verdict_of(ERRORS, candidate, stable)
    assert (verdict.verdict, verdict.sentence) == (Verdict.INCONCLUSIVE, said)


def test_a_plain_bound_needs_no_samples_of_stable() -> None:
    assert verdict_of({"name": "e", "signal": "error_rate", "max": 0.5}, Rate(1, 20)).verdict is Verdict.PASS


def test_what_looks_broken_but_is_not_proven_is_neither_good_nor_bad() -> None:
    verdict = verdict_of(ERRORS, Rate(1, 20), Rate(0, 380))
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert verdict.sentence == (
        "errors: error_rate is 5 % (1 of 20); stable has 0 % (0 of 380). Allowed: at most 1 % worse than stable. "
        "That looks bad, but so few samples do not prove it"
    )
    assert verdict_of(ERRORS, Rate(1, 100), Rate(0, 1900)).verdict is Verdict.PASS


def test_a_silently_wrong_candidate_never_passes_a_quality_alarm_on_its_way_to_being_proven_wrong() -> None:
    spec = spec_of(ERRORS, SLOW, QUALITY | {"worse_than_stable_by": 0.2, "min_samples": 10}, steps=2)
    verdicts = []
    for n in range(10, 40):
        ledger = {"probe_score:smoke.yaml": side_by_side("probe_score", binary(n, round(n / 4)), binary(n, n))}
        verdicts.append(judge(spec, ledger).alarms[2].verdict)
    assert Verdict.PASS not in verdicts
    assert verdicts.index(Verdict.FAIL) + 10 <= 24


@pytest.mark.parametrize(("no_data", "then"), [("hold", "INCONCLUSIVE"), ("pass", "PASS"), ("fail", "FAIL")])
def test_what_no_data_means_is_decided_when_the_bake_is_over(no_data: str, then: str) -> None:
    alarm = ERRORS | {"no_data": no_data}
    assert verdict_of(alarm, None, None).verdict is Verdict.INCONCLUSIVE
    assert verdict_of(alarm, None, None, is_bake_over=True).verdict.name == then


def test_a_source_that_cannot_measure_is_an_error_and_not_the_candidates_fault() -> None:
    ledger = {"error_rate": Measurement("error_rate", Rate(50, 50), Rate(0, 900), error="scrape of a: timeout")}
    verdict = judge(spec_of(ERRORS), ledger).alarms[0]
    assert verdict.verdict is Verdict.ERROR
    assert verdict.sentence == "errors: error_rate could not be measured: scrape of a: timeout"


@pytest.mark.parametrize(
    ("alarm", "candidate", "stable"),
    [
        (ERRORS, Histogram(BOUNDS, (50, 0, 0, 0, 0, 0)), Rate(0, 900)),
        (SLOW, Rate(0, 50), None),
        (QUALITY, Scores(50, 400.0, 9000.0), binary(50, 50)),
        (SLOW | {"worse_than_stable_by": 0.1}, Histogram((1.0,), (50,)), Histogram((2.0,), (50,))),
    ],
)
def test_a_sample_that_does_not_fit_its_signal_is_an_error(
    alarm: dict[str, Any], candidate: Sample, stable: Sample | None
) -> None:
    assert verdict_of(alarm, candidate, stable).verdict is Verdict.ERROR


def test_an_unknown_signal_is_an_error() -> None:
    verdict = verdict_of({"name": "x", "signal": "happiness", "max": 1.0}, Rate(0, 50))
    assert (verdict.verdict, verdict.sentence) == (Verdict.ERROR, "x: no source measures happiness")


def test_the_worst_alarm_speaks_for_all() -> None:
    spec = spec_of(ERRORS, SLOW, QUALITY)
    ledger = {
        "error_rate": Measurement("error_rate", Rate(0, 50), Rate(0, 950)),
        "latency_p95": Measurement("latency_p95", Histogram(BOUNDS, (0, 0, 0, 0, 50, 0))),
    }
    judgement = judge(spec, ledger)
    assert [a.verdict.name for a in judgement.alarms] == ["PASS", "FAIL", "INCONCLUSIVE"]
    assert judgement.verdict is Verdict.FAIL and judgement.sentence == judgement.alarms[1].sentence
    assert judgement.failing() == (judgement.alarms[1],)


def test_without_alarms_there_is_nothing_to_fail() -> None:
    judgement = judge(spec_of(), {})
    assert (judgement.verdict, judgement.sentence) == (Verdict.PASS, "no alarm has anything to look at")


def test_the_confidence_is_shared_over_alarms_and_steps() -> None:
    strict = ERRORS | {"worse_than_stable_by": 0.0}
    others = [{"name": f"a{i}", "signal": "latency_p95", "max": 9.0} for i in range(30)]

    def failures_needed(spec: RolloutSpec) -> int:
        for failed in range(1, 61):
            ledger = {"error_rate": Measurement("error_rate", Rate(failed, 60), Rate(60, 1000))}
            if judge(spec, ledger).alarms[0].verdict is Verdict.FAIL:
                return failed
        raise AssertionError("never")

    assert failures_needed(spec_of(strict)) < failures_needed(spec_of(strict, *others, steps=9))


def test_lower_confidence_fires_earlier() -> None:
    sure = verdict_of(ERRORS | {"confidence": 0.9999}, Rate(5, 40), Rate(0, 900))
    quick = verdict_of(ERRORS | {"confidence": 0.8}, Rate(5, 40), Rate(0, 900))
    assert (sure.verdict, quick.verdict) == (Verdict.INCONCLUSIVE, Verdict.FAIL)


@settings(max_examples=60)
@given(st.integers(20, 300), st.integers(0, 300), st.integers(20, 2000), st.integers(0, 50))
def test_more_failures_never_turn_a_fail_into_a_pass(n: int, failed: int, n_stable: int, failed_stable: int) -> None:
    failed, failed_stable = min(n, failed), min(n_stable, failed_stable)
    stable = Rate(failed_stable, n_stable)
    before = verdict_of(ERRORS, Rate(failed, n), stable).verdict
    after = verdict_of(ERRORS, Rate(failed + 1, n + 1), stable).verdict
    assert not (before is Verdict.FAIL and after is Verdict.PASS)


SLOWER = {"name": "slower", "signal": "latency_p95", "worse_than_stable_ratio": 1.5}


def test_a_ratio_is_broken_when_the_candidate_is_that_many_times_worse() -> None:
    twice = {"name": "twice", "signal": "error_rate", "worse_than_stable_ratio": 2.0}
    assert verdict_of(twice, Rate(120, 1000), Rate(10, 1000)).verdict is Verdict.FAIL
    assert verdict_of(twice, Rate(20, 1000), Rate(10, 1000)).verdict is Verdict.PASS
    fast, slow = Histogram(BOUNDS, (0, 1000, 0, 0, 0, 0)), Histogram(BOUNDS, (0, 800, 0, 200, 0, 0))
    assert verdict_of(SLOWER, slow, fast).verdict is Verdict.FAIL
    assert verdict_of(SLOWER, fast, fast).verdict is Verdict.PASS
    worse = {"name": "q", "signal": "probe_score", "worse_than_stable_ratio": 1.2, "probe": "p"}
    failed = verdict_of(worse, binary(200, 80), binary(200, 190))
    assert failed.verdict is Verdict.FAIL
    assert "Allowed: at least stable divided by 1.2." in failed.sentence
    assert verdict_of(worse, binary(200, 165), binary(200, 190)).verdict is Verdict.PASS


def test_how_often_workers_restart_is_compared_by_the_time_they_ran() -> None:
    alarm = {"name": "restarts", "signal": "worker_restarts", "worse_than_stable_ratio": 2.0}
    assert verdict_of(alarm, Amount(100, 1, 100), Amount(100, 0, 400)).verdict is Verdict.INCONCLUSIVE
    assert verdict_of(alarm, Amount(100, 12, 100), Amount(100, 1, 400)).verdict is Verdict.FAIL
    assert verdict_of({"name": "r", "signal": "worker_restarts", "max": 2}, Amount(5, 3, 5)).verdict is Verdict.FAIL


def test_a_plain_rule_fires_once_it_was_broken_for_as_long_as_it_asks() -> None:
    alarm = {"name": "mean", "metric": {"mean": "x_seconds"}, "max": "2s", "for": "1m"}
    spec, begun = spec_of(alarm), datetime(2026, 1, 1, tzinfo=timezone.utc)
    key = spec.alarms[0].signal_key
    slow, fast = ({key: Measurement(key, Amount(30, 30 * mean, 30))} for mean in (3.0, 1.0))

    def at(seconds: int, ledger: dict[str, Measurement], since: datetime | None) -> AlarmVerdict:
        known = {"mean": since} if since else {}
        return judge(spec, ledger, clock=AlarmClock(begun + timedelta(seconds=seconds), known)).alarms[0]

    first = at(0, slow, None)
    assert (first.verdict, first.broken_since) == (Verdict.INCONCLUSIVE, begun)
    assert at(59, slow, begun).sentence.endswith("Allowed: at most 2s. Broken for 59s of 1m")
    fired = at(60, slow, begun)
    assert (fired.verdict, fired.sentence) == (
        Verdict.FAIL,
        "mean: mean of x_seconds is 3s (30 samples). Allowed: at most 2s. Broken for 1m",
    )
    assert (at(70, fast, begun).verdict, at(70, fast, begun).broken_since) == (Verdict.PASS, None)


def test_a_windowed_alarm_sees_only_its_own_window() -> None:
    spec = spec_of({"name": "success", "signal": "error_rate", "max": 0.05, "window": "5m"})
    whole = {"error_rate": Measurement("error_rate", Rate(50, 100))}
    recent = {300.0: {"error_rate": Measurement("error_rate", Rate(1, 40))}}
    judged = judge(spec, whole, recent=recent).alarms[0]
    assert (judged.verdict, judged.sentence) == (
        Verdict.PASS,
        "success: error_rate over 5m is 2.5 % (1 of 40). Allowed: at most 5 %",
    )


def test_a_dry_run_is_judged_and_changes_nothing() -> None:
    spec = spec_of(ERRORS | {"dry_run": True}, SLOW)
    ledger = {
        "error_rate": Measurement("error_rate", Rate(50, 50), Rate(0, 950)),
        "latency_p95": Measurement("latency_p95", Histogram(BOUNDS, (50, 0, 0, 0, 0, 0))),
    }
    judgement = judge(spec, ledger)
    assert (judgement.alarms[0].verdict, judgement.verdict) == (Verdict.FAIL, Verdict.PASS)
    assert (judgement.failing(), judgement.sentence) == ((), "slow passes")


def test_of_several_alarms_that_fire_the_gravest_speaks_first() -> None:
    spec = spec_of(ERRORS | {"severity": "warning"}, SLOW)
    ledger = {
        "error_rate": Measurement("error_rate", Rate(50, 50), Rate(0, 950)),
        "latency_p95": Measurement("latency_p95", Histogram(BOUNDS, (0, 0, 0, 0, 0, 50))),
    }
    assert [alarm.alarm for alarm in judge(spec, ledger).failing()] == ["slow", "errors"]


def test_plain_and_rehearsed_alarms_take_no_share_of_the_chance_of_a_false_alarm() -> None:
    plain = {"name": "p", "signal": "memory_mb", "max": 1000}
    rehearsed = ERRORS | {"name": "r", "dry_run": True}

    def needed(*alarms: dict[str, Any]) -> int:
        spec = spec_of(*alarms)
        return next(
            n
            for n in range(20, 200)
            if judge(spec, {"error_rate": Measurement("error_rate", Rate(n // 5, n), Rate(0, 1000))}).alarms[0].verdict
            is Verdict.FAIL
        )

    assert needed(ERRORS) == needed(ERRORS, plain, rehearsed) < needed(ERRORS, *([SLOW] * 9))


@settings(max_examples=60)
@given(st.integers(1, 400), st.integers(0, 400), st.integers(1, 400), st.integers(0, 400), st.floats(1, 4))
def test_against_itself_or_better_no_ratio_is_broken(n: int, bad: int, n2: int, bad2: int, ratio: float) -> None:
    candidate, stable = Cohort(n, min(n, bad)), Cohort(n2, min(n2, bad2))
    log_e = log_evidence_worse_ratio(stable, candidate, ratio, higher_is_worse=True)
    assert log_e == 0 or candidate.mean > ratio * stable.mean
    assert log_evidence_worse_ratio(stable, candidate, 1.0, higher_is_worse=True) >= log_e - 1e-6


@settings(max_examples=40)
@given(st.integers(1, 300), st.integers(0, 300), st.integers(1, 300), st.integers(0, 300))
def test_a_ratio_of_one_is_a_margin_of_nothing(n: int, bad: int, n2: int, bad2: int) -> None:
    candidate, stable = Cohort(n, min(n, bad)), Cohort(n2, min(n2, bad2))
    as_margin = log_evidence_worse(stable.mirrored(), candidate.mirrored(), 0.0)
    as_ratio = log_evidence_worse_ratio(stable, candidate, 1.0, higher_is_worse=True)
    assert as_ratio == pytest.approx(as_margin, abs=1e-3)


def test_the_chance_that_is_told_is_that_of_a_whole_rollout_and_never_above_what_was_asked_for() -> None:
    for steps in (1, 4):
        spec = spec_of(ERRORS, SLOW, steps=steps)
        for bad in range(1, 200):
            judged = judge(spec, {"error_rate": Measurement("error_rate", Rate(bad, 200), Rate(1, 5000))}).alarms[0]
            if judged.verdict is Verdict.FAIL:
                break
        (said,) = re.findall(r"less than once in ([\d,]+) rollouts$", judged.sentence)
        assert 100 <= int(said.replace(",", "")) < 1000


def test_a_verdict_says_between_what_the_true_values_are_unless_the_value_is_a_fact() -> None:
    ledger = {"error_rate": Measurement("error_rate", Rate(12, 50), Rate(1, 950))}
    verdict = judge(spec_of(ERRORS), ledger).alarms[0]
    assert verdict.candidate_interval == pytest.approx(interval(Cohort(50, 12), 0.01))
    assert verdict.stable_interval == pytest.approx(interval(Cohort(950, 1), 0.01))
    assert judge(spec_of(ERRORS), ledger, is_brief=True).alarms[0].candidate_interval is None
    timed = spec_of({"name": "x", "signal": "error_rate", "max": 0.05, "window": "5m"})
    recent = {300.0: ledger}
    assert judge(timed, {}, recent=recent).alarms[0].candidate_interval is None
    assert judge(spec_of(ERRORS), {}).alarms[0].candidate_interval is None
