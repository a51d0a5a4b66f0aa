"""The rule ``worse_than_stable_by``: the candidate against stable over the same window. All evidence is log E."""

from __future__ import annotations

from torchserve_rollout.analysis.exceedance import log_evidence_quantile_higher
from torchserve_rollout.analysis.observed import WrongSample, cohort_of, quantile_of
from torchserve_rollout.analysis.samples import Histogram, Sample
from torchserve_rollout.analysis.sequential import log_evidence_worse
from torchserve_rollout.spec.signals import Signal, Worse


def evidence_worse(signal: Signal, stable: Sample, candidate: Sample, margin: float) -> float:
    """log E against "the candidate is not worse than stable by more than ``margin``"."""
    if isinstance(stable, Histogram) and isinstance(candidate, Histogram):
        if stable.upper_bounds != candidate.upper_bounds:
            raise WrongSample(f"{signal.name}: the histograms of candidate and stable have different buckets")
        higher, lower = (candidate, stable) if signal.worse is Worse.HIGHER else (stable, candidate)
        return log_evidence_quantile_higher(higher, lower, quantile_of(signal), margin)
    good_stable, good_candidate = cohort_of(signal, stable), cohort_of(signal, candidate)
    if signal.worse is Worse.HIGHER:
        good_stable, good_candidate = good_stable.mirrored(), good_candidate.mirrored()
    return log_evidence_worse(good_stable, good_candidate, margin)
