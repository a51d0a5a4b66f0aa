"""What each alarm says, and why."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchserve_rollout.analysis.judge import JUDGE, judge
from torchserve_rollout.analysis.samples import Histogram, Measurement, Rate, Sample, Scores
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
    assert judgement.judge == JUDGE == "torchserve-rollout-judge/1"
    assert judgement.verdict is judgement.alarms[0].verdict
    return judgement.alarms[0]


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
    for n, expected in ((20, Verdict.INCONCLUSIVE), (32, Verdict.FAIL)):
        ledger = {key: Measurement("probe_score", binary(n, n / 2), binary(n, n))}
        assert judge(spec, ledger).alarms[2].verdict is expected
    worse = {key: Measurement("probe_score", binary(20, 6), binary(20, 20))}
    assert judge(spec, worse).alarms[2].verdict is Verdict.FAIL


def test_the_sentence_tells_values_samples_rule_and_chance() -> None:
    said = verdict_of(ERRORS, Rate(12, 50), Rate(1, 950)).sentence
    assert said.startswith(
        "errors: error_rate is 24 % (12 of 50) against 0.105 % (1 of 950) of stable, "
        "not worse than stable by more than 1 % is broken; the chance of a false alarm is below 1 in "
    )
    assert verdict_of(SLOW, Histogram(BOUNDS, (0, 0, 0, 10, 90, 0))).sentence.startswith(
        "slow: latency_p95 is 3.89s (100 requests), at most 2s is broken; "
    )
    passed = verdict_of(QUALITY, binary(40, 36), binary(40, 37))
    assert passed.sentence == (
        "quality: probe_score is 0.9 (40 scores) against 0.925 (40 scores) of stable, the rule holds"
    )


def test_a_verdict_carries_what_a_person_needs_to_check_it() -> None:
    verdict = verdict_of(ERRORS | {"action": "hold"}, Rate(12, 50), Rate(1, 950))
    assert verdict.candidate == 0.24 and verdict.stable == pytest.approx(1 / 950)
    assert (verdict.candidate_n, verdict.stable_n, verdict.action) == (50, 950, "hold")
    assert verdict.rule == "error_rate not worse than stable by more than 1 %"


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
        "errors: error_rate is 5 % (1 of 20) against 0 % (0 of 380) of stable, "
        "not worse than stable by more than 1 % looks broken, but so few samples do not prove it"
    )
    assert verdict_of(ERRORS, Rate(1, 100), Rate(0, 1900)).verdict is Verdict.PASS


def test_a_silently_wrong_candidate_never_passes_a_quality_alarm_on_its_way_to_being_proven_wrong() -> None:
    spec = spec_of(ERRORS, SLOW, QUALITY | {"worse_than_stable_by": 0.2, "min_samples": 10}, steps=2)
    verdicts = []
    for n in range(10, 40):
        ledger = {"probe_score:smoke.yaml": Measurement("probe_score", binary(n, round(n / 4)), binary(n, n))}
        verdicts.append(judge(spec, ledger).alarms[2].verdict)
    assert Verdict.PASS not in verdicts
    assert verdicts.index(Verdict.FAIL) + 10 <= 22


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
    assert (judgement.verdict, judgement.sentence) == (Verdict.PASS, "no alarms are set")


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
