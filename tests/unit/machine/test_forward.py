"""The way forward: preparing, the steps, promotion, the bake."""

from __future__ import annotations

import pytest

from tests.unit.machine.world import V1, V2, judged, run_of, spec_of, world_of
from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.machine.actions import (
    Action,
    ClearTraffic,
    Probe,
    Register,
    RenewLease,
    RunGates,
    Scale,
    SetDefault,
    SetTraffic,
)
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import CommandKind
from torchserve_rollout.model import NodeName
from torchserve_rollout.spec.schema import Strategy


def test_a_good_candidate_goes_through_its_steps_and_becomes_the_default() -> None:
    run = run_of()
    assert run.to_end() is Phase.SUCCEEDED
    assert run.phases == [Phase.PREPARING, Phase.PROGRESSING, Phase.PROMOTING, Phase.BAKING, Phase.SUCCEEDED]
    for node in run.world.nodes.values():
        assert node.default == V2 and node.policy is None and V1 in node.versions
    assert "2.0 at 5 % (step 1 of 2) passed after 5s and" in run.reasons
    assert run.state.reason == "2.0 is live on every node and baked 6s"


def test_the_candidate_is_brought_up_one_thing_at_a_time_on_every_node_before_any_request() -> None:
    run = run_of()
    seen = [[type(action) for action in run.tick().actions] for _ in range(4)]
    assert seen == [[Register, Register], [Scale, Scale], [Probe, Probe], [SetTraffic, SetTraffic]]


def test_workers_are_waited_for_and_the_probe_is_sent_only_when_they_are_ready() -> None:
    run = run_of(world_of("a"))
    run.world.slow = 5
    run.until(Phase.PROGRESSING)
    probes = [i for i, d in enumerate(run.decisions) if any(isinstance(a, Probe) for a in d.actions)]
    assert probes == [6]
    assert "2.0 is not ready on a" in run.reasons


def test_the_gates_run_after_every_node_is_ready_and_their_score_is_told() -> None:
    run = run_of(spec=spec_of(gates=[{"probe": "smoke.yaml", "min_score": 0.9}]))
    run.world.gate_score = 0.95
    run.until(Phase.PROGRESSING)
    gates = [i for i, d in enumerate(run.decisions) if any(isinstance(a, RunGates) for a in d.actions)]
    assert gates == [3]
    assert "smoke.yaml scored 0.95" in run.reasons


@pytest.mark.parametrize("weight_pct", [5.0, 50.0])
def test_a_step_lasts_until_the_bake_the_requests_and_the_verdict_are_all_there(weight_pct: float) -> None:
    run = run_of().until_weight(weight_pct)
    run.world.requests_per_tick = 0
    run.requests = 9 if weight_pct == 5 else 0
    run.verdict = lambda run: judged(Verdict.INCONCLUSIVE)
    for _ in range(20):
        assert run.tick().state.weight_pct == weight_pct
    run.verdict = lambda run: judged(Verdict.PASS)
    if weight_pct == 5:
        assert run.tick().state.weight_pct == 5
        assert "9 of 10 requests" in run.decisions[-1].reason
        run.requests = 10
    run.tick()
    assert run.state.weight_pct > weight_pct


def test_the_lease_is_renewed_every_tick_with_the_same_epoch() -> None:
    run = run_of().until_weight(5)
    epoch = run.state.epoch
    for _ in range(3):
        renewals = [a for a in run.tick().actions if isinstance(a, RenewLease)]
        assert [a.epoch for a in renewals] == [epoch, epoch]


def test_every_change_of_the_policy_has_a_higher_epoch_than_any_node_has_seen() -> None:
    world = world_of("a", "b")
    world.nodes[NodeName("b")].last_epoch = 41
    run = run_of(world).until_weight(5)
    assert run.state.epoch == 42
    assert run.until_weight(50).state.epoch == 43


def test_a_lost_answer_of_the_gateway_is_no_reason_for_a_new_epoch() -> None:
    run = run_of(world_of("a"))
    run.until(Phase.PROGRESSING)
    epoch = run.state.epoch
    run.world.results = ()
    run.until_weight(5)
    assert run.state.epoch == epoch


def test_testers_limits_and_the_replay_budget_reach_the_gateway_with_the_step_and_leave_with_it() -> None:
    run = run_of(
        spec=spec_of(
            steps=[{"weight": 0, "bake": "5s", "max_requests": 30}],
            cohort={"header": "X-User-Group", "value": "Internal"},
            replay_budget={"share": "7%", "min": 3},
        )
    )
    run.to_end()
    sent = [action.policy for d in run.decisions for action in d.actions if isinstance(action, SetTraffic)]
    step, *later = [policy for policy in sent if policy.weights_pct]
    assert (step.cohort, step.max_requests) == ("header:x-user-group=Internal", 30)
    promoted = [policy for policy in later if policy.weights_pct == {V2: 100.0}]
    assert promoted and all((policy.cohort, policy.max_requests) == (None, 0) for policy in promoted)
    assert {(policy.replay_budget_pct, policy.replay_budget_min) for policy in sent} == {(7.0, 3)}


def test_promotion_gives_all_traffic_then_the_default_and_keeps_stable_as_failover() -> None:
    run = run_of(world_of("a")).until(Phase.PROMOTING)
    traffic, default = (a for a in run.decisions[-1].actions if isinstance(a, SetTraffic | SetDefault))
    assert isinstance(traffic, SetTraffic) and isinstance(default, SetDefault)
    assert traffic.policy.stable == V1 and traffic.policy.weights_pct == {V2: 100.0}
    assert default.version == V2


def test_the_policy_is_removed_only_after_the_bake_and_success_only_after_that() -> None:
    run = run_of(world_of("a")).until(Phase.SUCCEEDED)
    cleared = [i for i, d in enumerate(run.decisions) if any(isinstance(a, ClearTraffic) for a in d.actions)]
    assert cleared == [len(run.decisions) - 2]


def test_without_a_final_bake_the_promoted_candidate_is_still_looked_at_once() -> None:
    run = run_of(spec=spec_of(final_bake="0s"))
    assert run.to_end() is Phase.SUCCEEDED
    assert Phase.BAKING in run.phases


def test_all_at_once_goes_straight_to_the_default_with_alarms_armed() -> None:
    spec = spec_of(strategy=Strategy.ALL_AT_ONCE, steps=[])
    run = run_of(spec=spec)
    assert run.to_end() is Phase.SUCCEEDED
    assert Phase.PROGRESSING not in run.phases
    bad = run_of(spec=spec)
    bad.verdict = lambda run: judged(Verdict.FAIL)
    assert bad.to_end() in (Phase.ROLLED_BACK, Phase.ABORTED)


def test_the_first_version_of_a_model_needs_no_steps_and_no_policy() -> None:
    run = run_of(world_of("a", stable=None), spec_of(final_bake="10m"), stable=None)
    run.verdict = lambda run: judged(Verdict.INCONCLUSIVE)
    assert run.to_end() is Phase.SUCCEEDED
    assert len(run.decisions) < 20, "nobody can compare it with anything, so it does not bake"
    assert run.phases == [Phase.PREPARING, Phase.BAKING, Phase.SUCCEEDED]
    assert not [a for d in run.decisions for a in d.actions if isinstance(a, SetTraffic)]
    assert run.world.nodes[NodeName("a")].default == V2


def test_a_pause_stops_advancing_and_resume_goes_on() -> None:
    run = run_of().until_weight(5)
    run.tick(CommandKind.PAUSE)
    for _ in range(30):
        assert run.tick().state.weight_pct == 5
    assert "paused by operator" in run.decisions[-1].reason
    run.tick(CommandKind.RESUME)
    assert run.to_end() is Phase.SUCCEEDED


def test_a_paused_rollout_is_prepared_but_gets_no_requests() -> None:
    run = run_of()
    run.tick(CommandKind.PAUSE)
    for _ in range(10):
        run.tick()
    assert run.state.phase is Phase.PREPARING and "paused: 2.0 is prepared" in run.decisions[-1].reason


def test_an_alarm_that_only_notifies_is_told_and_stops_nothing() -> None:
    alarms = [{"name": "errors", "signal": "error_rate", "max": 0.1, "action": "notify"}]
    run = run_of(spec=spec_of(alarms=alarms))
    run.verdict = lambda run: judged(Verdict.FAIL, action="notify")
    assert run.to_end() is Phase.SUCCEEDED
    assert "errors: fail (only notified)" in run.reasons


def test_without_alarms_nothing_has_to_be_judged() -> None:
    run = run_of(spec=spec_of(alarms=[]))
    run.verdict = lambda run: None
    assert run.to_end() is Phase.SUCCEEDED


def test_an_unreachable_node_stops_advancing_and_is_named() -> None:
    run = run_of().until_weight(5)
    run.world.nodes[NodeName("b")].is_down = True
    for _ in range(10):
        assert run.tick().state.weight_pct == 5
    assert "b does not answer" in run.decisions[-1].reason
    run.world.nodes[NodeName("b")].is_down = False
    assert run.to_end() is Phase.SUCCEEDED


def test_a_restarted_node_gets_back_stable_first_then_the_default_then_the_candidate_then_its_weight() -> None:
    run = run_of().until_weight(50)
    run.world.restart("b")
    done: list[str] = []
    for _ in range(10):
        done += [
            _short(a) for a in run.tick().actions if getattr(a, "node", "") == "b" and not isinstance(a, RenewLease)
        ]
    assert done == [
        "Register 1.0", "Scale 1.0", "Register 2.0", "Scale 2.0", "Probe 2.0", "SetTraffic {'2.0': 50.0}",
    ]  # fmt: skip
    assert run.world.nodes[NodeName("b")].default == V1
    assert run.to_end() is Phase.SUCCEEDED


def test_the_step_starts_over_after_a_node_was_lost() -> None:
    run = run_of(spec=spec_of(steps=[{"weight": 5, "bake": "20s"}])).until_weight(5)
    for _ in range(15):
        run.tick()
    run.world.restart("a")
    run.tick()
    assert run.state.step_since is None
    run.until_weight(5)
    baked = run.world.now - run.state.step_since if run.state.step_since else None
    assert baked is not None and baked.total_seconds() < 5


def test_a_node_restarted_during_the_bake_gets_its_default_back() -> None:
    run = run_of(spec=spec_of(final_bake="60s")).until(Phase.BAKING)
    run.world.restart("a")
    for _ in range(12):
        run.tick()
    assert run.state.phase is Phase.BAKING
    assert run.world.nodes[NodeName("a")].default == V2
    assert run.to_end() is Phase.SUCCEEDED


def test_a_default_that_somebody_changed_is_put_right() -> None:
    run = run_of().until_weight(5)
    run.world.nodes[NodeName("a")].default = V2
    run.tick()
    assert run.world.nodes[NodeName("a")].default == V1


def _short(action: Action) -> str:
    if isinstance(action, SetTraffic):
        return f"SetTraffic {dict(action.policy.weights_pct)}"
    return f"{type(action).__name__} {getattr(action, 'version', '')}"
