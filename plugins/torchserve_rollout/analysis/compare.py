"""The rules ``worse_than_stable_by`` and ``worse_than_stable_ratio``: the candidate against stable, in one window.

All evidence is log E.
"""

from __future__ import annotations

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
from torchserve_rollout.spec.signals import Kind, Signal, Worse


def evidence_worse(signal: Signal, stable: Sample, candidate: Sample, margin: float) -> float:
    """log E against "the candidate is not worse than stable by more than ``margin``"."""
    if isinstance(stable, Histogram) and isinstance(candidate, Histogram):
        return _quantiles(signal, stable, candidate, margin, 1.0)
    if isinstance(candidate, Pairs):
        return log_evidence_pairs_worse(candidate, margin)
    good_stable, good_candidate = cohort_of(signal, stable), cohort_of(signal, candidate)
    if signal.worse is Worse.HIGHER:
        good_stable, good_candidate = good_stable.mirrored(), good_candidate.mirrored()
    return log_evidence_worse(good_stable, good_candidate, margin)


def evidence_worse_ratio(signal: Signal, stable: Sample, candidate: Sample, ratio: float) -> float:
    """log E against "the candidate is not worse than ``ratio`` times stable"."""
    is_higher = signal.worse is Worse.HIGHER
    if isinstance(stable, Histogram) and isinstance(candidate, Histogram):
        return _quantiles(signal, stable, candidate, 0.0, ratio)
    if signal.kind is Kind.COUNT and isinstance(stable, Amount) and isinstance(candidate, Amount):
        of_stable, of_candidate = (Cohort(round(each.weight), each.total) for each in (stable, candidate))
        return log_evidence_more_often(of_stable, of_candidate, ratio)
    return log_evidence_worse_ratio(
        cohort_of(signal, stable), cohort_of(signal, candidate), ratio, higher_is_worse=is_higher
    )


def _quantiles(signal: Signal, stable: Histogram, candidate: Histogram, margin: float, ratio: float) -> float:
    if stable.upper_bounds != candidate.upper_bounds:
        raise WrongSample(f"{signal.name}: the histograms of candidate and stable have different buckets")
    higher, lower = (candidate, stable) if signal.worse is Worse.HIGHER else (stable, candidate)
    return log_evidence_quantile_higher(higher, lower, quantile_of(signal), margin, ratio)
