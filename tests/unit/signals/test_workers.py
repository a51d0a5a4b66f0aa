"""Restarts and memory of worker processes."""

from __future__ import annotations

from torchserve_rollout.analysis.samples import Amount, Reading
from torchserve_rollout.model import ModelName, NodeName, NodeStatus, VersionName, VersionStatus, WorkerProcess
from torchserve_rollout.signals.source import Cohorts
from torchserve_rollout.signals.workers import WorkerSource

V1, V2, A = VersionName("1.0"), VersionName("2.0"), NodeName("a")
COHORTS = Cohorts(ModelName("m"), V2, V1)
MB = 1024 * 1024


class Looks:
    """What the nodes say at each look."""

    def __init__(self) -> None:
        self.seen: dict[NodeName, NodeStatus] = {}
        self.source = WorkerSource(COHORTS, lambda: self.seen, {"worker_restarts", "memory_mb", "error_rate"})

    def at(self, *candidate: WorkerProcess, stable: tuple[WorkerProcess, ...] = ()) -> tuple[object, object]:
        """Restarts and memory of the candidate when these are its workers."""
        versions = {
            V2: VersionStatus(V2, 1, 1, 1, processes=candidate),
            V1: VersionStatus(V1, 1, 1, 1, processes=stable),
        }
        self.seen = {A: NodeStatus(A, versions)}
        found = self.source.collect()
        return found["worker_restarts"].candidate, found["memory_mb"].candidate


def test_a_worker_with_another_process_was_restarted() -> None:
    looks = Looks()
    assert looks.at(WorkerProcess("9000", 11), WorkerProcess("9001", 12))[0] == Amount(1, 0, 2)
    assert looks.at(WorkerProcess("9000", 11), WorkerProcess("9001", 13))[0] == Amount(1, 1, 2)
    assert looks.at(WorkerProcess("9001", 13))[0] == Amount(1, 0, 1), "scaled down, not restarted"
    assert looks.at(WorkerProcess("9000", 14), WorkerProcess("9001", 13))[0] == Amount(1, 1, 2), "it was away between"


def test_memory_is_that_of_the_largest_worker_once_it_was_measured() -> None:
    looks = Looks()
    assert looks.at(WorkerProcess("9000", 11, 0))[1] is None
    assert looks.at(WorkerProcess("9000", 11, 300 * MB), WorkerProcess("9001", 12, 500 * MB))[1] == Reading(1, 500)


def test_nodes_that_do_not_answer_are_an_error() -> None:
    looks = Looks()
    looks.seen = {A: NodeStatus(A, error="refused")}
    assert looks.source.collect()["memory_mb"].error == "no node answers"


def test_nobody_asked_nothing_measured() -> None:
    assert WorkerSource(COHORTS, dict, {"error_rate"}).collect() == {}
