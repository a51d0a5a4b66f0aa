"""``worker_restarts`` and ``memory_mb``: what TorchServe says of a version's worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from torchserve_rollout.analysis.samples import Amount, Measurement, Reading
from torchserve_rollout.model import NodeName, NodeStatus, VersionName
from torchserve_rollout.signals.source import Cohorts

WORKER_RESTARTS = "worker_restarts"
MEMORY_MB = "memory_mb"
WORKER_SIGNALS = frozenset({WORKER_RESTARTS, MEMORY_MB})
_BYTES_PER_MB = 1024 * 1024
Look = Callable[[], Mapping[NodeName, NodeStatus]]
_Worker = tuple[NodeName, VersionName, str]


class WorkerSource:
    """Compares the workers' process ids with those of the last look.

    Args:
        look: the nodes as they were last seen.
    """

    def __init__(self, cohorts: Cohorts, look: Look, signals: Iterable[str]) -> None:
        self._cohorts = cohorts
        self._look = look
        self._signals = WORKER_SIGNALS.intersection(signals)
        self._pids: dict[_Worker, int] = {}

    def collect(self) -> Mapping[str, Measurement]:
        """Restarts since the last call, and the memory now."""
        if not self._signals:
            return {}
        nodes = {name: node for name, node in self._look().items() if node.is_reachable}
        if not nodes:
            return {name: Measurement(name, error="no node answers") for name in self._signals}
        restarts = {version: self._restarts(nodes, version) for version in self._versions}
        memory = {version: _largest(nodes, version) for version in self._versions}
        found = {
            WORKER_RESTARTS: self._measurement(WORKER_RESTARTS, restarts),
            MEMORY_MB: self._measurement(MEMORY_MB, memory),
        }
        return {name: measurement for name, measurement in found.items() if name in self._signals}

    @property
    def _versions(self) -> tuple[VersionName, ...]:
        return (self._cohorts.candidate, *([self._cohorts.stable] if self._cohorts.stable else []))

    def _measurement(
        self, name: str, of: Mapping[VersionName, Amount] | Mapping[VersionName, Reading | None]
    ) -> Measurement:
        stable = self._cohorts.stable
        return Measurement(name, of[self._cohorts.candidate], None if stable is None else of[stable])

    def _restarts(self, nodes: Mapping[NodeName, NodeStatus], version: VersionName) -> Amount:
        replaced, workers = 0, 0
        for name, node in nodes.items():
            status = node.versions.get(version)
            for worker in status.processes if status else ():
                before = self._pids.get((name, version, worker.id))
                replaced += before is not None and before != worker.pid
                self._pids[name, version, worker.id] = worker.pid
                workers += 1
        return Amount(1, replaced, workers)

    def close(self) -> None:
        """Nothing runs in the background."""


def _largest(nodes: Mapping[NodeName, NodeStatus], version: VersionName) -> Reading | None:
    """TorchServe measures memory once a minute; until it first did, it says 0."""
    sizes = [
        worker.memory_bytes / _BYTES_PER_MB
        for node in nodes.values()
        if version in node.versions
        for worker in node.versions[version].processes
        if worker.memory_bytes > 0
    ]
    return Reading(1, max(sizes)) if sizes else None
