"""After a TorchServe restart: what was live is live again, though TorchServe itself forgets versions and default.

The version before it comes back too while it is kept warm, so that the way back stays open. Only for models without a
rollout in flight; a rollout brings back what it needs by itself.
"""

from __future__ import annotations

import logging

from torchserve_rollout.clock import Clock
from torchserve_rollout.errors import RolloutError
from torchserve_rollout.machine.actions import Action, ActionResult, Register, Scale, SetDefault
from torchserve_rollout.model import ModelName, NodeName, NodeStatus
from torchserve_rollout.store.journal import Journal
from torchserve_rollout.store.records import CompletedVersion, EventKind, NewEvent
from torchserve_rollout.torchserve.fleet import Fleet

log = logging.getLogger("torchserve_rollout.restore")


def next_step(home: CompletedVersion, node: NodeStatus) -> Action | None:
    """What brings ``home`` nearer to being the default of ``node``; None when it is, or its workers are starting."""
    version = node.versions.get(home.version)
    if version is None:
        return Register(node.node, home.version)
    if not version.workers:
        return Scale(node.node, home.version, home.workers)
    if node.default_version != home.version and version.is_ready:
        return SetDefault(node.node, home.version)
    return None


def is_home(home: CompletedVersion, node: NodeStatus) -> bool:
    """Whether ``home`` is the default of ``node`` and serves."""
    return node.default_version == home.version and node.is_ready(home.version)


def warm_step(prior: CompletedVersion, node: NodeStatus) -> Action | None:
    """What brings ``prior`` nearer to being loaded on ``node``; None when it is, or its workers are starting."""
    version = node.versions.get(prior.version)
    if version is None:
        return Register(node.node, prior.version)
    return None if version.workers else Scale(node.node, prior.version, prior.workers)


class Restorer:
    """Watches for nodes that were started anew and brings back on them what was live."""

    def __init__(self, journal: Journal, fleet: Fleet, clock: Clock) -> None:
        self._journal = journal
        self._fleet = fleet
        self._clock = clock
        self._seen: dict[NodeName, str] = {}
        self._waiting: set[tuple[NodeName, ModelName]] = set()
        self._errors: dict[tuple[NodeName, ModelName], str] = {}

    def run(self) -> None:
        """One look at every node, one step for each model that is not home again."""
        homes = {home.model: home for home in self._journal.homes()}
        for name in self._fleet.nodes:
            if self._is_started_anew(name):
                self._waiting |= {(name, model) for model in homes}
        if not self._waiting:
            return
        busy = {record.model for record in self._journal.open_rollouts()}
        priors = self._priors()
        for name, model in sorted(self._waiting):
            # A rollout in flight ends by leaving the model where it belongs.
            if model in busy or self._step(name, homes[model], priors.get(model)):
                self._waiting.discard((name, model))

    def _priors(self) -> dict[ModelName, CompletedVersion]:
        """By model, the version before the live one, where it is kept warm."""
        watched = [record for record in self._journal.watched_rollouts() if record.state.is_armed]
        return {
            record.model: CompletedVersion(
                record.model,
                record.state.stable,
                self._journal.workers_of(record.model, record.state.stable) or record.spec.prepare.workers,
                record.created_at,
                record.id,
            )
            for record in watched
            if record.state.stable is not None
        }

    def _is_started_anew(self, name: NodeName) -> bool:
        """True at the first sight of a node, and after each of its restarts."""
        try:
            incarnation = self._fleet.nodes[name].incarnation()
        except RolloutError:
            self._seen.pop(name, None)  # without tokens there is no other sign of a restart
            return False
        if self._seen.get(name) == incarnation:
            return False
        self._seen[name] = incarnation
        return True

    def _step(self, name: NodeName, home: CompletedVersion, prior: CompletedVersion | None) -> bool:
        """True when ``home`` is live on the node, and ``prior`` loaded, so that there is nothing left to do."""
        status = self._fleet.observe(home.model)[name]
        if not status.is_reachable:
            return False
        if not is_home(home, status):
            self._perform(name, home, next_step(home, status))
            return False
        # Users first: the way back is mended only when the version that serves them stands.
        step = warm_step(prior, status) if prior is not None else None
        if prior is not None and step is not None:
            self._perform(name, prior, step)
            return False
        self._errors.pop((name, home.model), None)
        return True

    def _perform(self, name: NodeName, home: CompletedVersion, action: Action | None) -> None:
        if action is not None:
            self._note(name, home, self._fleet.perform(home.model, action))

    def _note(self, name: NodeName, home: CompletedVersion, result: ActionResult) -> None:
        if result.is_ok:
            log.info("restoring %s %s on %s: %s", home.model, home.version, name, type(result.action).__name__)
            return
        if self._errors.get((name, home.model)) == result.error:
            return
        self._errors[name, home.model] = result.error
        sentence = f"cannot restore {home.model} {home.version} on {name}: {result.error}"
        log.warning("%s", sentence)
        if home.rollout_id:
            state = self._journal.rollout(home.rollout_id).state
            self._journal.append(self._clock.now(), state, [NewEvent(EventKind.DRIFT, sentence)])
