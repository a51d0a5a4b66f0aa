"""What a sample says of its signal: the value, the samples behind it, and the cohort that the tests take."""

from __future__ import annotations

from torchserve_rollout.analysis.samples import Amount, Histogram, Pairs, Rate, Reading, Sample, quantile
from torchserve_rollout.analysis.sequential import Cohort
from torchserve_rollout.spec.signals import Kind, Signal

_NOUNS = {Kind.SCORE: "scores", Kind.MEAN: "samples", Kind.COUNT: "looks", Kind.LEVEL: "readings", Kind.PAIRED: "pairs"}


class WrongSample(Exception):
    """A source delivered a sample that does not fit the signal. Becomes an ERROR verdict."""


def observed(signal: Signal, sample: Sample | None) -> float | None:
    """The value of the signal in this sample; None without samples."""
    if sample is None or not sample.n:
        return None
    if isinstance(sample, Histogram):
        return quantile(sample, quantile_of(signal))
    if signal.kind.is_plain:
        return _plain(signal, sample)
    return cohort_of(signal, sample).mean


def counted(signal: Signal, sample: Sample | None) -> str:
    """The samples in words: ``3 of 120``, ``120 requests``, ``40 scores``."""
    if isinstance(sample, Rate):
        return f"{sample.events} of {sample.total}"
    if isinstance(sample, Pairs):
        return f"{sample.candidate_only} of {sample.n} pairs"
    return f"{sample.n if sample else 0} {_NOUNS.get(signal.kind, 'requests')}"


def _plain(signal: Signal, sample: Sample) -> float | None:
    """A value that is taken as it is; None when there is nothing to divide by."""
    if isinstance(sample, Amount) and signal.kind is Kind.COUNT:
        return sample.total
    if isinstance(sample, Amount) and signal.kind is Kind.MEAN:
        return sample.total / sample.weight if sample.weight > 0 else None
    if isinstance(sample, Reading) and signal.kind is Kind.LEVEL:
        return sample.last
    raise WrongSample(f"{signal.name} is a {signal.kind}, but its source delivered {type(sample).__name__}")


def quantile_of(signal: Signal) -> float:
    """Which quantile the signal is.

    Raises:
        WrongSample: the signal is none, so a histogram says nothing of it.
    """
    if signal.quantile is None:
        raise WrongSample(f"{signal.name} is a {signal.kind}, but its source delivered a histogram")
    return signal.quantile


def cohort_of(signal: Signal, sample: Sample) -> Cohort:
    """The sums behind a rate or a score; of pairs, how many are odd on the side they are seen from.

    Raises:
        WrongSample: the sample is of another kind than the signal, or its values lie outside 0–1.
    """
    if isinstance(sample, Pairs) and signal.kind is Kind.PAIRED:
        return Cohort(sample.n, sample.candidate_only)
    if isinstance(sample, Histogram | Amount | Reading | Pairs) or signal.kind is not (
        Kind.RATE if isinstance(sample, Rate) else Kind.SCORE
    ):
        raise WrongSample(f"{signal.name} is a {signal.kind}, but its source delivered {type(sample).__name__}")
    total = float(sample.events) if isinstance(sample, Rate) else sample.total
    if not -1e-9 <= total <= sample.n * (1 + 1e-9):
        raise WrongSample(f"{signal.name} goes from 0 to 1, but {sample.n} values add up to {total:g}")
    total = min(max(total, 0.0), float(sample.n))
    return Cohort(sample.n, total) if isinstance(sample, Rate) else Cohort(sample.n, total, sample.total_of_squares)
