"""The commands every face shares: start, pause, abort, and what is known of rollouts, versions and nodes."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import yaml

from torchserve_rollout.clock import Clock
from torchserve_rollout.controller.probe_files import ProbeFiles
from torchserve_rollout.controller.replay import replay
from torchserve_rollout.controller.show import event_view, explanation_view, pairs_view, rollout_view
from torchserve_rollout.controller.views import (
    EventView,
    ExplanationView,
    NodeView,
    PairsView,
    ReplayView,
    RolloutView,
    VersionView,
)
from torchserve_rollout.errors import (
    NotFoundError,
    RefusedError,
    RolloutError,
    ServerUnreachable,
    UsageError,
)
from torchserve_rollout.machine.alerts import Alert
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import Command, CommandKind, RolloutState
from torchserve_rollout.model import (
    MODEL_PATTERN,
    RESERVED_VERSIONS,
    VERSION_PATTERN,
    Mirrored,
    ModelName,
    NodeName,
    NodeStatus,
    RolloutId,
    VersionName,
)
from torchserve_rollout.packaging.store import Catalogue
from torchserve_rollout.spec.load import load_spec
from torchserve_rollout.spec.schema import RolloutSpec, Strategy
from torchserve_rollout.store.alerts import AlertBook
from torchserve_rollout.store.journal import Journal
from torchserve_rollout.store.pairs import PairBook
from torchserve_rollout.store.records import CompletedVersion, RolloutRecord
from torchserve_rollout.torchserve.fleet import Fleet


class Rollouts:
    """What a person can ask for and see. Thread-safe.

    Args:
        wake: called when something was put into the journal that the loop should look at soon.
    """

    def __init__(
        self,
        journal: Journal,
        fleet: Fleet,
        catalogue: Catalogue,
        probe_files: ProbeFiles,
        specs_dir: Path,
        clock: Clock,
        wake: Callable[[], None],
        alerts: AlertBook | None = None,
        pairs: PairBook | None = None,
    ) -> None:
        self._journal = journal
        self._fleet = fleet
        self._catalogue = catalogue
        self._probe_files = probe_files
        self._specs_dir = specs_dir
        self._clock = clock
        self._wake = wake
        self._alerts = alerts
        self._pairs = pairs

    # -- commands ----------------------------------------------------------------------------------------------

    def start(self, model: str, version: str, spec: RolloutSpec | None = None, actor: str = "") -> RolloutView:
        """Accept a rollout of ``version``; the loop begins it at its next tick.

        Without ``spec`` it is ``<model>.yaml`` among the specs; a model's first version needs none.

        Raises:
            UsageError: names that cannot be, or a spec for another model. SpecError: a probe file is broken.
            NotFoundError: no such version, or no spec. IntegrityError: its archive is damaged.
            RefusedError: the version is live already.
            RolloutInProgress: the model has a rollout that has not ended. ServerUnreachable: TorchServe is away.
        """
        name, candidate = _checked_names(model, version)
        nodes = self._reachable_nodes(name)
        home = self._journal.last_completed(name) or self._found(name, nodes)
        stable = home.version if home else None
        if candidate == stable:
            raise RefusedError(f"{model} {version} is what is served already")
        self._check_is_there(name, candidate, nodes)
        spec = spec or self._default_spec(name, stable)
        if spec.model != model:
            raise UsageError(f"the spec is for model {spec.model}, not {model}")
        self._probe_files.check(spec)
        return self._accept(name, candidate, home, spec, actor or getpass.getuser(), nodes)

    def _accept(
        self,
        model: ModelName,
        candidate: VersionName,
        home: CompletedVersion | None,
        spec: RolloutSpec,
        actor: str,
        nodes: dict[NodeName, NodeStatus],
    ) -> RolloutView:
        now = self._clock.now()
        rollout_id = RolloutId(f"{model}-{candidate}-{secrets.token_hex(2)}")
        stable = home.version if home else None
        against = f"against {stable}" if stable else "as the model's first version"
        sentence = f"{actor} started the rollout of {model} {candidate} {against}"
        state = RolloutState(
            rollout_id=rollout_id,
            model=model,
            stable=stable,
            candidate=candidate,
            phase=Phase.PENDING,
            phase_since=now,
            reason=sentence,
            epoch=max([self._journal.highest_epoch(model), *(node.last_epoch for node in nodes.values())]),
        )
        spec_text = yaml.safe_dump(spec.model_dump(mode="json", exclude_defaults=True), sort_keys=False)
        record = RolloutRecord(spec, spec_text, now, actor, state)
        adopted = home if home and not home.rollout_id else None
        if adopted:
            adopted = CompletedVersion(adopted.model, adopted.version, adopted.workers, now, rollout_id)
        self._journal.create(record, sentence, adopted)
        self._wake()
        return rollout_view(record)

    def command(self, ref: str, kind: CommandKind, actor: str, reason: str = "") -> RolloutView:
        """Put a command into the inbox; the next tick obeys or says why not.

        Rolling back a rollout that has succeeded starts a rollout of the version before it, at once and without steps.
        Promoting one that has succeeded lets the version before it go.

        Raises:
            NotFoundError: no such rollout. RefusedError: it has ended.
        """
        record = self._journal.rollout(ref)
        if kind is CommandKind.ROLLBACK and record.state.phase is Phase.SUCCEEDED:
            return self._return_to_prior(record, actor, reason)
        is_letting_go = kind is CommandKind.PROMOTE and record.state.is_watched
        if record.state.phase.is_terminal and not is_letting_go:
            raise RefusedError(
                f"{record.id} has ended ({record.state.phase}), it cannot {kind} any more",
                hint=f"ts-rollout start {record.model} VERSION starts a new one",
            )
        self._journal.put_command(record.id, Command(kind, actor or getpass.getuser(), reason, self._clock.now()))
        self._wake()
        return rollout_view(self._journal.rollout(record.id))

    def _return_to_prior(self, record: RolloutRecord, actor: str, reason: str) -> RolloutView:
        home = self._journal.last_completed(record.model)
        if home is None or home.version != record.state.candidate:
            raise RefusedError(f"{record.id} is not the rollout that made the present version live")
        if record.state.stable is None:
            raise RefusedError(
                f"{record.state.candidate} is the first version of {record.model}: there is none before it"
            )
        nodes = self._reachable_nodes(record.model)
        self._check_is_there(record.model, record.state.stable, nodes)
        spec = RolloutSpec(
            model=record.model,
            strategy=Strategy.ALL_AT_ONCE,
            prepare=record.spec.prepare,
            deadlines=record.spec.deadlines,
            breaker=record.spec.breaker,
            lease=record.spec.lease,
            notify=record.spec.notify,
        )
        who = f"{actor or getpass.getuser()} (rollback of {record.id}{': ' + reason if reason else ''})"
        return self._accept(record.model, record.state.stable, home, spec, who, nodes)

    def take_alerts(self, alerts: Sequence[Alert]) -> None:
        """Note what Alertmanager told; the next tick of a rollout of these versions heeds it."""
        if self._alerts is not None:
            self._alerts.take(alerts, self._clock.now())
            self._wake()

    # -- what is known -----------------------------------------------------------------------------------------

    def list(self, model: str | None = None, limit: int = 100) -> Sequence[RolloutView]:
        """Newest first."""
        return [rollout_view(record) for record in self._journal.rollouts(model, limit)]

    def get(self, ref: str) -> RolloutView:
        """The rollout of this id, or the latest of the model of this name.

        Raises:
            NotFoundError: there is neither.
        """
        return rollout_view(self._journal.rollout(ref))

    def events(self, ref: str, after_seq: int = 0) -> Sequence[EventView]:
        """Its journal beyond ``after_seq``, oldest first."""
        rollout_id = self._journal.rollout(ref).id
        return [event_view(event) for event in self._journal.events(rollout_id, after_seq)]

    def explain(self, ref: str) -> ExplanationView:
        """Why it stands where it stands."""
        record = self._journal.rollout(ref)
        return explanation_view(record, self._journal.events(record.id))

    def pairs(self, ref: str) -> PairsView:
        """Its mirrored requests: how many there were, and the latest few."""
        rollout_id = self._journal.rollout(ref).id
        return pairs_view(rollout_id, self._pairs.of(rollout_id) if self._pairs else Mirrored(0, 0, ()))

    def replay(self, ref: str, spec: RolloutSpec | None = None) -> ReplayView:
        """Judge it again from its journal; by the alarms of ``spec`` when one is given.

        Raises:
            UsageError: the spec is for another model.
        """
        record = self._journal.rollout(ref)
        if spec is not None and spec.model != record.model:
            raise UsageError(f"the spec is for model {spec.model}, not {record.model}")
        return replay(record, self._journal.events(record.id), self._journal.evidence(record.id), spec)

    def models(self) -> Sequence[VersionView]:
        """Every packaged or registered version. While TorchServe is away, what is packaged."""
        packaged = {(entry.model, entry.version): entry for entry in self._catalogue.list()}
        models = {model for model, _ in packaged}
        with suppress(RolloutError):
            for node in self._fleet.nodes.values():
                models |= set(node.models.models())
        seen = {model: list(self._fleet.observe(model).values()) for model in sorted(models)}
        versions = packaged.keys() | {
            (model, version) for model, nodes in seen.items() for node in nodes for version in node.versions
        }
        views = []
        for model, version in sorted(versions):
            entry = packaged.get((model, version))
            there = [node for node in seen[model] if version in node.versions]
            views.append(
                VersionView(
                    model=model,
                    version=version,
                    digest=entry.digest if entry else "",
                    size_bytes=entry.size_bytes if entry else 0,
                    packaged_at=entry.packaged_at if entry else None,
                    archive=entry.path.name if entry else there[0].versions[version].archive,
                    is_registered=bool(there),
                    is_default=any(node.default_version == version for node in there),
                    ready_workers=sum(node.versions[version].ready_workers for node in there),
                )
            )
        return views

    def nodes(self) -> Sequence[NodeView]:
        """Every TorchServe the controller looks after, asked now."""
        views = []
        for node in self._fleet.nodes.values():
            error = ""
            try:
                node.models.is_alive()
            except RolloutError as unreachable:
                error = unreachable.message
            views.append(NodeView(node=node.name, is_reachable=not error, error=error))
        return views

    # -- checks ------------------------------------------------------------------------------------------------

    def _reachable_nodes(self, model: ModelName) -> dict[NodeName, NodeStatus]:
        nodes = self._fleet.observe(model)
        away = [node.error for node in nodes.values() if not node.is_reachable]
        if away:
            raise ServerUnreachable(
                f"a rollout needs every node: {'; '.join(away)}", hint="ts-rollout doctor says more"
            )
        return nodes

    def _found(self, model: ModelName, nodes: dict[NodeName, NodeStatus]) -> CompletedVersion | None:
        """The default version of a model that never had a rollout: it becomes the version to return to."""
        defaults = {node.default_version for node in nodes.values()}
        if len(defaults) > 1:
            raise RefusedError(
                f"the nodes disagree on the default version of {model}: {', '.join(sorted(map(str, defaults)))}",
                hint="set the same default on all of them first",
            )
        version = next(iter(defaults), None)
        if version is None:
            return None
        workers = max(node.versions[version].min_workers for node in nodes.values() if version in node.versions)
        return CompletedVersion(model, version, max(1, workers), self._clock.now(), RolloutId(""))

    def _check_is_there(self, model: ModelName, version: VersionName, nodes: dict[NodeName, NodeStatus]) -> None:
        """Return if ``version`` can be brought up: its archive is sound, or it is registered everywhere by hand."""
        try:
            entry = self._catalogue.get(model, version)
        except NotFoundError:
            if all(version in node.versions for node in nodes.values()):
                return
            raise
        self._catalogue.verify(entry)

    def _default_spec(self, model: ModelName, stable: VersionName | None) -> RolloutSpec:
        path = self._specs_dir / f"{model}.yaml"
        if path.is_file():
            return load_spec(path.read_text("utf-8"), str(path))
        if stable is None:
            return RolloutSpec(model=model, strategy=Strategy.ALL_AT_ONCE)
        raise NotFoundError(f"{path}: no such file", hint="write a spec there, or name one")


def _checked_names(model: str, version: str) -> tuple[ModelName, VersionName]:
    if not MODEL_PATTERN.match(model):
        raise UsageError(f"{model!r} is no model name", hint="letters, digits, dot, dash and underscore, 64 at most")
    if not VERSION_PATTERN.match(version) or version in RESERVED_VERSIONS:
        raise UsageError(
            f"{version!r} is no version",
            hint="letters, digits, dot, dash and underscore, 64 at most; neither 'all' nor 'default'",
        )
    return ModelName(model), VersionName(version)
