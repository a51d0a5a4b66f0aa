"""A command is followed to the tick that takes it, or for a few seconds."""

from __future__ import annotations

import pytest

from tests.unit.api.in_memory import InMemoryRollouts, new_event, new_view
from tests.unit.cli.test_watch import HandClock
from torchserve_rollout.cli.inbox import WAIT_S, give
from torchserve_rollout.controller.views import EventView, RolloutView
from torchserve_rollout.errors import RefusedError
from torchserve_rollout.machine.state import CommandKind


class Inbox:
    """Rollouts as the client gives them; the tick comes after ``tick_after`` looks at the journal."""

    def __init__(self, rollouts: InMemoryRollouts, tick_after: int = 0) -> None:
        self.rollouts = rollouts
        self.looks = -tick_after

    def rollout(self, ref: str) -> RolloutView:
        return self.rollouts.get(ref)

    def events(self, ref: str, after_seq: int = 0) -> list[EventView]:
        self.looks += 1
        return list(self.rollouts.events(ref, after_seq)) if self.looks > 0 or not self.rollouts.commands else []

    def command(self, ref: str, kind: str, actor: str, reason: str) -> RolloutView:
        return self.rollouts.command(ref, CommandKind(kind), actor, reason)


@pytest.fixture
def rollouts() -> InMemoryRollouts:
    earlier = new_event(1, "refused to pause: it is held already", kind="command", data={"kind": "pause"})
    return InMemoryRollouts(views=[new_view()], journal=[earlier])


@pytest.mark.parametrize("tick_after", [0, 3, 20])
def test_a_command_is_taken_by_a_later_tick(rollouts: InMemoryRollouts, tick_after: int) -> None:
    clock = HandClock()
    receipt = give(Inbox(rollouts, tick_after), "assistant", CommandKind.PAUSE, "ada", "", clock, clock.sleep)
    assert receipt.is_taken


def test_a_refusal_of_the_tick_is_raised_with_its_reason(rollouts: InMemoryRollouts) -> None:
    rollouts.refusal = "it is paused already"
    clock = HandClock()
    with pytest.raises(RefusedError, match="refused to pause: it is paused already"):
        give(Inbox(rollouts), "assistant", CommandKind.PAUSE, "ada", "", clock, clock.sleep)


def test_without_a_tick_the_command_stays_in_the_inbox(rollouts: InMemoryRollouts) -> None:
    clock = HandClock()
    receipt = give(Inbox(rollouts, 10_000), "assistant", CommandKind.ABORT, "ada", "", clock, clock.sleep)
    assert not receipt.is_taken
    assert clock.passed_s == pytest.approx(WAIT_S, abs=0.2)
