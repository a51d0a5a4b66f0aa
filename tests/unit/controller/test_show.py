"""What every face shows of a record."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.controller.driven import Driven
from tests.unit.machine.world import spec_of, world_of
from torchserve_rollout.controller.show import explanation_view, rollout_view
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import CommandKind
from torchserve_rollout.spec.schema import RolloutSpec
from torchserve_rollout.store.records import RolloutRecord


@pytest.mark.parametrize("phase", Phase)
def test_only_what_has_ended_or_waits_for_a_person_has_an_exit_code(phase: Phase, tmp_path: Path) -> None:
    record = Driven(tmp_path, spec_of(), world_of()).journal.rollout("m")
    shown = rollout_view(RolloutRecord(record.spec, "", record.created_at, "ann", record.state.evolve(phase=phase)))
    codes = {"SUCCEEDED": 0, "FAILED": 1, "ABORTED": 3, "ROLLED_BACK": 3, "HELD": 4}
    assert shown.exit_code == codes.get(phase.value)
    assert shown.is_terminal is phase.is_terminal


def explained(directory: Path, spec: RolloutSpec, bad_share: float) -> tuple[Driven, str, str | None]:
    driven = Driven(directory, spec, world_of(), bad_share=bad_share)
    driven.to_end()
    view = explanation_view(driven.journal.rollout("m"), driven.journal.events(driven.id))
    return driven, view.sentence, view.deciding_alarm.name if view.deciding_alarm else None


def test_a_rollback_is_explained_by_the_alarm_that_fired_with_its_numbers(tmp_path: Path) -> None:
    _, sentence, alarm = explained(tmp_path, spec_of(), bad_share=0.5)
    assert alarm == "errors"
    assert "error_rate is 50 %" in sentence and "stable has" in sentence


def test_a_success_is_explained_by_its_last_decision(tmp_path: Path) -> None:
    driven, sentence, alarm = explained(tmp_path, spec_of(), bad_share=0.0)
    assert (sentence, alarm) == (f"{driven.state.reason}; 1.0 is kept warm for 1h more, alarms are armed", None)


def test_an_abort_by_a_person_names_the_person(tmp_path: Path) -> None:
    driven = Driven(tmp_path, spec_of(), world_of())
    driven.until(Phase.PROGRESSING)
    driven.ask(CommandKind.ABORT)
    driven.to_end()
    view = explanation_view(driven.journal.rollout("m"), driven.journal.events(driven.id))
    assert "abort by ann: because" in view.sentence
    assert view.deciding_alarm is None
    assert view.rollout.ended_by == "operator"
