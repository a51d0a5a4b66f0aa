"""The signals an alarm can name: what kind of number each is, its unit, and which direction is worse.

A new signal is one line of :data:`CATALOGUE` and a source in ``signals/`` that measures it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torchserve_rollout.model import Word


class Kind(Word):
    """How the signal is sampled, and so which test judges it."""

    RATE = "rate"
    """Events out of a total; the value is a share, 0–1. Sampled as ``Rate``."""
    QUANTILE = "quantile"
    """A quantile of a distribution kept as a histogram. Sampled as ``Histogram``."""
    SCORE = "score"
    """The mean of single values in 0–1. Sampled as ``Scores``."""
    MEAN = "mean"
    """A ratio of sums without bounds, such as seconds a request. Sampled as ``Amount``; judged as it is."""
    COUNT = "count"
    """How often something happened in the window. Sampled as ``Amount``; judged as it is."""
    LEVEL = "level"
    """The latest reading of a gauge. Sampled as ``Reading``; judged as it is."""

    PAIRED = "paired"
    """Of requests that both versions got, on whose side alone something went wrong. Sampled as ``Pairs``."""

    @property
    def is_plain(self) -> bool:
        """Whether its value is taken for a fact, because nothing is known of how it varies."""
        return self in (Kind.MEAN, Kind.COUNT, Kind.LEVEL)


class Asked(Word):
    """Whose requests a signal is measured on, and so when there is anything to measure."""

    USERS = "users"
    """Those that the policy sends to the candidate: none while its weight is 0 and nobody is a tester."""
    COPIES = "copies"
    """Those that are mirrored: none while nothing is."""
    ANY = "any"
    """It can be measured whatever the traffic does."""


class Worse(Word):
    """Which direction is bad."""

    HIGHER = "higher"
    LOWER = "lower"


class Unit(Word):
    """What the value is measured in."""

    SHARE = "share"
    """0–1, shown in percent."""
    SECONDS = "seconds"
    SCORE = "score"
    """0–1, shown as it is."""
    NUMBER = "number"
    """Any number, shown as it is."""
    PER_SECOND = "per_second"
    MEGABYTES = "megabytes"

    @property
    def is_up_to_one(self) -> bool:
        """Whether values go from 0 to 1."""
        return self in (Unit.SHARE, Unit.SCORE)


@dataclass(frozen=True, slots=True)
class Signal:
    """One measurable property of a version. ``quantile`` is set for quantile signals only (0.95 for p95)."""

    name: str
    kind: Kind
    unit: Unit
    worse: Worse
    meaning: str
    quantile: float | None = None
    needs_probe: bool = False
    asked: Asked = Asked.ANY
    usual: float | None = None
    """What a plan takes stable to do; None: what signals of its unit usually do."""


def _share(name: str, meaning: str, asked: Asked = Asked.USERS) -> Signal:
    return Signal(name, Kind.RATE, Unit.SHARE, Worse.HIGHER, meaning, asked=asked)


def _paired(name: str, meaning: str, usual: float | None = None) -> Signal:
    return Signal(name, Kind.PAIRED, Unit.SHARE, Worse.HIGHER, meaning, asked=Asked.COPIES, usual=usual)


def _seconds(name: str, quantile: float, meaning: str) -> Signal:
    return Signal(name, Kind.QUANTILE, Unit.SECONDS, Worse.HIGHER, meaning, quantile=quantile, asked=Asked.USERS)


_SIGNALS = (
    _share(
        "error_rate", "attempts charged to the version (raised, timed out, worker died, out of memory, broken stream)"
    ),
    _share("client_error_rate", "answers that blame the caller (4xx): a version that refuses everything is broken too"),
    _share("timeout_rate", "attempts that missed their deadline"),
    _share("failover_rate", "attempts that were replayed on stable"),
    _share("no_capacity_rate", "attempts that found the queue full or no worker"),
    _seconds("latency_p50", 0.5, "the latency that half of the attempts stay below"),
    _seconds("latency_p90", 0.9, "the latency that 90 % of the attempts stay below"),
    _seconds("latency_p95", 0.95, "the latency that 95 % of the attempts stay below"),
    _seconds("latency_p99", 0.99, "the latency that 99 % of the attempts stay below"),
    _seconds("ttft_p95", 0.95, "the time to the first byte that 95 % of the attempts stay below"),
    _seconds("queue_time_p95", 0.95, "the wait for a worker that 95 % of the attempts stay below"),
    _share("empty_rate", "answers of the text generation handler without text", Asked.ANY),
    _share("repetition_rate", "answers of the text generation handler that repeat themselves", Asked.ANY),
    Signal(
        "tokens_per_second",
        Kind.MEAN,
        Unit.PER_SECOND,
        Worse.LOWER,
        "generated tokens by the seconds the handler took for them",
    ),
    Signal("worker_restarts", Kind.COUNT, Unit.NUMBER, Worse.HIGHER, "worker processes that were replaced"),
    Signal("memory_mb", Kind.LEVEL, Unit.MEGABYTES, Worse.HIGHER, "resident memory of the version's largest worker"),
    Signal(
        "probe_score",
        Kind.SCORE,
        Unit.SCORE,
        Worse.LOWER,
        "mean score of the answers to a probe file's prompts",
        needs_probe=True,
    ),
    _paired("mirror_error_rate", "mirrored requests that one version failed or refused and the other answered"),
    _paired("mirror_slower_rate", "mirrored requests that one version took at least a tenth longer for", usual=0.3),
    _share("mirror_disagreement", "mirrored requests that both answered, but not with the same text", Asked.COPIES),
)
CATALOGUE: Mapping[str, Signal] = MappingProxyType({signal.name: signal for signal in _SIGNALS})
KNOWN_SIGNALS = frozenset(CATALOGUE)
