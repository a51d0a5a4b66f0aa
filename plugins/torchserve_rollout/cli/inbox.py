"""A command given to the controller, and what its next tick made of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torchserve_rollout.clock import Clock
from torchserve_rollout.controller.views import EventView, RolloutView
from torchserve_rollout.errors import RefusedError
from torchserve_rollout.machine.state import CommandKind

POLL_S = 0.1
WAIT_S = 5.0


class CommandTarget(Protocol):
    """The controller as a command needs it."""

    def rollout(self, ref: str) -> RolloutView:
        """A rollout as it stands."""
        ...

    def events(self, ref: str, after_seq: int = 0) -> list[EventView]:
        """Its journal after ``after_seq``."""
        ...

    def command(self, ref: str, kind: str, actor: str, reason: str) -> RolloutView:
        """Put the command into the inbox."""
        ...


@dataclass(frozen=True, slots=True)
class Receipt:
    """The rollout after the command. ``is_taken`` is False while it still lies in the inbox."""

    view: RolloutView
    is_taken: bool


def give(
    target: CommandTarget,
    ref: str,
    kind: CommandKind,
    actor: str,
    reason: str,
    clock: Clock,
    sleep: Callable[[float], None] = time.sleep,
) -> Receipt:
    """Give a command and wait a few seconds for the tick that takes it.

    Raises:
        RefusedError: it is not allowed in this phase; at once, or by the tick.
        NotFoundError: no such rollout.
    """
    before = target.rollout(ref)
    last_seq = max((event.seq for event in target.events(before.id)), default=0)
    view = target.command(before.id, kind.value, actor, reason)
    if view.id != before.id:
        # Rolling back what has ended is a rollout of its own.
        return Receipt(view, is_taken=True)
    end_s = clock.monotonic_s() + WAIT_S
    while clock.monotonic_s() < end_s:
        answers = [event for event in target.events(view.id, last_seq) if _is_about(event, kind)]
        for event in answers:
            if event.sentence.startswith("refused"):
                raise RefusedError(
                    f"{view.id}: {event.sentence}", hint=f"ts-rollout explain {view.id} shows where it stands"
                )
        if answers:
            return Receipt(target.rollout(view.id), is_taken=True)
        sleep(POLL_S)
    return Receipt(view, is_taken=False)


def _is_about(event: EventView, kind: CommandKind) -> bool:
    return event.kind == "command" and event.data.get("kind") == kind.value
