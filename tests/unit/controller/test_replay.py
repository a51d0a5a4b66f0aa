"""A rollout judged again from its journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from tests.unit.controller.driven import Driven
from tests.unit.machine.world import spec_of, world_of
from torchserve_rollout.controller.replay import replay
from torchserve_rollout.controller.views import ReplayView
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.spec.schema import RolloutSpec
from torchserve_rollout.store import tables

ERRORS = {"name": "errors", "signal": "error_rate", "worse_than_stable_by": 0.01}
RECENT = {"name": "recent", "signal": "error_rate", "max": 0.3, "window": "3s", "for": "2s", "action": "notify"}


def driven(directory: Path, bad_share: float) -> Driven:
    rollout = Driven(directory, spec_of(alarms=[ERRORS, RECENT], warm_up="1s"), world_of("a", "b"), bad_share)
    rollout.to_end()
    return rollout


def replayed(rollout: Driven, spec: RolloutSpec | None = None) -> ReplayView:
    record = rollout.journal.rollout(rollout.id)
    return replay(record, rollout.journal.events(rollout.id), rollout.journal.evidence(rollout.id), spec)


@pytest.mark.parametrize(("bad_share", "end"), [(0.0, Phase.SUCCEEDED), (0.5, Phase.ABORTED)])
def test_the_same_evidence_gives_the_same_verdicts_byte_for_byte(tmp_path: Path, bad_share: float, end: Phase) -> None:
    rollout = driven(tmp_path, bad_share)
    assert rollout.state.phase is end
    first = replayed(rollout)
    assert first.differences == [] and first.is_same
    assert first.looks >= 3 and first.verdicts
    assert first.model_dump_json() == replayed(rollout).model_dump_json()


def test_it_holds_through_crashes_of_the_controller(tmp_path: Path) -> None:
    rollout = Driven(tmp_path, spec_of(alarms=[ERRORS, RECENT]), world_of("a"), 0.05)
    rollout.hands.dies_at = {(number, number % 2 == 0) for number in range(0, 40, 5)}
    rollout.to_end()
    assert rollout.deaths and replayed(rollout).is_same


def test_the_outcome_names_what_decided(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    view = replayed(driven(tmp_path, 0.5))
    assert "rolls back: errors: error_rate is 50 %" in view.outcome
    assert replayed(driven(tmp_path / "good", 0.0)).outcome == "no alarm fires"


def changed(**alarm: Any) -> RolloutSpec:
    return spec_of(alarms=[alarm])


def test_another_spec_shows_what_it_would_have_said(tmp_path: Path) -> None:
    rollout = driven(tmp_path, 0.5)
    blind = replayed(rollout, changed(name="lax", signal="error_rate", max=0.9))
    assert (blind.outcome, blind.is_other_spec) == ("no alarm fires", True)
    strict = replayed(rollout, changed(name="strict", signal="error_rate", max=0.01, action="hold", min_samples=5))
    assert "holds: strict: error_rate is" in strict.outcome


def test_a_signal_that_was_not_watched_cannot_be_judged_afterwards(tmp_path: Path) -> None:
    view = replayed(driven(tmp_path, 0.0), changed(name="slow", signal="latency_p95", max=2.0))
    assert view.unmeasured == ["slow"]
    assert {each.verdict for each in view.verdicts} == {"INCONCLUSIVE"}


def test_a_journal_that_was_tampered_with_is_found_out(tmp_path: Path) -> None:
    rollout = driven(tmp_path, 0.5)
    with rollout.journal._engine.begin() as connection:
        sample = {"kind": "Rate", "events": 0, "total": 10}
        data = {"error_rate": {"signal": "error_rate", "candidate": sample, "stable": sample, "error": ""}}
        connection.execute(update(tables.evidence).values(data=data))
    view = replayed(rollout)
    assert not view.is_same
    assert "error_rate is 50 %" in view.differences[-1].recorded
