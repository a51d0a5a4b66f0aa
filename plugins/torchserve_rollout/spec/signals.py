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


CATALOGUE: Mapping[str, Signal] = MappingProxyType(
    {
        signal.name: signal
        for signal in (
            Signal(
                "error_rate",
                Kind.RATE,
                Unit.SHARE,
                Worse.HIGHER,
                "attempts charged to the version (raised, timed out, worker died, out of memory, broken stream)",
            ),
            Signal(
                "latency_p95",
                Kind.QUANTILE,
                Unit.SECONDS,
                Worse.HIGHER,
                "the latency that 95 % of the attempts stay below",
                quantile=0.95,
            ),
            Signal(
                "probe_score",
                Kind.SCORE,
                Unit.SCORE,
                Worse.LOWER,
                "mean score of the answers to a probe file's prompts",
                needs_probe=True,
            ),
        )
    }
)
KNOWN_SIGNALS = frozenset(CATALOGUE)
