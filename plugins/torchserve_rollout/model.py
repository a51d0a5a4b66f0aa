"""The words of the product as types. Nothing here does anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NewType

ModelName = NewType("ModelName", str)
VersionName = NewType("VersionName", str)
NodeName = NewType("NodeName", str)
RolloutId = NewType("RolloutId", str)

MODEL_PATTERN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
VERSION_PATTERN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
# TorchServe shadows "all" in its describe call and writes "default" into metric labels.
RESERVED_VERSIONS = frozenset({"all", "default"})


class Word(str, Enum):
    """An enum whose members are their own text; ``enum.StrEnum`` for Python 3.10."""

    __str__ = str.__str__


class Role(Word):
    """Which cohort an attempt belongs to (label ``role`` of the gateway's metrics)."""

    STABLE = "stable"
    CANDIDATE = "candidate"
    DEFAULT = "default"
    EXPLICIT = "explicit"
    FAILOVER = "failover"
    MIRROR = "mirror"


class Outcome(Word):
    """How one attempt on a version ended; whose fault it was is in the type."""

    OK = "ok"
    CLIENT_ERROR = "client_error"
    MODEL_ERROR = "model_error"
    TIMEOUT = "timeout"
    WORKER_DIED = "worker_died"
    OUT_OF_MEMORY = "out_of_memory"
    STREAM_BROKEN = "stream_broken"
    NO_CAPACITY = "no_capacity"
    BAD_INPUT = "bad_input"
    CLIENT_GONE = "client_gone"

    @property
    def is_charged(self) -> bool:
        """Whether the version is to blame."""
        return self in _CHARGED


_CHARGED = frozenset(
    {Outcome.MODEL_ERROR, Outcome.TIMEOUT, Outcome.WORKER_DIED, Outcome.OUT_OF_MEMORY, Outcome.STREAM_BROKEN}
)


class Failover(Word):
    """What the gateway does with a request the candidate could not answer."""

    STABLE = "stable"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TrafficPolicy:
    """What the gateway is told to do for one model (docs/reference/traffic-api.md).

    ``weights_pct`` holds candidates only, each 0–100; the rest goes to ``stable``. ``cohort``
    (``header:NAME=VALUE``) gets the first candidate whatever its weight; ``max_requests`` is all that a candidate gets
    on one node, 0 = no limit. ``mirrors_pct`` names shadows: they get copies of requests, and no
    caller sees their answers.
    """

    model: ModelName
    stable: VersionName
    weights_pct: Mapping[VersionName, float] = field(default_factory=dict)
    failover: Failover = Failover.STABLE
    lease_s: float = 10.0
    candidate_deadline_s: float = 30.0
    stable_deadline_s: float = 60.0
    breaker_consecutive: int = 5
    breaker_window: int = 20
    breaker_window_failures: int = 10
    sticky: str | None = None
    cohort: str | None = None
    max_requests: int = 0
    replay_budget_pct: float = 20.0
    replay_budget_min: int = 20
    mirrors_pct: Mapping[VersionName, float] = field(default_factory=dict)

    def weight_of(self, version: VersionName) -> float:
        """Percent of traffic that goes to ``version``."""
        if version == self.stable:
            return 100.0 - sum(self.weights_pct.values())
        return self.weights_pct.get(version, 0.0)


@dataclass(frozen=True, slots=True)
class TrafficStatus:
    """A policy in force on a node, and what the gateway makes of it right now."""

    policy: TrafficPolicy
    epoch: int
    lease_is_valid: bool
    effective_weights_pct: Mapping[VersionName, float]
    breakers_open: Mapping[VersionName, str]
    in_flight: Mapping[VersionName, int]
    exposed: Mapping[VersionName, int] = field(default_factory=dict)
    """Requests each candidate was sent under this policy."""


@dataclass(frozen=True, slots=True)
class MirrorHalf:
    """What one version said to a mirrored request. ``body`` is cut at the gateway's cap, empty where it was not asked
    for; ``is_complete`` is false for a stream that broke, ``is_failover`` true where stable answered for the candidate.
    """

    version: VersionName
    status: int
    outcome: Outcome
    latency_s: float
    body: bytes
    is_truncated: bool
    is_complete: bool
    is_failover: bool


@dataclass(frozen=True, slots=True)
class MirrorPair:
    """The answers of two versions to the same request; ``primary`` is the caller's. ``is_same_body`` compares what the
    gateway kept of both."""

    sequence: int
    request_id: str
    at_s: float
    primary: MirrorHalf
    shadow: MirrorHalf
    is_same_body: bool = False


@dataclass(frozen=True, slots=True)
class MirrorPage:
    """Pairs in their order. ``lost`` were overwritten since the last look; ``newest`` is the latest there is."""

    pairs: tuple[MirrorPair, ...]
    lost: int
    newest: int


@dataclass(frozen=True, slots=True)
class SampledPair:
    """A pair that is kept for a person to read. ``is_odd``: the versions did not do the same."""

    node: NodeName
    pair: MirrorPair
    is_odd: bool


@dataclass(frozen=True, slots=True)
class Mirrored:
    """So many pairs were ``seen``, so many ``lost`` because nobody fetched them in time, and some are ``kept``."""

    seen: int
    lost: int
    kept: tuple[SampledPair, ...]


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """One worker with a running process. ``memory_bytes`` is 0 until TorchServe has measured it."""

    id: str
    pid: int
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One registered version on a node. ``ready_workers`` can serve now; ``workers`` exist in any state."""

    version: VersionName
    workers: int
    ready_workers: int
    min_workers: int
    archive: str = ""
    processes: tuple[WorkerProcess, ...] = ()

    @property
    def is_ready(self) -> bool:
        """At least one worker and as many ready as asked for."""
        return self.ready_workers >= max(1, self.min_workers)


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What a node says about one model. An unreachable node has ``error`` and nothing else."""

    node: NodeName
    versions: Mapping[VersionName, VersionStatus] = field(default_factory=dict)
    default_version: VersionName | None = None
    traffic: TrafficStatus | None = None
    last_epoch: int = 0
    error: str = ""

    @property
    def is_reachable(self) -> bool:
        return not self.error

    def is_ready(self, version: VersionName) -> bool:
        """Whether ``version`` is registered here and all its workers serve."""
        status = self.versions.get(version)
        return status is not None and status.is_ready
