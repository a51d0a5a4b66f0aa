"""Which measurements count when."""

from __future__ import annotations

from datetime import timedelta

from tests.unit.machine.world import START, run_of, spec_of
from torchserve_rollout.analysis.samples import Measurement, Rate, TickEvidence
from torchserve_rollout.machine.judging import baseline_of, is_bake_over, judge_window, noted, stretch_after_success
from torchserve_rollout.machine.phases import Phase

EVIDENCE = [
    TickEvidence(
        START + timedelta(seconds=second), {"error_rate": Measurement("error_rate", Rate(0, 10), Rate(1, 100))}
    )
    for second in range(1, 101)
]


def at(seconds: float) -> object:
    return START + timedelta(seconds=seconds)


def test_nothing_is_judged_before_a_weight_is_in_force() -> None:
    state = run_of().state.evolve(phase=Phase.PROGRESSING)
    assert judge_window(state, spec_of(), EVIDENCE, START) is None


def test_a_step_is_judged_on_what_came_after_its_weight_was_in_force() -> None:
    state = run_of().state.evolve(phase=Phase.PROGRESSING, step_index=0, weight_pct=5.0, step_since=at(90))
    judgement = judge_window(state, spec_of(), EVIDENCE, START + timedelta(seconds=100))
    assert judgement is not None
    assert (judgement.alarms[0].candidate_n, judgement.alarms[0].stable_n) == (100, 1000)


def test_at_full_weight_stable_is_the_one_of_the_last_window_in_which_it_served() -> None:
    state = run_of().state.evolve(
        phase=Phase.BAKING, step_index=1, weight_pct=100.0, step_since=at(90), baseline_since=at(50)
    )
    judgement = judge_window(state, spec_of(), EVIDENCE, START + timedelta(seconds=100))
    assert judgement is not None
    assert (judgement.alarms[0].candidate_n, judgement.alarms[0].stable_n) == (100, 5000)
    assert baseline_of(state) == at(50)


def test_the_bake_counts_from_the_moment_the_weight_is_in_force() -> None:
    state = run_of().state.evolve(phase=Phase.PROGRESSING, step_index=0, step_since=at(10))
    assert not is_bake_over(state, spec_of(), START + timedelta(seconds=14))
    assert is_bake_over(state, spec_of(), START + timedelta(seconds=15))
    assert not is_bake_over(state.evolve(step_since=None), spec_of(), START + timedelta(seconds=99))


def test_without_a_final_bake_no_data_can_be_missed_after_promotion() -> None:
    state = run_of().state.evolve(phase=Phase.BAKING, weight_pct=100.0, step_since=at(10))
    assert is_bake_over(state, spec_of(final_bake="5s"), START + timedelta(seconds=99))
    assert not is_bake_over(state, spec_of(final_bake="0s"), START + timedelta(seconds=99))


def test_a_rollout_remembers_since_when_stable_has_served_beside_the_candidate() -> None:
    run = run_of().until_weight(50)
    since = run.state.step_since
    run.until(Phase.BAKING)
    assert run.state.baseline_since == since
    assert run.state.step_since is not None and since is not None and run.state.step_since > since


def test_a_window_of_an_alarm_holds_the_latest_samples_only_and_never_those_of_the_step_before() -> None:
    alarm = {"name": "recent", "signal": "error_rate", "max": 0.5, "window": "20s"}
    state = run_of().state.evolve(phase=Phase.PROGRESSING, step_index=0, weight_pct=5.0, step_since=at(50))
    for now, samples in ((100, 200), (60, 100)):
        judgement = judge_window(state, spec_of(alarms=[alarm]), EVIDENCE[:now], START + timedelta(seconds=now))
        assert judgement is not None and judgement.alarms[0].candidate_n == samples


def test_since_when_a_rule_is_broken_is_remembered_until_it_is_kept() -> None:
    alarm = {"name": "e", "signal": "error_rate", "max": 0.1, "for": "30s"}
    spec = spec_of(alarms=[alarm])
    state = run_of().state.evolve(phase=Phase.PROGRESSING, step_index=0, weight_pct=5.0, step_since=START)
    bad = [
        TickEvidence(START + timedelta(seconds=n), {"error_rate": Measurement("error_rate", Rate(10, 10), Rate())})
        for n in range(1, 60)
    ]
    fired = []
    for n in range(1, 60):
        now = START + timedelta(seconds=n)
        judgement = judge_window(state, spec, bad[:n], now)
        state = noted(state, spec, judgement, now)
        fired.append(judgement is not None and bool(judgement.failing()))
    assert state.broken_since == {"e": at(2)}, "at the first second there were too few samples"
    assert fired.index(True) + 1 == 32
    good = judge_window(state, spec, EVIDENCE, START + timedelta(seconds=100))
    assert noted(state, spec, good, START).broken_since == {}


def test_the_warm_up_of_a_weight_is_not_judged() -> None:
    state = run_of().state.evolve(phase=Phase.PROGRESSING, step_index=0, weight_pct=5.0, step_since=at(50))
    spec = spec_of(warm_up="20s")
    judgement = judge_window(state, spec, EVIDENCE, START + timedelta(seconds=100))
    assert judgement is not None and judgement.alarms[0].candidate_n == 300
    assert judge_window(state, spec, EVIDENCE[:60], START + timedelta(seconds=60)).alarms[0].candidate_n == 0  # type: ignore[union-attr]


def stable_fails(share: float) -> list[TickEvidence]:
    """Stable alone, which fails on that share of its requests."""
    return [
        TickEvidence(
            START + timedelta(seconds=n),
            {"error_rate": Measurement("error_rate", Rate(), Rate(round(100 * share), 100))},
        )
        for n in range(1, 20)
    ]


def test_an_alarm_that_fires_on_stable_is_told_before_the_start() -> None:
    state = run_of().state.evolve(phase=Phase.PREPARING, baseline_since=START)
    fixed = spec_of(alarms=[{"name": "errors", "signal": "error_rate", "max": 0.05}])
    judgement = judge_window(state, fixed, stable_fails(0.2), START + timedelta(seconds=20))
    assert judgement is not None
    (alarm,) = judgement.failing()
    assert (alarm.candidate, alarm.stable, alarm.stable_n) == (None, 0.2, 1900)
    assert judge_window(state, fixed, stable_fails(0.01), START + timedelta(seconds=20)) is None
    assert judge_window(state, spec_of(), stable_fails(0.2), START + timedelta(seconds=20)) is None, (
        "a comparison cannot fire on stable"
    )


def test_all_stretches_after_success_and_the_whole_share_the_chance_of_one_window() -> None:
    state = run_of().state.evolve(phase=Phase.SUCCEEDED, phase_since=at(0), warm_until=at(10**9))
    stretches = [stretch_after_success(state, START + timedelta(seconds=600 * number + 5)) for number in range(10_000)]
    shares = [stretch.share for stretch in stretches if stretch is not None]
    assert 0.4999 < sum(shares) < 0.5
    assert stretches[3] is not None and stretches[3].begun == at(1800)
    assert stretch_after_success(state.evolve(warm_until=None), START) is None


def test_after_success_a_short_burst_of_failures_is_seen_that_the_whole_time_would_hide() -> None:
    quiet = [tick for tick in EVIDENCE if tick.at <= START + timedelta(seconds=60)]
    late = TickEvidence(
        START + timedelta(seconds=50_000), {"error_rate": Measurement("error_rate", Rate(60, 120), None)}
    )
    many = TickEvidence(START + timedelta(seconds=61), {"error_rate": Measurement("error_rate", Rate(0, 10**6), None)})
    state = run_of().state.evolve(
        phase=Phase.SUCCEEDED, phase_since=at(70), warm_until=at(10**6), weight_pct=100.0, step_since=at(0)
    )
    judgement = judge_window(state, spec_of(), [*quiet, many, late], START + timedelta(seconds=50_000))
    assert judgement is not None and judgement.failing()[0].candidate_n == 120
    baking = judge_window(
        state.evolve(phase=Phase.BAKING), spec_of(), [*quiet, many, late], START + timedelta(seconds=50_000)
    )
    assert baking is not None and not baking.failing()
