"""Where a signal truly is: an interval that holds at every look at once, for people who want to check a verdict.

The verdict itself does not come from intervals: comparing two of them wastes evidence.
"""

from __future__ import annotations

from torchserve_rollout.analysis.exceedance import quantile_interval
from torchserve_rollout.analysis.observed import cohort_of, quantile_of
from torchserve_rollout.analysis.samples import Histogram, Sample
from torchserve_rollout.analysis.sequential import interval
from torchserve_rollout.analysis.verdict import Interval
from torchserve_rollout.spec.signals import Signal


def interval_of(signal: Signal, sample: Sample | None, alpha: float) -> Interval | None:
    """Holds the true value at all times at once with probability at least 1 − ``alpha``, in the signal's unit.

    The upper end is None where nothing bounds it. None for plain values, which are facts, and without samples.

    Raises:
        WrongSample: the sample does not fit the signal.
    """
    if sample is None or not sample.n or signal.kind.is_plain:
        return None
    if isinstance(sample, Histogram):
        return quantile_interval(sample, quantile_of(signal), alpha)
    return interval(cohort_of(signal, sample), alpha)
