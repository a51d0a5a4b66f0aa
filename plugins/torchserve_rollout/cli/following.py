"""Following a rollout over the controller's restarts, as a stream of what is new."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from torchserve_rollout.clock import Clock
from torchserve_rollout.controller.views import EventView, RolloutView
from torchserve_rollout.errors import RolloutError, ServerUnreachable
from torchserve_rollout.units import format_duration

POLL_S = 1.0
PATIENCE_S = 120.0


class RolloutSource(Protocol):
    """Where the rollout is read from."""

    def rollout(self, ref: str) -> RolloutView:
        """As it stands."""
        ...

    def events(self, ref: str, after_seq: int = 0) -> list[EventView]:
        """Its journal after ``after_seq``."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look: the rollout, the events since the last look, and a remark when the controller is away or back."""

    view: RolloutView
    new_events: list[EventView]
    at: datetime
    note: str = ""


def snapshots(
    source: RolloutSource,
    ref: str,
    clock: Clock,
    *,
    timeout_s: float | None = None,
    patience_s: float = PATIENCE_S,
    after_success: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Snapshot]:
    """Look every second until the rollout has an exit code; the last snapshot has it.

    ``after_success`` goes on while the prior version is kept warm, as an alarm may still set the default back.

    A controller that goes away is waited for up to ``patience_s``; one that never answered is not.

    Raises:
        ServerUnreachable: the controller did not answer the first time, or stayed away.
        RolloutError: ``timeout_s`` is over.
    """
    began_s = clock.monotonic_s()
    view, seq, away_since_s = source.rollout(ref), 0, None
    while True:
        new: list[EventView] = []
        note = ""
        try:
            view = source.rollout(view.id)
            new = source.events(view.id, seq)
            if away_since_s is not None:
                note = f"the controller is back after {format_duration(round(clock.monotonic_s() - away_since_s))}"
                away_since_s = None
        except ServerUnreachable as error:
            away_since_s = clock.monotonic_s() if away_since_s is None else away_since_s
            away_s = clock.monotonic_s() - away_since_s
            if away_s >= patience_s:
                raise
            note = f"{error.message}; trying for {format_duration(round(patience_s - away_s))} more"
        seq = max([seq, *(event.seq for event in new)])
        yield Snapshot(view, new, clock.now(), note)
        is_done = view.exit_code is not None and not (after_success and view.warm_until is not None)
        if is_done and away_since_s is None:
            return
        if timeout_s is not None and clock.monotonic_s() - began_s >= timeout_s:
            raise RolloutError(
                f"{view.id} is still {view.phase} after {format_duration(timeout_s)}: {view.reason}",
                hint=f"it goes on by itself; ts-rollout watch {view.id}",
            )
        sleep(POLL_S)
