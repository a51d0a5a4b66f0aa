"""A candidate that gets copies: what the gateways are told, which alarms are armed, and how a shadow ends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.machine.world import START, V2, Run, run_of, spec_of
from torchserve_rollout.analysis.samples import Measurement, Pairs, Rate, TickEvidence
from torchserve_rollout.analysis.verdict import Judgement, Verdict
from torchserve_rollout.controller.window import EvidenceWindow
from torchserve_rollout.machine.actions import SetTraffic
from torchserve_rollout.machine.judging import judge_window
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.model import NodeName, TrafficPolicy
from torchserve_rollout.spec.schema import RolloutSpec

ALARMS = [
    {"name": "pairs", "signal": "mirror_error_rate", "worse_than_stable_by": 0},
    {"name": "errors", "signal": "error_rate", "worse_than_stable_by": 0.01},
]


def shadow_of(**changes: object) -> RolloutSpec:
    fields: dict[str, object] = {
        "strategy": "shadow",
        "mirror": {"share": "10%"},
        "steps": [{"weight": 0, "bake": "5s", "min_requests": 50}, {"weight": 0, "mirror": "50%", "bake": "5s"}],
        "alarms": ALARMS,
    }
    return spec_of(**{**fields, **changes})


def evidence(pairs: Pairs, requests: Rate | None = None, seconds: int = 20) -> list[TickEvidence]:
    """Every second the same: pairs, and requests of the candidate."""
    measured = {"mirror_error_rate": Measurement("mirror_error_rate", pairs)}
    if requests is not None:
        measured["error_rate"] = Measurement("error_rate", requests, Rate(0, 90))
    return [TickEvidence(START + timedelta(seconds=n), measured) for n in range(1, seconds)]


def policies(run: Run) -> list[TrafficPolicy]:
    return [action.policy for d in run.decisions for action in d.actions if isinstance(action, SetTraffic)]


def at_step(index: int, weight_pct: float = 0.0) -> RolloutState:
    return run_of().state.evolve(
        phase=Phase.PROGRESSING, step_index=index, weight_pct=weight_pct, step_since=START, baseline_since=START
    )


def judged(state: RolloutState, spec: RolloutSpec, pairs: Pairs, requests: Rate | None = None) -> Judgement:
    judgement = judge_window(state, spec, evidence(pairs, requests), START + timedelta(seconds=30))
    assert judgement is not None
    return judgement


def test_a_shadow_gets_no_user_copies_step_by_step_and_is_then_promoted_at_once() -> None:
    run = run_of(spec=shadow_of())
    assert run.to_end() is Phase.SUCCEEDED
    sent = [(dict(policy.weights_pct), dict(policy.mirrors_pct)) for policy in policies(run) if policy.weights_pct]
    steps = list(dict.fromkeys((tuple(weights.items()), tuple(mirrors.items())) for weights, mirrors in sent))
    assert steps == [(((V2, 0.0),), ((V2, 10.0),)), (((V2, 0.0),), ((V2, 50.0),)), (((V2, 100.0),), ())]


def test_a_shadow_that_fails_is_taken_back_and_gets_no_further_copies() -> None:
    run = run_of(spec=shadow_of())
    bad = judged(at_step(0), run.spec, Pairs(20, 15, 0))
    run.verdict = lambda _: bad
    assert run.to_end() is Phase.ABORTED
    assert run.state.ended_by == "alarm:pairs"
    *_, last = policies(run)
    assert (last.weights_pct, last.mirrors_pct) == ({V2: 0.0}, {})
    assert all(policy.weight_of(V2) == 0 for policy in policies(run))


def test_a_restarted_node_gets_its_copies_back_with_the_candidate() -> None:
    run = run_of(spec=shadow_of(steps=[{"weight": 0, "bake": "60s"}])).until(Phase.PROGRESSING)
    run.tick()
    run.world.restart("a")
    run.tick()
    node = run.world.nodes[NodeName("a")]
    assert node.policy is None
    for _ in range(20):
        run.tick()
    assert node.policy is not None and node.policy.mirrors_pct == {V2: 10.0}


@pytest.mark.parametrize(
    ("state", "changes", "armed"),
    [
        (at_step(0), {}, {"pairs"}),
        (at_step(0), {"cohort": {"header": "x-group", "value": "in"}, "strategy": "canary"}, {"pairs", "errors"}),
        (at_step(0, 5.0), {"strategy": "canary", "steps": [{"weight": 5, "bake": "5s"}]}, {"pairs", "errors"}),
        (at_step(0, 5.0), {"strategy": "canary", "steps": [{"weight": 5, "mirror": 0}]}, {"errors"}),
        (at_step(1, 100.0).evolve(phase=Phase.BAKING), {}, {"errors"}),
    ],
    ids=["a dark step", "with testers", "a step of both", "a step that mirrors nothing", "after promotion"],
)
def test_an_alarm_is_armed_where_there_is_something_to_look_at(
    state: RolloutState, changes: dict[str, object], armed: set[str]
) -> None:
    judgement = judged(state, shadow_of(**changes), Pairs(5, 0, 0), Rate(0, 5))
    assert {alarm.alarm for alarm in judgement.alarms} == armed


def test_a_dark_step_without_anything_to_look_at_is_not_waited_on() -> None:
    spec = spec_of(steps=[{"weight": 0, "bake": "5s"}], alarms=ALARMS[1:])
    assert judged(at_step(0), spec, Pairs()).verdict is Verdict.PASS


def test_pairs_count_as_requests_only_while_the_candidate_has_no_others() -> None:
    window = EvidenceWindow(shadow_of())
    for tick in evidence(Pairs(4, 0, 0), Rate(0, 10)):
        window.add(tick, at_step(0))
    assert window.candidate_requests(at_step(0)) == 19 * 14
    assert window.candidate_requests(at_step(1, 5.0)) == 19 * 10
