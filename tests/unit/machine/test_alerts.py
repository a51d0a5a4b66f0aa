"""An alert from elsewhere is an alarm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.machine.world import START, V2, Run, judged, run_of, spec_of
from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.machine.alerts import Alert
from torchserve_rollout.machine.observation import Observation
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import CommandKind
from torchserve_rollout.model import ModelName
from torchserve_rollout.spec.schema import AlarmAction


def alerted(run: Run, action: AlarmAction) -> Run:
    """The run, from now on with an alert that fires about the candidate."""
    alert = Alert("f", ModelName("m"), V2, "Errors", action, "alert Errors: 5 % fail", START)
    observe = run.world.observe

    def with_alert(candidate_requests: int) -> Observation:
        return replace(observe(candidate_requests), alerts=(alert,))

    run.world.observe = with_alert  # type: ignore[method-assign]
    return run


@pytest.mark.parametrize(("reached", "phase"), [(Phase.PROGRESSING, Phase.ABORTED), (Phase.BAKING, Phase.ROLLED_BACK)])
def test_it_ends_the_rollout_with_its_own_sentence(reached: Phase, phase: Phase) -> None:
    run = alerted(run_of().until(reached), AlarmAction.ROLLBACK)
    assert run.to_end() is phase
    assert run.state.ended_by == "alert:Errors"
    assert "alert Errors: 5 % fail" in run.reasons


def test_it_may_hold_the_rollout_and_then_nobody_promotes_past_it() -> None:
    run = alerted(run_of().until_weight(5), AlarmAction.HOLD)
    assert run.to_end() is Phase.HELD
    (refused,) = run.tick(CommandKind.PROMOTE).refused
    assert refused[1] == "an alert fires: alert Errors: 5 % fail"


def test_it_may_only_tell() -> None:
    run = alerted(run_of(), AlarmAction.NOTIFY)
    assert run.to_end() is Phase.SUCCEEDED
    assert "alert Errors: 5 % fail (only notified)" in run.reasons


def test_our_own_alarm_speaks_first() -> None:
    run = alerted(run_of(spec=spec_of()).until_weight(5), AlarmAction.ROLLBACK)
    run.verdict = lambda _: judged(Verdict.FAIL)
    run.to_end()
    assert run.state.ended_by == "alarm:errors"
