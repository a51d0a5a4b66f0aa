"""What was measured, per cohort. Sums that add up: a longer window is the sum of its ticks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from torchserve_rollout.analysis.blocks import Block, joined


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


@dataclass(frozen=True, slots=True)
class Amount:
    """``total`` of something that came with ``weight`` of something else, in ``n`` samples: tokens in seconds."""

    n: int = 0
    total: float = 0.0
    weight: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.n + other.n, self.total + other.total, self.weight + other.weight)


@dataclass(frozen=True, slots=True)
class Reading:
    """The last of ``n`` readings of a gauge."""

    n: int = 0
    last: float = 0.0

    def __add__(self, other: Reading) -> Reading:
        return Reading(self.n + other.n, other.last if other.n else self.last)


@dataclass(frozen=True, slots=True)
class Pairs:
    """``n`` requests that both versions got. In ``candidate_only`` of them something went wrong on the candidate's side
    alone, in ``stable_only`` on stable's; the rest says nothing of their difference."""

    n: int = 0
    candidate_only: int = 0
    stable_only: int = 0

    @property
    def odd(self) -> int:
        """The pairs that tell the versions apart."""
        return self.candidate_only + self.stable_only

    def swapped(self) -> Pairs:
        """The same pairs, seen from stable's side."""
        return Pairs(self.n, self.stable_only, self.candidate_only)

    def __add__(self, other: Pairs) -> Pairs:
        return Pairs(self.n + other.n, self.candidate_only + other.candidate_only, self.stable_only + other.stable_only)


Sample = Rate | Histogram | Scores | Amount | Reading | Pairs


@dataclass(frozen=True, slots=True)
class Measurement:
    """One signal, both cohorts, the same window. ``error``: the source could not measure; no samples then.

    Pairs stand under ``candidate`` and hold both sides.
    ``blocks`` tell of a sum over several ticks what both cohorts did at the same time. They are made by
    :func:`accumulate`, and not stored: they follow from the ticks.
    """

    signal: str
    candidate: Sample | None = None
    stable: Sample | None = None
    error: str = ""
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class TickEvidence:
    """What one tick added: increments since the previous tick, by signal key. Stored with the journal, replayable.

    A signal's key is its name, or ``probe_score:<probe path>`` for signals with an argument.
    """

    at: datetime
    measurements: Mapping[str, Measurement]


def accumulate(
    evidence: Iterable[TickEvidence], since: datetime, *, stable_since: datetime | None = None
) -> dict[str, Measurement]:
    """The sum of all ticks after ``since``, by signal key.

    ``stable_since`` counts stable's samples from an earlier moment: the baseline while stable gets no requests (at
    100 %); then no blocks are made. A signal whose latest tick was an error carries that error, beside the samples
    gathered before it.

    Raises:
        ValueError: a signal changes its kind, or its histogram its bounds, between two ticks.
    """
    sums: dict[str, Measurement] = {}
    rows: dict[str, list[Block]] = defaultdict(list)
    for tick in evidence:
        counts_candidate, counts_stable = tick.at > since, tick.at > (stable_since or since)
        if not counts_candidate and not counts_stable:
            continue
        for key, new in tick.measurements.items():
            before = sums.get(key, Measurement(new.signal))
            sums[key] = Measurement(
                new.signal,
                candidate=_sum(before.candidate, new.candidate if counts_candidate else None),
                stable=_sum(before.stable, new.stable if counts_stable else None),
                error=new.error if counts_candidate else before.error,
            )
            if stable_since is None and counts_candidate:
                rows[key] += new.blocks or _block(new)
    return {key: replace(summed, blocks=joined(rows[key])) for key, summed in sums.items()}


def _block(measured: Measurement) -> tuple[Block, ...]:
    """What both cohorts did in one tick; of quantiles and plain values no blocks are made."""
    if isinstance(measured.candidate, Rate | Scores) or isinstance(measured.stable, Rate | Scores):
        return (Block(*_counted(measured.candidate), *_counted(measured.stable)),)
    return ()


def _counted(sample: Sample | None) -> tuple[float, float]:
    if isinstance(sample, Rate):
        return sample.total, sample.events
    return (sample.n, sample.total) if isinstance(sample, Scores) else (0, 0.0)


def _sum(before: Sample | None, new: Sample | None) -> Sample | None:
    if before is None or new is None:
        return new if before is None else before
    if type(before) is not type(new):
        raise ValueError(f"a {type(before).__name__} and a {type(new).__name__} cannot be added")
    return before + new  # type: ignore[operator]  # both are of one kind


def quantile(histogram: Histogram, q: float) -> float:
    """The ``q``-quantile, linear within its bucket; the last finite bound where it lies beyond. NaN without samples."""
    target = q * histogram.n
    reached, lower = 0, 0.0
    for upper, count in zip(histogram.upper_bounds, histogram.counts, strict=True):
        if count and reached + count >= target:
            return lower + (upper - lower) * (target - reached) / count if upper < float("inf") else lower
        reached += count
        lower = upper
    return float("nan")
