"""The watch after success, over the journal: it outlives controllers; a late alarm puts the prior version back home."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from tests.unit.controller.driven import Driven
from tests.unit.machine.world import V1, V2, spec_of, world_of
from torchserve_rollout.controller.replay import replay
from torchserve_rollout.controller.show import rollout_view
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.model import RolloutId, VersionName
from torchserve_rollout.store.records import RolloutRecord

SPEC = spec_of(keep_prior="10m")


def succeeded(directory: Path) -> Driven:
    driven = Driven(directory, SPEC, world_of("a", "b"))
    driven.until(Phase.SUCCEEDED)
    return driven


def test_the_journal_tells_which_rollouts_are_still_watched(tmp_path: Path) -> None:
    driven = succeeded(tmp_path)
    record = driven.journal.rollout(driven.id)
    assert [each.id for each in driven.journal.watched_rollouts()] == [driven.id]
    assert driven.journal.open_rollouts() == []
    shown = rollout_view(record)
    assert (shown.is_terminal, shown.exit_code, shown.warm_until) == (True, 0, record.state.warm_until)
    while not driven.state.is_over:
        driven.tick()
    after = driven.journal.rollout(driven.id)
    assert driven.journal.watched_rollouts() == []
    assert after.ended_at == record.ended_at, "it ended when it succeeded"
    assert after.state.is_over and "1.0 stays registered, without workers" in after.sentence


def test_while_all_is_well_little_is_written(tmp_path: Path) -> None:
    driven = succeeded(tmp_path)
    evidence, events = len(driven.journal.evidence(driven.id)), len(driven.journal.events(driven.id))
    for _ in range(110):
        driven.tick()
    assert 8 <= len(driven.journal.evidence(driven.id)) - evidence <= 11
    assert len(driven.journal.events(driven.id)) == events
    assert "is kept warm for 8m" in driven.journal.rollout(driven.id).sentence


def test_a_late_alarm_rolls_back_and_the_prior_version_is_home_again(tmp_path: Path) -> None:
    driven = succeeded(tmp_path)
    for _ in range(75):
        driven.tick()
    driven.eyes.bad_share = 0.2
    ticks = 0
    while driven.state.phase is Phase.SUCCEEDED:
        driven.tick()
        ticks += 1
    assert ticks < 25, "it is judged every second, whatever is stored"
    [reopened] = driven.journal.open_rollouts()
    assert reopened.id == driven.id and reopened.ended_at is None
    home = driven.journal.last_completed(reopened.model)
    assert home is not None and home.version == V1
    assert driven.to_end() is Phase.ROLLED_BACK
    record = driven.journal.rollout(driven.id)
    shown = rollout_view(record)
    assert (shown.exit_code, shown.ended_by, shown.warm_until) == (3, "alarm:errors", None)
    assert record.ended_at is not None
    assert any(sentence.startswith("after its success: errors: error_rate is ") for sentence in driven.told)


def test_what_was_judged_after_success_is_judged_again_byte_for_byte(tmp_path: Path) -> None:
    driven = succeeded(tmp_path)
    for _ in range(35):
        driven.tick()
    driven.eyes.bad_share = 0.2
    driven.until(Phase.ROLLED_BACK)
    again = replay(
        driven.journal.rollout(driven.id), driven.journal.events(driven.id), driven.journal.evidence(driven.id)
    )
    assert again.is_same and "rolls back" in again.outcome
    assert again.verdicts[-1].phase == "SUCCEEDED"


def test_a_controller_that_starts_anew_goes_on_watching(tmp_path: Path) -> None:
    driven = succeeded(tmp_path)
    for _ in range(33):
        driven.tick()
    driven.restart_controller()
    driven.tick()
    assert driven.state.is_armed
    driven.eyes.bad_share = 0.2
    assert driven.until(Phase.ROLLED_BACK) is Phase.ROLLED_BACK
    assert all(node.default == V1 for node in driven.world.nodes.values())


@pytest.mark.parametrize("dies_before", [True, False])
def test_a_late_rollback_is_finished_by_the_next_controller(tmp_path: Path, dies_before: bool) -> None:
    driven = succeeded(tmp_path)
    driven.hands.dies_at = {(driven.hands.done + 1, dies_before)}
    driven.eyes.bad_share = 0.5
    assert driven.until(Phase.ROLLED_BACK) is Phase.ROLLED_BACK
    assert driven.deaths == 1
    assert all(node.default == V1 and V2 not in node.versions for node in driven.world.nodes.values())


def test_a_late_alarm_cannot_open_a_rollout_beside_a_newer_one(tmp_path: Path) -> None:
    driven = succeeded(tmp_path)
    later = RolloutState(
        RolloutId("r2"),
        driven.state.model,
        V2,
        VersionName("3.0"),
        Phase.PENDING,
        driven.world.now,
        "accepted",
    )
    driven.journal.create(RolloutRecord(SPEC, "", driven.world.now, "ann", later), "accepted")
    successor = driven.journal.successor(driven.journal.rollout(driven.id))
    assert successor is not None and successor.id == "r2"
    driven.eyes.bad_share = 0.5
    done = driven.hands.done
    with pytest.raises(IntegrityError):  # the world of this test knows of no successor: the race, for ever lost
        for _ in range(20):
            driven.tick()
    assert driven.hands.done == done, "and nothing was done about it"
    home = driven.journal.last_completed(driven.state.model)
    assert home is not None and home.version == V2


def test_an_alarm_that_only_tells_is_told_once(tmp_path: Path) -> None:
    alarm = {"name": "errors", "signal": "error_rate", "worse_than_stable_by": 0.01, "action": "hold"}
    driven = Driven(tmp_path, spec_of(alarms=[alarm]), world_of("a"))
    driven.until(Phase.SUCCEEDED)
    driven.eyes.bad_share = 0.5
    for _ in range(40):
        driven.tick()
    assert len([sentence for sentence in driven.told if sentence.startswith("errors fires: errors: ")]) == 1
    assert driven.state.phase is Phase.SUCCEEDED


def test_a_fault_that_begins_long_after_success_does_not_drown_in_what_went_well_before(tmp_path: Path) -> None:
    driven = Driven(tmp_path, spec_of(keep_prior="30m"), world_of("a"))
    driven.until(Phase.SUCCEEDED)
    while (driven.world.now - driven.state.phase_since).total_seconds() < 1195:
        driven.tick()
    driven.eyes.bad_share = 0.05
    begun = driven.world.now
    driven.until(Phase.ROLLING_BACK)
    assert (driven.world.now - begun).total_seconds() < 60, "as a whole it would take five minutes"
    again = replay(
        driven.journal.rollout(driven.id), driven.journal.events(driven.id), driven.journal.evidence(driven.id)
    )
    assert again.is_same
