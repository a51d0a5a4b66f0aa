"""The way back: what starts it, its order, and what it waits for."""

from __future__ import annotations

import pytest

from tests.unit.machine.world import V1, V2, Run, judged, run_of, spec_of, world_of
from torchserve_rollout.analysis.verdict import Judgement, Verdict
from torchserve_rollout.machine.actions import Probe, Register, RenewLease, Scale, SetDefault, SetTraffic, Unregister
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import CommandKind
from torchserve_rollout.model import ModelName, NodeName, TrafficPolicy, VersionName

A = NodeName("a")


def failing_in(*phases: Phase, weight_pct: float | None = None) -> Run:
    """A rollout whose alarm fires in one of ``phases``."""
    run = run_of()

    def verdict(run: Run) -> Judgement | None:
        fires = run.state.phase in phases and weight_pct in (None, run.state.weight_pct)
        return judged(Verdict.FAIL if fires else Verdict.PASS)

    run.verdict = verdict
    return run


def kinds(run: Run) -> list[str]:
    """Names of the actions of the whole run, renewals left out, each tick's duplicates (of other nodes) once."""
    names: list[str] = []
    for decision in run.decisions:
        names += dict.fromkeys(type(a).__name__ for a in decision.actions if not isinstance(a, RenewLease))
    return names


def test_an_alarm_takes_the_traffic_back_in_the_very_tick_in_which_it_fires() -> None:
    run = failing_in(Phase.PROGRESSING, weight_pct=50).until(Phase.ABORTING)
    decision = run.decisions[-1]
    cuts = [a for a in decision.actions if isinstance(a, SetTraffic)]
    assert [a.policy.weights_pct for a in cuts] == [{V2: 0.0}, {V2: 0.0}]
    assert decision.reason.startswith("errors: fail; ")
    assert run.state.ended_by == "alarm:errors"


def test_testers_are_taken_back_too() -> None:
    run = failing_in(Phase.PROGRESSING, weight_pct=50)
    run.spec = spec_of(cohort={"header": "x-user-group", "value": "internal"})
    run.until(Phase.ABORTING)
    cuts = [a.policy for a in run.decisions[-1].actions if isinstance(a, SetTraffic)]
    assert cuts and all((policy.cohort, policy.weights_pct) == (None, {V2: 0.0}) for policy in cuts)


def test_traffic_goes_first_then_the_default_then_the_drain_then_the_version_then_the_policy() -> None:
    run = failing_in(Phase.BAKING)
    assert run.to_end() is Phase.ROLLED_BACK
    back = kinds(run)[kinds(run).index("SetDefault") + 1 :]
    assert back == ["SetTraffic", "SetDefault", "Unregister", "ClearTraffic"]
    assert run.state.reason == "errors: fail; 1.0 has all traffic and is the default"
    assert run.world.nodes[A].default == V1 and V2 not in run.world.nodes[A].versions


def test_the_candidate_is_unregistered_only_after_two_ticks_without_a_request_in_flight() -> None:
    run = failing_in(Phase.PROGRESSING).until(Phase.ABORTING)
    run.world.nodes[A].in_flight[V2] = 5
    run.to_end()
    unregistered = next(i for i, d in enumerate(run.decisions) if any(isinstance(a, Unregister) for a in d.actions))
    assert "draining 2.0 (3 requests in flight)" in run.reasons
    assert run.decisions[unregistered - 1].state.quiet_ticks == 1
    assert not run.world.faults


def test_a_request_that_never_ends_is_waited_for_as_long_as_the_drain_may_take() -> None:
    run = run_of(spec=spec_of(drain_timeout="10s"))
    run.until_weight(5)
    run.world.nodes[A].in_flight = {}
    run.tick(CommandKind.ABORT)
    cut = len(run.decisions)
    while run.state.phase is Phase.ABORTING:
        run.world.nodes[A].in_flight[V2] = 1
        run.tick()
    unregistered = next(i for i, d in enumerate(run.decisions) if any(isinstance(a, Unregister) for a in d.actions))
    assert 10 <= unregistered - cut <= 12


def test_a_spec_that_keeps_the_version_leaves_it_registered() -> None:
    run = run_of(spec=spec_of(on_abort="keep")).until_weight(5)
    run.tick(CommandKind.ABORT)
    assert run.to_end() is Phase.ABORTED
    assert V2 in run.world.nodes[A].versions and run.world.nodes[A].policy is None


@pytest.mark.parametrize("phase", [Phase.PROGRESSING, Phase.BAKING])
def test_the_gateways_breaker_ends_the_rollout_and_is_quoted(phase: Phase) -> None:
    run = run_of().until(phase)
    run.tick()
    run.world.nodes[A].breakers[V2] = "5 consecutive failures"
    run.tick()
    assert run.state.phase in (Phase.ABORTING, Phase.ROLLING_BACK)
    assert run.state.reason == "the gateway on a cut 2.0 off: 5 consecutive failures"
    assert run.state.ended_by == "breaker"


def test_a_breaker_during_promotion_ends_it_before_it_is_whole() -> None:
    run = run_of().until(Phase.PROMOTING)
    run.world.nodes[A].breakers[V2] = "10 of 20 attempts failed"
    run.tick()
    assert run.state.phase is Phase.ABORTING
    assert run.to_end() is Phase.ABORTED
    assert all(node.default == V1 for node in run.world.nodes.values())


def test_a_broken_archive_ends_it_before_anything_is_registered() -> None:
    run = run_of()
    run.world.archive_problem = "2.0: the digest of m-2.0.mar is not the recorded one"
    assert run.to_end() is Phase.ABORTED
    assert "Register" not in kinds(run)
    assert run.state.reason.startswith("2.0: the digest of m-2.0.mar is not the recorded one; ")


def test_a_failure_that_no_retry_mends_ends_it_and_is_quoted() -> None:
    run = run_of()
    run.world.permanent = True
    run.world.fails = lambda action: "500 load failed" if isinstance(action, Scale) else ""
    run.until(Phase.ABORTING)
    assert run.state.reason == "starting 1 worker of 2.0 on a failed: 500 load failed"


def test_a_failure_that_may_pass_is_tried_again() -> None:
    run = run_of()
    run.world.fails = lambda action: "503 busy" if isinstance(action, Register) and len(run.decisions) < 5 else ""
    assert run.to_end() is Phase.SUCCEEDED
    assert "(last error: registering 2.0 on b: 503 busy)" in run.reasons


def test_a_candidate_that_never_gets_ready_is_given_up_in_time() -> None:
    run = run_of(spec=spec_of(prepare={"timeout": "20s"}))
    run.world.sick.add(V2)
    assert run.to_end() is Phase.ABORTED
    assert "2.0 is not ready within 20s: 2.0 is not ready on a, b" in run.state.reason
    assert run.state.ended_by == "prepare"


def test_a_probe_without_an_answer_is_repeated_and_then_given_up() -> None:
    run = run_of(spec=spec_of(prepare={"timeout": "20s"}))
    run.world.fails = lambda action: "timeout" if isinstance(action, Probe) else ""
    assert run.to_end() is Phase.ABORTED
    assert "2.0 has not answered its probe on a, b (last error: probing 2.0 on b: timeout)" in run.state.reason


def test_a_failed_gate_ends_it_with_the_score_before_any_request() -> None:
    run = run_of(spec=spec_of(gates=[{"probe": "smoke.yaml", "min_score": 0.9}]))
    run.world.gate_score = 0.4
    assert run.to_end() is Phase.ABORTED
    assert "2.0 scored 0.40 on the gate smoke.yaml (20 prompts), at least 0.9 is needed" in run.state.reason
    weights = [a.policy.weight_of(V2) for d in run.decisions for a in d.actions if isinstance(a, SetTraffic)]
    assert set(weights) <= {0.0}


def test_an_alarm_that_holds_freezes_the_weight_until_a_person_resumes() -> None:
    run = run_of(spec=spec_of(alarms=[{"name": "errors", "signal": "error_rate", "max": 0.1, "action": "hold"}]))
    run.verdict = lambda run: judged(Verdict.FAIL if run.state.weight_pct == 50 else Verdict.PASS, action="hold")
    assert run.to_end() is Phase.HELD
    for _ in range(30):
        run.tick()
        assert run.world.weight(run.world.nodes[A], V2) == 50
    assert "held, a person is needed: errors: fail" in run.decisions[-1].reason
    run.verdict = lambda run: judged(Verdict.PASS)
    run.tick(CommandKind.RESUME)
    assert run.to_end() is Phase.SUCCEEDED


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.ERROR])
def test_a_verdict_that_stays_open_holds_the_step_and_then_calls_a_person(verdict: Verdict) -> None:
    run = run_of(spec=spec_of(inconclusive_timeout="30s"))
    run.verdict = lambda run: judged(verdict)
    assert run.to_end() is Phase.HELD
    assert "2.0 at 5 % (step 1 of 2) could not go on for 30s: errors: " in run.state.reason
    assert run.state.resume_phase is Phase.PROGRESSING


def test_a_pause_stops_the_clock_of_an_open_verdict() -> None:
    run = run_of(spec=spec_of(inconclusive_timeout="20s")).until_weight(5)
    run.verdict = lambda run: judged(Verdict.INCONCLUSIVE)
    run.tick(CommandKind.PAUSE)
    for _ in range(60):
        assert run.tick().state.phase is Phase.PROGRESSING


def test_stable_is_brought_back_before_it_gets_the_traffic() -> None:
    run = run_of(world_of("a")).until_weight(50)
    del run.world.nodes[A].versions[V1]
    run.world.slow = 3
    run.tick(CommandKind.ABORT)
    assert run.state.weight_pct == 50
    assert "1.0 is not ready on a, so 2.0 keeps 50 % there" in run.decisions[-1].reason
    assert run.to_end() is Phase.ABORTED
    order = kinds(run)[kinds(run).index("SetTraffic") + 2 :]
    assert order == ["Register", "Scale", "SetTraffic", "Unregister", "ClearTraffic"]


def test_if_stable_itself_is_sick_a_person_is_called() -> None:
    run = run_of(world_of("a")).until_weight(50)
    run.world.sick.add(V1)
    run.tick(CommandKind.ABORT)
    assert run.to_end() is Phase.HELD
    assert "stable itself is sick: 1.0 is not ready on a" in run.state.reason
    assert run.world.weight(run.world.nodes[A], V2) == 50
    run.world.sick.clear()
    run.tick(CommandKind.RESUME)
    assert run.to_end() is Phase.ABORTED


def test_a_default_that_cannot_be_set_is_tried_again_and_then_a_person_is_called() -> None:
    run = failing_in(Phase.BAKING)
    run.world.fails = lambda action: "500" if isinstance(action, SetDefault) and action.version == V1 else ""
    assert run.to_end() is Phase.HELD
    assert "the default on a is 2.0, not 1.0" in run.state.reason
    run.world.fails = lambda action: ""
    run.tick(CommandKind.RESUME)
    assert run.to_end() is Phase.ROLLED_BACK


def test_a_node_that_is_gone_for_good_calls_a_person_who_can_give_up() -> None:
    run = run_of().until_weight(50)
    run.world.nodes[NodeName("b")].is_down = True
    run.tick(CommandKind.ABORT)
    assert run.to_end() is Phase.HELD and "b does not answer" in run.state.reason
    run.tick(CommandKind.ABORT)
    assert run.state.phase is Phase.FAILED


def test_another_controller_with_a_newer_policy_holds_ours_and_is_left_alone() -> None:
    run = run_of(world_of("a")).until_weight(5)
    node = run.world.nodes[A]
    assert node.policy is not None
    foreign = TrafficPolicy(node.policy.model, V1, {V2: 33.0})
    node.policy, node.epoch, node.last_epoch = foreign, 99, 99
    run.tick()
    assert run.state.phase is Phase.HELD
    assert "another controller steers a (its traffic policy has epoch 99, newer than ours)" in run.state.reason
    assert not run.tick().actions
    run.tick(CommandKind.RESUME)
    assert run.state.epoch == 100 and node.policy.weights_pct == {V2: 5.0}


def test_a_policy_of_somebody_else_is_waited_out_before_the_first_request() -> None:
    world = world_of("a")
    run = run_of(world)
    node = world.nodes[A]
    node.versions[VersionName("9.0")] = node.versions[V1]
    node.policy = TrafficPolicy(ModelName("m"), V1, {VersionName("9.0"): 10.0})
    node.epoch = node.last_epoch = 7
    node.lease_until = world.now.replace(second=20)
    run.until(Phase.PROGRESSING)
    assert "a traffic policy that is not ours is in force on a" in run.reasons
    assert run.world.now.second >= 20 and run.state.epoch == 8


def test_a_policy_left_over_from_before_is_removed_before_the_first_request() -> None:
    world = world_of("a")
    run = run_of(world)
    node = world.nodes[A]
    node.policy, node.epoch, node.last_epoch = TrafficPolicy(ModelName("m"), V1, {V2: 25.0}), 7, 7
    node.breakers[V2] = "5 consecutive failures"
    assert run.to_end() is Phase.SUCCEEDED
    assert "a traffic policy is left over from before on a" in run.reasons or kinds(run)[0] == "ClearTraffic"


def test_without_any_node_nothing_is_decided() -> None:
    run = run_of().until_weight(5)
    run.world.nodes.clear()
    decision = run.tick()
    assert (decision.state.phase, decision.actions) == (Phase.PROGRESSING, ())
    assert decision.reason == "no node is known, so nothing is decided"


def test_the_first_version_has_nothing_to_return_to() -> None:
    run = run_of(world_of("a", stable=None), spec_of(final_bake="30s"), stable=None).until(Phase.BAKING)
    run.verdict = lambda run: judged(Verdict.FAIL)
    assert run.to_end() is Phase.HELD
    assert "2.0 is the first version: there is none to return to" in run.state.reason
    decision = run.tick(CommandKind.ROLLBACK)
    assert decision.refused and run.state.phase is Phase.HELD
    assert run.tick(CommandKind.ABORT).state.phase is Phase.FAILED
    assert V2 in run.world.nodes[A].versions


def test_a_first_version_that_cannot_be_prepared_is_removed_again() -> None:
    run = run_of(world_of("a", stable=None), stable=None)
    run.world.sick.add(V2)
    assert run.to_end() is Phase.ABORTED
    assert not run.world.nodes[A].versions
    assert "it was the first version, there is none to return to" in run.state.reason


def test_the_state_is_stored_before_the_actions_so_a_crash_between_them_changes_nothing() -> None:
    run = run_of(world_of("a")).until_weight(5)
    run.verdict = lambda run: judged(Verdict.FAIL)
    run.tick(acts=0)
    run.verdict = lambda run: judged(Verdict.PASS)
    assert run.to_end() is Phase.ABORTED
