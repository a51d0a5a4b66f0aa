"""However long a bake: what is kept is short, and says the same."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.machine.world import START, run_of, spec_of
from torchserve_rollout.analysis.samples import Measurement, Rate, TickEvidence
from torchserve_rollout.controller.window import EvidenceWindow
from torchserve_rollout.machine.judging import judge_window
from torchserve_rollout.machine.phases import Phase


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(3, 9)), min_size=300, max_size=600),
    st.integers(0, 299),
    st.sampled_from([50.0, 100.0]),
    st.sampled_from(["0s", "10s"]),
)
def test_a_compacted_window_is_judged_as_the_whole_evidence(
    counts: list[tuple[int, int]], new_weight_at: int, weight_pct: float, warm_up: str
) -> None:
    spec = spec_of(warm_up=warm_up)
    run = run_of(spec=spec)
    state = run.state.evolve(baseline_since=START)
    window, whole = EvidenceWindow(spec), []
    for number, (events, total) in enumerate(counts, 1):
        now = START + timedelta(seconds=number)
        if number == new_weight_at + 1:
            state = state.evolve(step_since=now, weight_pct=weight_pct, phase=Phase.PROGRESSING, step_index=1)
        tick = TickEvidence(now, {"error_rate": Measurement("error_rate", Rate(events, total), Rate(0, total))})
        whole.append(tick)
        window.add(tick, state)
    now = START + timedelta(seconds=len(counts))
    assert len(window.ticks) <= 257
    assert judge_window(state, run.spec, window.ticks, now) == judge_window(state, run.spec, whole, now)
    since = state.step_since
    assert since is not None
    assert window.candidate_requests(state) == sum(
        total for n, (_, total) in enumerate(counts, 1) if n > new_weight_at + 1
    )


def test_what_was_measured_before_the_rollout_began_to_count_is_let_go() -> None:
    state = run_of().state
    window = EvidenceWindow(spec_of())
    window.add(TickEvidence(START, {}), state)
    assert window.ticks == ()


def test_what_an_alarm_with_a_window_looks_back_on_is_kept_tick_by_tick() -> None:
    alarm = {"name": "recent", "signal": "error_rate", "max": 0.5, "window": "100s"}
    run = run_of(spec=spec_of(alarms=[alarm]))
    state = run.state.evolve(baseline_since=START, step_since=START, weight_pct=5.0, phase=Phase.PROGRESSING)
    window, whole = EvidenceWindow(run.spec), []
    for number in range(1, 601):
        now = START + timedelta(seconds=number)
        measured = Measurement("error_rate", Rate(number % 7, 10), Rate(0, 10))
        whole.append(TickEvidence(now, {"error_rate": measured}))
        window.add(whole[-1], state)
        assert judge_window(state, run.spec, window.ticks, now) == judge_window(state, run.spec, whole[-150:], now)
    assert len(window.ticks) <= 257


def test_what_is_gathered_into_one_tick_is_one_block_as_it_will_be_when_read_from_the_journal() -> None:
    def tick(second: int) -> TickEvidence:
        measured = Measurement("error_rate", Rate(1, 5), Rate(0, 95))
        return TickEvidence(START + timedelta(seconds=second), {"error_rate": measured})

    window = EvidenceWindow(spec_of())
    window.gather(tick(1))
    assert window.gather(tick(2)).measurements["error_rate"] == Measurement("error_rate", Rate(2, 10), Rate(0, 190))
