"""After success alarms stay armed for as long as the prior version is kept warm; then it is let go."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.machine.world import START, V1, V2, Run, judged, run_of, spec_of, world_of
from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.machine.actions import Scale, SetDefault, SetTraffic
from torchserve_rollout.machine.alerts import Alert
from torchserve_rollout.machine.decide import decide
from torchserve_rollout.machine.observation import Successor
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import CommandKind
from torchserve_rollout.model import ModelName, NodeName, RolloutId, VersionName
from torchserve_rollout.spec.schema import AlarmAction, RolloutSpec

V3 = VersionName("3.0")


def succeeded(spec: RolloutSpec | None = None) -> Run:
    """A rollout that has just succeeded; its prior version is kept warm for a minute."""
    run = run_of(spec=spec or spec_of(keep_prior="60s")).until(Phase.SUCCEEDED)
    assert run.state.is_watched and run.state.is_armed and run.state.phase.is_terminal
    return run


def warm(run: Run) -> list[bool]:
    """Whether the prior version has workers, by node."""
    return [bool(node.versions[V1].min_workers) for node in run.world.nodes.values()]


def test_while_the_prior_version_is_kept_warm_nothing_is_touched_and_the_sentence_says_for_how_long() -> None:
    run = succeeded()
    decisions = [run.tick() for _ in range(50)]
    assert not any(decision.actions for decision in decisions)
    assert all(warm(run)) and run.state.is_armed
    assert decisions[0].reason.endswith("; 1.0 is kept warm for 59s more, alarms are armed")
    assert decisions[0].reason.startswith("2.0 is live on every node and baked 6s")


def test_a_late_alarm_sets_the_default_back_in_the_order_of_every_rollback() -> None:
    run = succeeded()
    for _ in range(20):
        run.tick()
    run.verdict = lambda run: judged(Verdict.FAIL)
    first = run.tick()
    assert first.state.phase is Phase.ROLLING_BACK
    assert first.state.ended_by == "alarm:errors" and first.state.warm_until is None
    assert first.reason.startswith("after its success: errors: fail")
    assert [type(action) for action in first.actions] == [SetTraffic, SetDefault] * len(run.world.nodes)
    assert run.to_end() is Phase.ROLLED_BACK
    assert all(node.default == V1 and V2 not in node.versions for node in run.world.nodes.values())
    assert not run.world.faults


def test_an_alert_from_elsewhere_counts_as_an_alarm_then_too() -> None:
    run = succeeded()
    alert = Alert("f", ModelName("m"), V2, "Burning", AlarmAction.ROLLBACK, "it burns", START)
    observation = run.world.observe(0)
    decision = decide(run.state, run.spec, replace(observation, alerts=(alert,)), None, [], run.world.now)
    assert (decision.state.phase, decision.state.ended_by) == (Phase.ROLLING_BACK, "alert:Burning")


@pytest.mark.parametrize("action", ["hold", "notify"])
def test_alarms_that_do_not_roll_back_are_only_told(action: str) -> None:
    run = succeeded()
    run.verdict = lambda run: judged(Verdict.FAIL, action=action)
    assert run.tick().reason.endswith("; errors: fail (only notified)")
    assert run.state.phase is Phase.SUCCEEDED


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.ERROR])
def test_a_missing_verdict_changes_nothing(verdict: Verdict) -> None:
    run = succeeded(spec_of(keep_prior="10m", source_timeout="5s", inconclusive_timeout="5s"))
    run.verdict = lambda run: judged(verdict)
    for _ in range(100):
        assert not run.tick().actions
    assert run.state.is_armed


def test_afterwards_the_prior_version_stays_registered_without_workers() -> None:
    run = succeeded()
    run.until_over()
    assert not any(warm(run))
    assert run.world.now - START > timedelta(seconds=60)
    assert run.decisions[-1].reason.endswith("; 1.0 stays registered, without workers")
    assert run.state.phase is Phase.SUCCEEDED and not run.state.is_armed
    run.verdict = lambda run: judged(Verdict.FAIL)
    assert run.tick().state.phase is Phase.SUCCEEDED
    assert not run.world.faults


def test_keeping_it_for_no_time_lets_it_go_at_once() -> None:
    run = run_of(spec=spec_of(keep_prior="0s")).until(Phase.SUCCEEDED)
    run.until_over(limit=6)
    assert not any(warm(run))


def test_requests_that_name_the_prior_version_are_waited_for() -> None:
    run = succeeded()
    run.world.nodes[NodeName("b")].in_flight[V1] = 65
    run.until_over()
    assert run.world.now - START > timedelta(seconds=65)
    assert not run.world.faults and not any(warm(run))


def test_where_the_prior_version_was_made_the_default_by_hand_nothing_is_judged_or_taken_away() -> None:
    run = succeeded()
    for node in run.world.nodes.values():
        node.default = V1
    run.verdict = lambda run: judged(Verdict.FAIL)
    assert "2.0 is the default on no node now, so nothing is judged" in run.tick().reason
    run.tick(CommandKind.PROMOTE)
    run.until_over()
    assert all(warm(run)) and "1.0 is left alone, it is in use on a, b" in run.decisions[-1].reason


def test_a_person_can_let_the_prior_version_go_early() -> None:
    run = succeeded()
    run.tick(CommandKind.PROMOTE)
    run.until_over(limit=6)
    assert not any(warm(run))


def test_the_live_version_must_be_ready_before_the_prior_one_is_let_go() -> None:
    run = succeeded()
    run.world.sick.add(V2)
    for _ in range(80):
        run.tick()
    assert all(warm(run)) and "2.0 is not ready on a, b" in run.decisions[-1].reason
    run.world.sick.clear()
    run.until_over()
    assert not any(warm(run))


@pytest.mark.parametrize(("versions", "is_kept"), [({V3, V2}, False), ({V1, V2}, True)])
def test_a_later_rollout_ends_the_watch_and_the_prior_version_goes_unless_it_is_needed(
    versions: set[VersionName], is_kept: bool
) -> None:
    run = succeeded()
    run.world.successor = Successor(RolloutId("m-3.0-c3d4"), frozenset(versions))
    run.verdict = lambda run: judged(Verdict.FAIL)
    run.until_over(limit=6)
    assert run.state.phase is Phase.SUCCEEDED
    assert all(warm(run)) if is_kept else not any(warm(run))
    assert "m-3.0-c3d4 has taken over" in run.decisions[-1].reason


def test_a_node_that_is_away_is_waited_for_before_the_watch_is_over() -> None:
    run = succeeded()
    run.world.nodes[NodeName("b")].is_down = True
    for _ in range(90):
        run.tick()
    assert warm(run) == [False, True] and "b does not answer" in run.decisions[-1].reason
    run.world.nodes[NodeName("b")].is_down = False
    run.until_over()
    assert not any(warm(run))


def test_a_first_version_has_nothing_to_keep_warm() -> None:
    run = run_of(world_of("a", stable=None), stable=None).until(Phase.SUCCEEDED)
    assert run.state.is_over
    assert not any(isinstance(action, Scale) and action.workers == 0 for d in run.decisions for action in d.actions)
