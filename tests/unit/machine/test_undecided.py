"""Without a verdict: what the spec says becomes of it; a source that fails calls a person and rolls nothing back."""

from __future__ import annotations

import pytest

from tests.unit.machine.world import judged, run_of, spec_of
from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import CommandKind


@pytest.mark.parametrize(
    ("policy", "phase"), [("hold", Phase.HELD), ("promote", Phase.SUCCEEDED), ("rollback", Phase.ABORTED)]
)
def test_a_rollout_without_a_verdict_ends_as_its_spec_says(policy: str, phase: Phase) -> None:
    run = run_of(spec=spec_of(inconclusive=policy, inconclusive_timeout="20s"))
    run.verdict = lambda _: judged(Verdict.INCONCLUSIVE)
    assert run.to_end() is phase
    assert "could not go on for 20s: errors: inconclusive" in run.reasons
    if policy == "rollback":
        assert run.state.ended_by == "inconclusive"


def test_a_promoted_candidate_without_a_verdict_is_rolled_back_where_the_spec_says_so() -> None:
    run = run_of(spec=spec_of(inconclusive="rollback", inconclusive_timeout="20s")).until(Phase.BAKING)
    run.verdict = lambda _: judged(Verdict.INCONCLUSIVE)
    assert run.to_end() is Phase.ROLLED_BACK


@pytest.mark.parametrize("policy", ["promote", "rollback"])
def test_a_lost_node_is_no_missing_verdict(policy: str) -> None:
    run = run_of(spec=spec_of(inconclusive=policy, inconclusive_timeout="20s")).until_weight(5)
    run.world.nodes[next(iter(run.world.nodes))].is_down = True
    run.verdict = lambda _: judged(Verdict.INCONCLUSIVE)
    assert run.to_end() is Phase.HELD


@pytest.mark.parametrize("policy", ["hold", "promote", "rollback"])
def test_a_source_that_keeps_failing_holds_the_rollout_and_never_turns_it_back(policy: str) -> None:
    run = run_of(spec=spec_of(inconclusive=policy, source_timeout="10s")).until_weight(5)
    run.verdict = lambda _: judged(Verdict.ERROR)
    assert run.to_end() is Phase.HELD
    assert "not measured for 10s: errors: error" in run.reasons
    run.verdict = lambda _: judged(Verdict.PASS)
    run.tick(CommandKind.RESUME)
    assert run.to_end() is Phase.SUCCEEDED


def test_a_source_that_fails_now_and_then_is_waited_for() -> None:
    run = run_of(spec=spec_of(source_timeout="10s"))
    run.verdict = lambda run: judged(Verdict.ERROR if len(run.decisions) % 7 else Verdict.PASS)
    assert run.to_end() is Phase.SUCCEEDED


def test_a_source_that_fails_after_promotion_holds_too() -> None:
    run = run_of(spec=spec_of(source_timeout="10s", final_bake="60s")).until(Phase.BAKING)
    run.verdict = lambda _: judged(Verdict.ERROR)
    assert run.to_end() is Phase.HELD


def test_an_alarm_that_only_notifies_may_be_blind() -> None:
    run = run_of(
        spec=spec_of(
            source_timeout="5s", alarms=[{"name": "errors", "signal": "error_rate", "max": 0.1, "action": "notify"}]
        )
    )
    run.verdict = lambda _: judged(Verdict.ERROR, "notify")
    assert run.to_end() is Phase.SUCCEEDED
