"""Ways for a candidate to go bad under traffic, and what the gateway has to make of each.

A fault reads as a sentence that begins with "a candidate that". ``strike`` makes it so while users ask; ``counted_as``
are the outcomes its failed attempts may have on /metrics, the one that tells the fault first.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.torchserve_process import TorchServeProcess, wait_until
from tests.traffic import Traffic
from torchserve_rollout.packaging.entry import archive_url
from torchserve_rollout.packaging.request import PackageRequest
from torchserve_rollout.packaging.store import Catalogue

FAULTY_HANDLER = Path(__file__).resolve().parents[1] / "handlers" / "faulty.py"
MODEL = "matrix"
STABLE = "1.0"
USERS = 8
# So many users wait for the candidate when it is killed, unregistered or scaled down.
IN_HAND = 5
# Half of the requests are poison: a batch of two or more almost always has one.
BODIES = (b"poison", b"x")
PATIENT_S = 20.0
SHORT_S = 0.3


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the matrix.

    Args:
        deadline_s: the candidate's deadline; ``SHORT_S`` where missing it is what the fault is about.
        config: model-config.yaml of the candidate.
        is_born_bad: it never serves well, so there is nothing to strike.
        stopped_by: how the reason begins for which a policy's defaults take the candidate out.
    """

    name: str
    strike: Callable[[Candidate], None]
    counted_as: tuple[str, ...]
    deadline_s: float = PATIENT_S
    config: Mapping[str, Any] = field(default_factory=dict)
    is_born_bad: bool = False
    stopped_by: tuple[str, ...] = ("5 consecutive failures",)

    @property
    def breaks_streams(self) -> bool:
        """Users see it, for an answer that has begun cannot be taken back."""
        return "stream_broken" in self.counted_as

    @property
    def version(self) -> str:
        return self.name.replace(" ", "-")


def turns(mode: str, **arguments: Any) -> Callable[[Candidate], None]:
    """From now on the handler behaves as ``tests/handlers/faulty.py`` says of ``mode``."""
    return lambda candidate: candidate.turn({"mode": mode, **arguments})


def is_killed(candidate: Candidate) -> None:
    candidate.hold_requests()
    candidate.signal_workers(signal.SIGKILL)
    candidate.turn({})


def is_stopped(candidate: Candidate) -> None:
    candidate.signal_workers(signal.SIGSTOP)


def is_unregistered(candidate: Candidate) -> None:
    candidate.hold_requests()
    answer = candidate.server.management("DELETE", candidate.path)
    assert answer.status_code == 200, answer.text


def is_scaled_to_zero(candidate: Candidate) -> None:
    candidate.hold_requests()

    def is_scaled() -> bool:
        return candidate.server.management("PUT", candidate.path, min_worker=0, synchronous="true").status_code == 200

    # TorchServe answers 500 if a batch is answered while it stops the worker.
    wait_until(is_scaled, 20, f"{candidate.version} to be scaled to 0")


def never_loads(how: str) -> Callable[[Candidate], None]:
    return lambda candidate: candidate.turn({"load": how})


TINY_QUEUE = {"jobQueueSize": 1}
BATCHES = {"batchSize": 4, "maxBatchDelay": 100}
NOT_CHARGED = ("replay budget spent",)
WITH_LUCKY_ONES = ("5 consecutive failures", "10 failures in the last 20 attempts")

FAULTS = (
    Fault("raises", turns("raise"), ("model_error",)),
    Fault("raises a PredictionException 500", turns("refuse", code=500), ("model_error",)),
    Fault("answers with status 500", turns("status", code=500), ("model_error",)),
    Fault("answers with a status that HTTP forbids", turns("status", code=100), ("model_error",)),
    Fault("exits", turns("exit"), ("worker_died",)),
    Fault("runs out of memory", turns("memory_error"), ("out_of_memory",)),
    Fault("hangs", turns("hang"), ("timeout",), deadline_s=SHORT_S),
    Fault("raises while it loads", never_loads("runtime_error"), ("worker_died",), is_born_bad=True),
    Fault("hangs while it loads", never_loads("hang"), ("worker_died",), is_born_bad=True),
    Fault(
        "has its queue full", turns("slow", seconds=1.0), ("no_capacity",), config=TINY_QUEUE, stopped_by=NOT_CHARGED
    ),
    Fault("is unregistered", is_unregistered, ("no_capacity",), stopped_by=NOT_CHARGED),
    Fault("is scaled to 0", is_scaled_to_zero, ("no_capacity",), stopped_by=NOT_CHARGED),
    Fault("answers beyond the deadline", turns("slow", seconds=0.5), ("timeout",), deadline_s=SHORT_S),
    Fault("is killed by SIGKILL", is_killed, ("worker_died",)),
    Fault("is stopped by SIGSTOP", is_stopped, ("timeout",), deadline_s=SHORT_S),
    Fault("raises in the middle of a stream", turns("stream", then="raise"), ("stream_broken",)),
    Fault("ends its stream with status 500", turns("stream", then="status"), ("stream_broken",)),
    Fault("dies in the middle of a stream", turns("stream", then="exit"), ("stream_broken", "worker_died")),
    Fault("stalls in the middle of a stream", turns("stream", then="hang"), ("stream_broken", "timeout"), SHORT_S),
    Fault("fails every batch it is in", turns("poison"), ("model_error",), config=BATCHES, stopped_by=WITH_LUCKY_ONES),
)


class Candidate:
    """A version with one of the faults, beside a stable one, and the policy both are under."""

    def __init__(self, server: TorchServeProcess, fault: Fault, first_epoch: int) -> None:
        self.server = server
        self.fault = fault
        self.version = fault.version
        self.path = f"/models/{MODEL}/{self.version}"
        self._fault_file = server.directory / f"{self.version}.json"
        self._epoch = first_epoch
        self._archive = package(server, self.version, self._fault_file, fault.config)

    # -- given --------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Registered, with a worker that is well, or, born bad, with one that will never be."""
        self.signal_workers(signal.SIGCONT)
        if self.fault.is_born_bad:
            self.fault.strike(self)
        else:
            self.turn({})
        if self.server.management("GET", self.path).status_code == 404:
            self.server.register(self._archive, workers=0)
        self.server.management("PUT", self.path, min_worker=1)
        if not self.fault.is_born_bad:
            self.server.wait_for_ready_workers(MODEL, self.version)

    def policy(self, weight: float, **parameters: str | float) -> None:
        """A new policy that gives the candidate ``weight`` percent."""
        self._epoch += 1
        answer = self.server.management(
            "PUT",
            f"/traffic/{MODEL}",
            epoch=self._epoch,
            stable=STABLE,
            weights=f"{self.version}:{weight}",
            lease_s=600,
            candidate_deadline_s=self.fault.deadline_s,
            **parameters,
        )
        assert answer.status_code == 200, answer.text

    def turn(self, behaviour: Mapping[str, Any]) -> None:
        half = self._fault_file.with_suffix(".half")
        half.write_text(json.dumps(behaviour))
        half.replace(self._fault_file)

    def signal_workers(self, which: signal.Signals) -> None:
        for pid in self.server.worker_pids(MODEL, self.version):
            os.kill(pid, which)

    def hold_requests(self) -> None:
        """Return once several users wait for the candidate, which will not answer them."""
        self.turn({"mode": "hang"})
        wait_until(lambda: self.shown()["in_flight"].get(self.version, 0) >= IN_HAND, 60, "requests in its hand")

    def remove(self) -> None:
        """Leave stable and its policy alone."""
        self.server.management("DELETE", f"/traffic/{MODEL}", epoch=self._epoch)
        self.server.management("DELETE", self.path)

    # -- when ---------------------------------------------------------------------------------------------------

    def traffic(self, count: int = 100_000) -> Traffic:
        url = self.server.url(self.server.ports.gateway, f"/predictions/{MODEL}")
        return Traffic(url, self.server.inference_headers, count=count, users=USERS, bodies=BODIES)

    # -- then ---------------------------------------------------------------------------------------------------

    def shown(self) -> dict[str, Any]:
        """The policy and what became of it."""
        return dict(self.server.management("GET", f"/traffic/{MODEL}").json())

    def counts(self) -> Counts:
        return Counts(self.server.metrics())


class Counts:
    """What /metrics says of the model, or, as a difference, what was added."""

    def __init__(self, metrics: str) -> None:
        self._values: Counter[tuple[str, ...]] = Counter()
        for family in text_string_to_metric_families(metrics):
            for sample in family.samples:
                if sample.labels.get("model") == MODEL and sample.name.endswith("_total"):
                    key = (sample.name, *(value for name, value in sample.labels.items() if name != "model"))
                    self._values[key] = int(sample.value)

    def __sub__(self, before: Counts) -> Counts:
        difference = Counts("")
        difference._values = self._values - before._values
        return difference

    def attempts(self, role: str, version: str) -> dict[str, int]:
        """Attempts by outcome."""
        return self._by_last("ts_rollout_attempts_total", version, role)

    def failovers(self, version: str) -> dict[str, int]:
        """Replayed attempts by outcome."""
        return self._by_last("ts_rollout_failovers_total", version)

    def answers(self, version: str) -> dict[str, int]:
        """Answers by status."""
        return self._by_last("ts_rollout_answers_total", version)

    def trips(self, version: str) -> int:
        return self._values["ts_rollout_breaker_trips_total", version]

    def _by_last(self, *labels: str) -> dict[str, int]:
        return {key[-1]: count for key, count in self._values.items() if key[:-1] == labels}


def package(server: TorchServeProcess, version: str, fault_file: Path, config: Mapping[str, Any] | None = None) -> str:
    """Package a version that ``fault_file`` can turn bad; what registers it."""
    entry = Catalogue(server.model_store).package(
        PackageRequest(
            model=MODEL,
            version=version,
            handler=str(FAULTY_HANDLER),
            config={**(config or {}), "handler": {"fault_file": str(fault_file)}},
        )
    )
    return archive_url(entry)
