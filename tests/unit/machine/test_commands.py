"""What a person may ask in which phase; what is not possible is refused with a sentence and changes nothing."""

from __future__ import annotations

import pytest

from tests.unit.machine.world import V1, Run, judged, run_of, spec_of
from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import CommandKind
from torchserve_rollout.model import NodeName

PAUSE, RESUME, PROMOTE, ABORT, ROLLBACK = (
    CommandKind.PAUSE,
    CommandKind.RESUME,
    CommandKind.PROMOTE,
    CommandKind.ABORT,
    CommandKind.ROLLBACK,
)


def standing_in(phase: Phase, held_in: Phase = Phase.PROGRESSING) -> Run:
    """A rollout that stands in ``phase``."""
    run = run_of(spec=spec_of(final_bake="60s"))
    match phase:
        case Phase.PENDING:
            return run
        case Phase.ABORTING:
            run.until_weight(50).tick(ABORT)
        case Phase.ROLLING_BACK:
            run.until(Phase.BAKING).tick(ROLLBACK)
        case Phase.ABORTED:
            standing = standing_in(Phase.ABORTING)
            standing.to_end()
            return standing
        case Phase.ROLLED_BACK:
            standing = standing_in(Phase.ROLLING_BACK)
            standing.to_end()
            return standing
        case Phase.HELD:
            run = standing_in(held_in)
            run.verdict = lambda run: judged(Verdict.FAIL, action="hold")
            run.until(Phase.HELD)
            run.verdict = lambda run: judged(Verdict.PASS)
        case Phase.PROGRESSING:
            run.until_weight(50)
        case _:
            run.until(phase)
    return run


ALLOWED = {
    Phase.PENDING: {PAUSE, ABORT, ROLLBACK},
    Phase.PREPARING: {PAUSE, ABORT, ROLLBACK},
    Phase.PROGRESSING: {PAUSE, PROMOTE, ABORT, ROLLBACK},
    Phase.PROMOTING: {PAUSE, ABORT, ROLLBACK},
    Phase.BAKING: {PAUSE, PROMOTE, ROLLBACK},
    Phase.ABORTING: set(),
    Phase.ROLLING_BACK: set(),
    Phase.HELD: {RESUME, PROMOTE, ABORT, ROLLBACK},
    Phase.SUCCEEDED: {PROMOTE},
    Phase.ABORTED: set(),
    Phase.ROLLED_BACK: set(),
}


@pytest.mark.parametrize("phase", list(ALLOWED))
@pytest.mark.parametrize("kind", list(CommandKind))
def test_each_command_is_obeyed_or_refused_in_each_phase(phase: Phase, kind: CommandKind) -> None:
    run = standing_in(phase)
    decision, unasked = run.decision(kind), run.decision()
    if kind in ALLOWED[phase]:
        assert not decision.refused
        assert f"{kind} by ann: because" in decision.reason
    else:
        [(command, why)] = decision.refused
        assert command.kind is kind and len(why) > 10
        assert (decision.state, decision.actions, decision.reason) == (unasked.state, unasked.actions, unasked.reason)


@pytest.mark.parametrize(
    ("phase", "kind", "end"),
    [
        (Phase.PREPARING, ABORT, Phase.ABORTED),
        (Phase.PREPARING, ROLLBACK, Phase.ABORTED),
        (Phase.PROGRESSING, ABORT, Phase.ABORTED),
        (Phase.PROGRESSING, ROLLBACK, Phase.ABORTED),
        (Phase.PROGRESSING, PROMOTE, Phase.SUCCEEDED),
        (Phase.PROMOTING, ROLLBACK, Phase.ROLLED_BACK),
        (Phase.PROMOTING, ABORT, Phase.ABORTED),
        (Phase.BAKING, ROLLBACK, Phase.ROLLED_BACK),
        (Phase.BAKING, PROMOTE, Phase.SUCCEEDED),
        (Phase.HELD, PROMOTE, Phase.SUCCEEDED),
        (Phase.HELD, ABORT, Phase.ABORTED),
        (Phase.HELD, ROLLBACK, Phase.ABORTED),
        (Phase.HELD, RESUME, Phase.SUCCEEDED),
    ],
)
def test_where_a_command_leads(phase: Phase, kind: CommandKind, end: Phase) -> None:
    run = standing_in(phase)
    run.tick(kind)
    assert run.to_end() is end
    if end is not Phase.SUCCEEDED:
        assert run.state.ended_by == "operator"
        assert all(node.default == V1 for node in run.world.nodes.values())


def test_promote_ends_the_bake_at_once() -> None:
    run = standing_in(Phase.BAKING)
    run.tick(PROMOTE)
    before = len(run.decisions)
    assert run.to_end() is Phase.SUCCEEDED
    assert len(run.decisions) - before <= 3


def test_a_rollout_held_in_its_bake_can_be_accepted_or_rolled_back_but_not_aborted() -> None:
    accepted = standing_in(Phase.HELD, held_in=Phase.BAKING)
    assert accepted.tick(ABORT).refused[0][1] == "2.0 is promoted; roll it back instead"
    accepted.tick(PROMOTE)
    assert accepted.to_end() is Phase.SUCCEEDED
    back = standing_in(Phase.HELD, held_in=Phase.BAKING)
    back.tick(ROLLBACK)
    assert back.to_end() is Phase.ROLLED_BACK


def test_promotion_is_refused_while_an_alarm_fails() -> None:
    run = standing_in(Phase.HELD)
    run.verdict = lambda run: judged(Verdict.FAIL)
    assert run.tick(PROMOTE).refused[0][1] == "an alarm fails: errors: fail"
    assert run.state.phase is Phase.HELD


def test_promotion_is_refused_while_a_node_does_not_answer() -> None:
    run = standing_in(Phase.PROGRESSING)
    run.world.nodes[NodeName("b")].is_down = True
    assert run.tick(PROMOTE).refused[0][1] == "not everything is as it must be: b does not answer"


def test_a_second_abort_while_held_on_the_way_back_gives_up() -> None:
    run = run_of().until_weight(50)
    run.world.sick.add(V1)
    run.tick(ABORT)
    assert run.to_end() is Phase.HELD
    assert run.tick(ABORT).state.phase is Phase.FAILED
    assert run.tick(RESUME).refused[0][1] == "it is over (FAILED)"


def test_a_rollback_after_success_says_what_to_do_instead() -> None:
    run = standing_in(Phase.SUCCEEDED)
    assert run.tick(ROLLBACK).refused[0][1] == "it is over (SUCCEEDED); start a rollout of 1.0 instead"


def test_several_commands_of_one_tick_are_taken_in_their_order() -> None:
    run = standing_in(Phase.PROGRESSING)
    decision = run.tick(PAUSE, PAUSE, RESUME, RESUME)
    assert [why for _, why in decision.refused] == ["it is paused already", "it is neither paused nor held"]
    assert not decision.state.pause_reasons
