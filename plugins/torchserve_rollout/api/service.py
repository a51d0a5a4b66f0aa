"""What the API needs of the controller, cut by purpose. ``controller.rollouts.Rollouts`` is all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torchserve_rollout.controller.views import (
    EventView,
    ExplanationView,
    NodeView,
    PairsView,
    ReplayView,
    RolloutView,
    VersionView,
)
from torchserve_rollout.machine.alerts import Alert
from torchserve_rollout.machine.state import CommandKind
from torchserve_rollout.spec.schema import RolloutSpec


class RolloutCommands(Protocol):
    """What a person can ask for."""

    def start(self, model: str, version: str, spec: RolloutSpec | None, actor: str) -> RolloutView:
        """Accept a rollout of ``version``; without ``spec`` by the model's own among the specs.

        Raises:
            RolloutInProgress: the model has one that has not ended.
        """
        ...

    def command(self, ref: str, kind: CommandKind, actor: str, reason: str) -> RolloutView:
        """Put a command into the inbox; the next tick obeys.

        Raises:
            NotFoundError: no such rollout.
            RefusedError: the command is not allowed in this phase.
        """
        ...


class AlertReceiver(Protocol):
    """Where alerts that were judged elsewhere go."""

    def take_alerts(self, alerts: Sequence[Alert]) -> None:
        """Note what was told; the next tick of a rollout of these versions heeds it."""
        ...


class RolloutReader(Protocol):
    """What is known of rollouts. ``ref`` is an id, or a model name: its latest rollout."""

    def list(self, model: str | None = None, limit: int = 100) -> Sequence[RolloutView]:
        """Newest first."""
        ...

    def get(self, ref: str) -> RolloutView:
        """One rollout as it stands."""
        ...

    def events(self, ref: str, after_seq: int = 0) -> Sequence[EventView]:
        """Its journal, oldest first, beginning after ``after_seq``."""
        ...

    def explain(self, ref: str) -> ExplanationView:
        """Why it stands where it stands."""
        ...

    def pairs(self, ref: str) -> PairsView:
        """Its mirrored requests: how many there were, and the latest few."""
        ...

    def replay(self, ref: str, spec: RolloutSpec | None) -> ReplayView:
        """Judge it again from its journal; by the alarms of ``spec`` when one is given."""
        ...


class FleetReader(Protocol):
    """What is known of versions and nodes."""

    def models(self) -> Sequence[VersionView]:
        """Every packaged or registered version."""
        ...

    def nodes(self) -> Sequence[NodeView]:
        """Every TorchServe the controller looks after."""
        ...


class RolloutService(RolloutCommands, AlertReceiver, RolloutReader, FleetReader, Protocol):
    """All of it."""
