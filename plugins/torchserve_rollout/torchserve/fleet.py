"""The nodes the controller looks after: one look at all of them, one action on one of them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, replace

from torchserve_rollout.errors import (
    IntegrityError,
    NotFoundError,
    RolloutError,
    ServerError,
    ServerUnreachable,
    StaleEpoch,
)
from torchserve_rollout.machine.actions import (
    Action,
    ActionResult,
    ClearTraffic,
    Probe,
    Register,
    RenewLease,
    RunGates,
    Scale,
    SetDefault,
    SetTraffic,
    Unregister,
)
from torchserve_rollout.model import ModelName, NodeName, NodeStatus, VersionName
from torchserve_rollout.settings import Settings
from torchserve_rollout.torchserve.client import ModelClient
from torchserve_rollout.torchserve.listener import Listener
from torchserve_rollout.torchserve.tokens import KeyKind, Tokens
from torchserve_rollout.torchserve.traffic import TrafficClient

OBSERVE_DEADLINE_S = 10.0
_NEWER_EPOCH = re.compile(r"older than (\d+)")
# A request that TorchServe rejects for what it says is rejected again; these may pass.
_RETRIABLE_4XX = frozenset({400, 408, 409, 429})

ArchiveUrl = Callable[[ModelName, VersionName], str]
"""Where TorchServe finds the archive of a version; raises NotFoundError or IntegrityError."""


@dataclass(frozen=True, slots=True)
class Node:
    """One TorchServe and the clients that talk to it. ``tokens`` is None where authorization is off."""

    name: NodeName
    models: ModelClient
    traffic: TrafficClient
    metrics_url: str
    tokens: Tokens | None

    def incarnation(self) -> str:
        """Changes when this TorchServe is started anew; where authorization is off, it only tells that it is there.

        Raises:
            ServerUnreachable: its keys cannot be read; where it has none, it does not answer.
        """
        if self.tokens is not None:
            return self.tokens.incarnation()
        self.models.is_alive()
        return ""


def node_from_settings(settings: Settings, name: NodeName | None = None) -> Node:
    """The TorchServe that ``config.properties`` describes."""
    tokens = Tokens(settings.key_file, settings.management_url) if settings.is_token_required else None
    management = Listener(settings.management_url, KeyKind.MANAGEMENT, tokens)
    inference = Listener(settings.inference_url, KeyKind.INFERENCE, tokens)
    return Node(
        name=name or NodeName("local"),
        models=ModelClient(management, inference),
        traffic=TrafficClient(management),
        metrics_url=f"{settings.metrics_url}/metrics",
        tokens=tokens,
    )


class Fleet:
    """All nodes, by name. Thread-safe."""

    def __init__(self, nodes: Iterable[Node], archive_url: ArchiveUrl) -> None:
        self.nodes: Mapping[NodeName, Node] = {node.name: node for node in nodes}
        self._archive_url = archive_url
        self._threads = ThreadPoolExecutor(max_workers=4 * max(1, len(self.nodes)), thread_name_prefix="observe")
        self._epochs: dict[tuple[NodeName, ModelName], int] = {}
        self._epochs_lock = threading.Lock()

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def observe(self, model: ModelName, deadline_s: float = OBSERVE_DEADLINE_S) -> dict[NodeName, NodeStatus]:
        """What every node says about ``model``, asked all at once. A silent node has its ``error`` set."""
        asked = {name: self._threads.submit(self._look, node, model) for name, node in self.nodes.items()}
        statuses = {}
        for name, answer in asked.items():
            try:
                statuses[name] = answer.result(deadline_s)
            except FutureTimeout:
                statuses[name] = NodeStatus(name, error=f"{name}: no answer within {deadline_s:g} s")
        return statuses

    def _look(self, node: Node, model: ModelName) -> NodeStatus:
        try:
            versions = node.models.versions(model)
            status = NodeStatus(
                node=node.name,
                versions=versions,
                default_version=node.models.default_version(model) if versions else None,
                traffic=node.traffic.status(model),
            )
        except RolloutError as error:
            return NodeStatus(node.name, error=error.message)
        if status.traffic is not None:
            self._remember_epoch(node.name, model, status.traffic.epoch)
        return replace(status, last_epoch=self._epochs.get((node.name, model), 0))

    def _remember_epoch(self, node: NodeName, model: ModelName, epoch: int) -> None:
        with self._epochs_lock:
            self._epochs[node, model] = max(epoch, self._epochs.get((node, model), 0))

    def perform(self, model: ModelName, action: Action) -> ActionResult:
        """Do ``action`` on its node and wait for the answer. Errors come back in the result, none is raised."""
        try:
            self._do(model, action)
        except StaleEpoch as error:
            newer = _NEWER_EPOCH.search(error.message)
            if newer and isinstance(action, (SetTraffic, RenewLease, ClearTraffic)):
                self._remember_epoch(action.node, model, int(newer[1]))
            return ActionResult(action, error.message)
        except RolloutError as error:
            return ActionResult(action, error.message, _is_permanent(action, error), is_refused=_is_refused(error))
        return ActionResult(action)

    def _do(self, model: ModelName, action: Action) -> None:
        if isinstance(action, (Probe, RunGates)):
            raise TypeError(f"{action} needs the spec's probes; the controller does it")
        node = self.nodes[action.node]
        match action:
            case Register(version=version):
                node.models.register(model, version, self._archive_url(model, version))
            case Scale(version=version, workers=workers):
                node.models.scale(model, version, workers)
            case SetDefault(version=version):
                node.models.set_default(model, version)
            case Unregister(version=version):
                node.models.unregister(model, version)
            case SetTraffic(policy=policy, epoch=epoch) | RenewLease(policy=policy, epoch=epoch):
                node.traffic.put(policy, epoch)
                self._remember_epoch(node.name, model, epoch)
            case ClearTraffic(epoch=epoch):
                node.traffic.delete(model, epoch)


def _is_refused(error: RolloutError) -> bool:
    return isinstance(error, NotFoundError) or (isinstance(error, ServerError) and 400 <= error.status < 500)


def _is_permanent(action: Action, error: RolloutError) -> bool:
    if isinstance(error, IntegrityError):
        return True
    if isinstance(action, Register):
        # A missing or broken archive stays so; a server in trouble may recover.
        return isinstance(error, NotFoundError) or (isinstance(error, ServerError) and 400 <= error.status < 500)
    if isinstance(error, ServerUnreachable):
        return False
    return isinstance(error, ServerError) and 400 <= error.status < 500 and error.status not in _RETRIABLE_4XX
