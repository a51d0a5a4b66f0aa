"""The journal read back: folding the events of a rollout gives its state."""

from __future__ import annotations

from collections.abc import Iterable

from torchserve_rollout.errors import NotFoundError
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.store.codec import state_from_json
from torchserve_rollout.store.records import Event


def fold(events: Iterable[Event]) -> RolloutState:
    """The state after the last of ``events``: each decision carries the state it led to.

    The row in ``rollouts`` is a copy of this, with a fresher ``reason``.

    Raises:
        NotFoundError: there is no decision among them.
    """
    latest = None
    for event in events:
        latest = event.data.get("state", latest)
    if latest is None:
        raise NotFoundError("these events hold no state")
    return state_from_json(latest)
