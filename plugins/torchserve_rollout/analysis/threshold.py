"""The rules ``max`` and ``min``: the candidate against a fixed bound. All evidence is log E (see ``sequential``)."""

from __future__ import annotations

from torchserve_rollout.analysis.exceedance import log_evidence_quantile_above, log_evidence_quantile_below
from torchserve_rollout.analysis.observed import cohort_of, quantile_of
from torchserve_rollout.analysis.samples import Histogram, Sample
from torchserve_rollout.analysis.sequential import log_evidence_above, log_evidence_below
from torchserve_rollout.spec.signals import Signal


def evidence_above(signal: Signal, candidate: Sample, bound: float) -> float:
    """log E against "the signal is at most ``bound``"."""
    if isinstance(candidate, Histogram):
        return log_evidence_quantile_above(candidate, quantile_of(signal), bound)
    return log_evidence_above(cohort_of(signal, candidate), bound)


def evidence_below(signal: Signal, candidate: Sample, bound: float) -> float:
    """log E against "the signal is at least ``bound``"."""
    if isinstance(candidate, Histogram):
        return log_evidence_quantile_below(candidate, quantile_of(signal), bound)
    return log_evidence_below(cohort_of(signal, candidate), bound)
