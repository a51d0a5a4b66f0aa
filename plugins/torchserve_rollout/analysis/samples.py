"""What was measured, per cohort. Sums that add up: a longer window is the sum of its ticks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Rate:
    """``events`` out of ``total`` (failed attempts out of attempts)."""

    events: int = 0
    total: int = 0

    @property
    def n(self) -> int:
        return self.total

    def __add__(self, other: Rate) -> Rate:
        return Rate(self.events + other.events, self.total + other.total)


@dataclass(frozen=True, slots=True)
class Histogram:
    """``counts[i]`` observations in (``upper_bounds[i-1]``, ``upper_bounds[i]``]; the last bound may be infinite."""

    upper_bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()

    @property
    def n(self) -> int:
        return sum(self.counts)

    def __add__(self, other: Histogram) -> Histogram:
        if not self.upper_bounds:
            return other
        if not other.upper_bounds:
            return self
        if self.upper_bounds != other.upper_bounds:
            raise ValueError("histograms with different bounds cannot be added")
        return Histogram(self.upper_bounds, tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)))


@dataclass(frozen=True, slots=True)
class Scores:
    """``n`` values in 0–1 by their sums."""

    n: int = 0
    total: float = 0.0
    total_of_squares: float = 0.0

    def __add__(self, other: Scores) -> Scores:
        return Scores(self.n + other.n, self.total + other.total, self.total_of_squares + other.total_of_squares)

    @classmethod
    def of(cls, values: Iterable[float]) -> Scores:
        """From single values."""
        listed = list(values)
        return cls(len(listed), sum(listed), sum(value * value for value in listed))


Sample = Rate | Histogram | Scores


@dataclass(frozen=True, slots=True)
class Measurement:
    """One signal, both cohorts, the same window. ``error``: the source could not measure; no samples then."""

    signal: str
    candidate: Sample | None = None
    stable: Sample | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class TickEvidence:
    """What one tick added: increments since the previous tick, by signal key. Stored with the journal, replayable.

    A signal's key is its name, or ``probe_score:<probe path>`` for signals with an argument.
    """

    at: datetime
    measurements: Mapping[str, Measurement]
