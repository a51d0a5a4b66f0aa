"""One tick after the other over a real journal: what is written, and what a crash at any action leaves behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.controller.driven import Driven
from tests.unit.machine.world import V1, V2, spec_of, world_of
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import CommandKind
from torchserve_rollout.store.records import EventKind
from torchserve_rollout.store.state import fold

GATED = spec_of(gates=[{"probe": "smoke.yaml", "min_score": 0.9}])


def good(directory: Path) -> Driven:
    return Driven(directory, GATED, world_of("a", "b"))


def bad(directory: Path) -> Driven:
    return Driven(directory, GATED, world_of("a", "b"), bad_share=0.5)


def actions_of(driven: Driven) -> int:
    driven.to_end()
    return driven.hands.done


def test_a_good_rollout_is_told_from_its_journal(tmp_path: Path) -> None:
    driven = good(tmp_path)
    assert driven.to_end() is Phase.SUCCEEDED
    events = driven.journal.events(driven.id)
    assert fold(events).phase is Phase.SUCCEEDED
    assert events[0].kind is EventKind.ACCEPTED
    assert {event.kind for event in events} == {
        EventKind.ACCEPTED,
        EventKind.DECIDED,
        EventKind.DONE,
        EventKind.VERDICT,
    }
    home = driven.journal.last_completed(driven.state.model)
    assert home is not None and home.version == V2
    assert driven.journal.rollout(driven.id).ended_at is not None
    assert driven.told[-1] == f"{driven.state.reason}; 1.0 is kept warm for 1h more, alarms are armed"


def test_a_quiet_tick_writes_no_line(tmp_path: Path) -> None:
    driven = good(tmp_path)
    driven.until(Phase.PROGRESSING)
    driven.tick()
    driven.ask(CommandKind.PAUSE)
    for _ in range(10):
        driven.tick()
    before = driven.journal.events(driven.id)
    for _ in range(20):
        driven.tick()
    assert driven.journal.events(driven.id) == before
    assert "paused" in driven.journal.rollout(driven.id).sentence, "but says how it stands"


def test_a_bad_candidate_is_judged_on_evidence_that_is_kept(tmp_path: Path) -> None:
    driven = bad(tmp_path)
    assert driven.to_end() is Phase.ABORTED
    assert driven.state.ended_by == "alarm:errors"
    rates = [tick.measurements["error_rate"].candidate for tick in driven.journal.evidence(driven.id)]
    assert sum(rate.n for rate in rates if rate is not None) >= 20
    (alarm,) = driven.journal.rollout(driven.id).alarms
    assert alarm.verdict.name == "FAIL" and alarm.candidate_n >= 20


def test_commands_are_obeyed_once_and_refusals_are_written_down(tmp_path: Path) -> None:
    driven = good(tmp_path)
    driven.until(Phase.PROGRESSING)
    driven.ask(CommandKind.RESUME)
    driven.tick()
    said = [event.sentence for event in driven.journal.events(driven.id) if event.kind is EventKind.COMMAND]
    assert said == ["ann asked to resume: because", "refused to resume: it is neither paused nor held"]

    driven.ask(CommandKind.ABORT)
    assert driven.to_end() is Phase.ABORTED
    assert driven.journal.pending_commands(driven.id) == []


def test_an_action_that_goes_on_failing_is_written_down_once(tmp_path: Path) -> None:
    driven = good(tmp_path)
    driven.world.fails = lambda action: "disk full" if type(action).__name__ == "Register" else ""
    assert driven.to_end() is Phase.ABORTED
    failed = [event.sentence for event in driven.journal.events(driven.id) if event.kind is EventKind.FAILED]
    assert sorted(failed) == [f"could not register 2.0 on {node}: disk full" for node in "ab"]


@pytest.mark.parametrize("is_before", [True, False], ids=["before it is done", "after it is done"])
@pytest.mark.parametrize(("make", "end"), [(good, Phase.SUCCEEDED), (bad, Phase.ABORTED)], ids=["good", "bad"])
def test_killed_at_each_action_in_turn_the_rollout_ends_as_it_would_have(
    make: object, end: Phase, is_before: bool, tmp_path: Path
) -> None:
    assert callable(make)
    (tmp_path / "whole").mkdir()
    total = actions_of(make(tmp_path / "whole"))
    assert total > 10
    for number in range(total):
        directory = tmp_path / str(number)
        directory.mkdir()
        driven: Driven = make(directory)
        driven.hands.dies_at = {(number, is_before)}
        assert driven.to_end() is end, f"killed at action {number}: {driven.state.reason}"
        assert_the_world_is_in_order(driven, end)


@settings(max_examples=20, deadline=None)
@given(deaths=st.sets(st.tuples(st.integers(0, 60), st.booleans()), max_size=12), is_good=st.booleans())
def test_killed_again_and_again_it_still_ends_in_order(deaths: set[tuple[int, bool]], is_good: bool) -> None:
    with tempfile.TemporaryDirectory() as directory:
        driven = (good if is_good else bad)(Path(directory))
        driven.hands.dies_at = deaths
        end = driven.to_end()
        assert end is (Phase.SUCCEEDED if is_good else Phase.ABORTED), driven.state.reason
        assert_the_world_is_in_order(driven, end)


def assert_the_world_is_in_order(driven: Driven, end: Phase) -> None:
    live = V2 if end is Phase.SUCCEEDED else V1
    for node in driven.world.nodes.values():
        assert node.default == live
        assert node.policy is None
        assert driven.world.weight(node, live) == 100
        assert V1 in node.versions, "stable is always loaded"
    assert driven.world.faults == []
