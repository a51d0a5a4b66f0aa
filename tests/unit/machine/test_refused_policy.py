"""A gateway that refuses the policy with weight 0: the candidate is off within a tick all the same."""

from __future__ import annotations

import pytest

from tests.unit.machine.world import V1, V2, Run, judged, run_of
from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.machine.actions import Action, SetTraffic
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.model import NodeName


def refuses_weight_0_on_a(action: Action) -> str:
    if isinstance(action, SetTraffic) and action.node == "a" and not any(action.policy.weights_pct.values()):
        return "400 InvalidPolicyException"
    return ""


def going_back(phase: Phase) -> Run:
    """A rollout that an alarm has just turned round, on a node that refuses and one that does not."""
    run = run_of().until_weight(50) if phase is Phase.ABORTING else run_of().until(Phase.BAKING)
    run.world.fails = refuses_weight_0_on_a
    run.verdict = lambda run: judged(Verdict.FAIL)
    assert run.tick().state.phase is phase
    return run


@pytest.mark.parametrize(("phase", "end"), [(Phase.ABORTING, Phase.ABORTED), (Phase.ROLLING_BACK, Phase.ROLLED_BACK)])
def test_the_policy_is_removed_instead_once_the_default_is_right(phase: Phase, end: Phase) -> None:
    run = going_back(phase)
    a = run.world.nodes[NodeName("a")]
    assert run.world.weight(a, V2) > 0
    run.tick()
    assert a.default == V1 and a.policy is None and run.world.weight(a, V2) == 0
    assert run.state.uncut == {"a"}
    assert run.to_end() is end
    assert not run.world.faults
    assert all(V2 not in node.versions for node in run.world.nodes.values())


def test_what_may_be_in_flight_there_is_waited_for_by_the_clock_as_nobody_counts_it() -> None:
    run = going_back(Phase.ABORTING)
    ticks = 0
    while V2 in run.world.nodes[NodeName("a")].versions:
        run.tick()
        ticks += 1
    assert ticks >= run.spec.drain_timeout


def test_a_gateway_that_is_only_slow_is_asked_again_and_its_requests_are_counted() -> None:
    run = run_of().until_weight(50)
    run.verdict = lambda run: judged(Verdict.FAIL)
    run.world.fails = lambda action: "no answer in 5 s" if isinstance(action, SetTraffic) else ""
    run.tick()
    run.world.fails = lambda action: ""
    run.tick()
    assert all(node.policy is not None and node.policy.weight_of(V2) == 0 for node in run.world.nodes.values())
    assert run.to_end() is Phase.ABORTED
