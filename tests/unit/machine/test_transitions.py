"""The table says everything about where a rollout can go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.machine.world import START, run_of
from torchserve_rollout.machine.diagram import state_machine_page
from torchserve_rollout.machine.phases import Phase, Trigger
from torchserve_rollout.machine.tick import moved
from torchserve_rollout.machine.transitions import RESUMABLE, TABLE, IllegalTransition, is_legal, next_phase

PAGE = Path(__file__).parents[3] / "docs" / "state-machine.md"
PAIRS = [(phase, trigger) for phase in Phase for trigger in Trigger]


@pytest.mark.parametrize(("phase", "trigger"), PAIRS)
def test_a_pair_leads_where_the_table_says_or_is_refused_and_changes_nothing(phase: Phase, trigger: Trigger) -> None:
    state = run_of().state.evolve(phase=phase)
    if trigger in TABLE[phase]:
        after = moved(state, trigger, "why", START, {})
        assert (after.phase, after.reason) == (TABLE[phase][trigger], "why")
        assert is_legal(phase, trigger)
    else:
        with pytest.raises(IllegalTransition, match=f"{trigger} is not possible in phase {phase}"):
            moved(state, trigger, "why", START, {})
        assert state.phase is phase


def test_every_phase_has_a_row_and_nothing_but_a_late_alarm_leaves_a_terminal_one() -> None:
    assert set(TABLE) == set(Phase)
    left = {phase: set(TABLE[phase].values()) - {phase} for phase in Phase if phase.is_terminal}
    assert left.pop(Phase.SUCCEEDED) == {Phase.ROLLING_BACK}
    assert not any(left.values())
    assert all(TABLE[phase] for phase in Phase if not phase.is_terminal)


def test_every_phase_can_be_reached_and_can_reach_an_end() -> None:
    reached = _closure({Phase.PENDING}, {phase: set(row.values()) for phase, row in TABLE.items()})
    assert reached == set(Phase)
    for phase in Phase:
        ends = _closure({phase}, {start: set(row.values()) for start, row in TABLE.items()})
        assert any(end.is_terminal for end in ends), phase


def test_a_held_rollout_resumes_where_it_was_held_and_nowhere_else() -> None:
    for phase in Phase:
        if phase in RESUMABLE:
            assert next_phase(Phase.HELD, Trigger.OPERATOR_RESUME, held_in=phase) is phase
        else:
            with pytest.raises(IllegalTransition):
                next_phase(Phase.HELD, Trigger.OPERATOR_RESUME, held_in=phase)


def test_a_way_back_never_leads_forward() -> None:
    back = {Phase.ABORTING, Phase.ROLLING_BACK}
    for phase in back:
        assert set(TABLE[phase].values()) <= {Phase.ABORTED, Phase.ROLLED_BACK, Phase.HELD}


def test_the_page_on_the_state_machine_is_what_the_table_says() -> None:
    assert PAGE.read_text("utf-8") == state_machine_page(), (
        "docs/state-machine.md is out of date; write state_machine_page() into it"
    )


def _closure(start: set[Phase], edges: dict[Phase, set[Phase]]) -> set[Phase]:
    found = set(start)
    while new := {end for phase in found for end in edges[phase]} - found:
        found |= new
    return found
