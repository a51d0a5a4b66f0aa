"""The rules ``worse_than_stable_by`` and ``worse_than_stable_ratio``: the candidate against stable, in one window.

All evidence is log E.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from torchserve_rollout.analysis.case import Case
from torchserve_rollout.analysis.exceedance import log_evidence_quantile_higher
from torchserve_rollout.analysis.observed import WrongSample, cohort_of, quantile_of
from torchserve_rollout.analysis.paired import log_evidence_pairs_worse
from torchserve_rollout.analysis.samples import Amount, Histogram, Pairs, Sample
from torchserve_rollout.analysis.sequential import (
    Cohort,
    log_evidence_more_often,
    log_evidence_worse,
    log_evidence_worse_ratio,
)
from torchserve_rollout.analysis.side_by_side import log_evidence_higher
from torchserve_rollout.spec.signals import Kind, Signal, Worse

_ON_BLOCKS: Final = 0.7


def evidence_worse(case: Case, stable: Sample, candidate: Sample, margin: float) -> float:
    """log E against "the candidate is not worse than stable by more than ``margin``"."""
    signal = case.signal
    if isinstance(stable, Histogram) and isinstance(candidate, Histogram):
        return _quantiles(signal, stable, candidate, margin, 1.0)
    if isinstance(candidate, Pairs):
        return log_evidence_pairs_worse(candidate, margin)
    bad_stable, bad_candidate, blocks = cohort_of(signal, stable), cohort_of(signal, candidate), case.blocks
    if signal.worse is Worse.LOWER:
        bad_stable, bad_candidate = bad_stable.mirrored(), bad_candidate.mirrored()
        blocks = tuple(block.mirrored() for block in blocks)
    if bad_candidate.mean - bad_stable.mean <= margin:
        return 0.0
    by_blocks = log_evidence_higher(blocks, margin=margin)
    return _together(
        case, by_blocks, lambda: log_evidence_worse(bad_stable.mirrored(), bad_candidate.mirrored(), margin)
    )


def evidence_worse_ratio(case: Case, stable: Sample, candidate: Sample, ratio: float) -> float:
    """log E against "the candidate is not worse than ``ratio`` times stable"."""
    signal = case.signal
    is_higher = signal.worse is Worse.HIGHER
    if isinstance(stable, Histogram) and isinstance(candidate, Histogram):
        return _quantiles(signal, stable, candidate, 0.0, ratio)
    if signal.kind is Kind.COUNT and isinstance(stable, Amount) and isinstance(candidate, Amount):
        of_stable, of_candidate = (Cohort(round(each.weight), each.total) for each in (stable, candidate))
        return log_evidence_more_often(of_stable, of_candidate, ratio)
    of_stable, of_candidate = cohort_of(signal, stable), cohort_of(signal, candidate)
    higher, lower = (of_candidate, of_stable) if is_higher else (of_stable, of_candidate)
    if higher.mean <= ratio * lower.mean:
        return 0.0
    by_blocks = log_evidence_higher(case.blocks, ratio=ratio, is_stable_the_higher=not is_higher)
    return _together(
        case, by_blocks, lambda: log_evidence_worse_ratio(of_stable, of_candidate, ratio, higher_is_worse=is_higher)
    )


def _together(case: Case, by_blocks: float, by_sums: Callable[[], float]) -> float:
    """Requests served side by side are told by their blocks alone. Without blocks (at 100 %) only sums can tell.

    Of scores both get a part of the stake: the sums of their squares tell more where they vary little. The evidence
    of sums is told as 0 where it is below; what that adds to their part of the stake is taken off.
    """
    if not case.blocks:
        return by_sums()
    if case.signal.kind is Kind.RATE:
        return max(0.0, by_blocks)
    told, on_sums = by_sums(), math.log1p(-_ON_BLOCKS)
    of_sums = on_sums + told + math.log(-math.expm1(-told)) if told > 0 else -math.inf
    return max(0.0, float(np.logaddexp(math.log(_ON_BLOCKS) + by_blocks, of_sums)))


def _quantiles(signal: Signal, stable: Histogram, candidate: Histogram, margin: float, ratio: float) -> float:
    if stable.upper_bounds != candidate.upper_bounds:
        raise WrongSample(f"{signal.name}: the histograms of candidate and stable have different buckets")
    higher, lower = (candidate, stable) if signal.worse is Worse.HIGHER else (stable, candidate)
    return log_evidence_quantile_higher(higher, lower, quantile_of(signal), margin, ratio)
