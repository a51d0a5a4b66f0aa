"""The bounds of an alarm: which of them are kept by what was observed, and how sure it is that one is not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from torchserve_rollout.analysis.case import Case
from torchserve_rollout.analysis.compare import evidence_worse, evidence_worse_ratio
from torchserve_rollout.analysis.observed import observed
from torchserve_rollout.analysis.samples import Sample
from torchserve_rollout.analysis.threshold import evidence_above, evidence_below
from torchserve_rollout.spec.plan import format_value, margin_in_words, ratio_in_words
from torchserve_rollout.spec.signals import Kind, Worse

# A candidate worse by exactly the margin obeys it: 0.9 − 0.8 is not more than 0.1.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound of an alarm: log E against it being kept, whether the observed values keep it, and its words.

    Of a plain value there is no evidence but the value itself: log E is infinite when it breaks the bound.
    """

    log_e: float
    is_obeyed: bool
    rule: str


def bounds_of(case: Case) -> Iterator[Bound]:
    """The bounds that can be judged on what was observed."""
    alarm, signal, candidate = case.alarm, case.signal, case.candidate
    value, of_stable = observed(signal, candidate), observed(signal, case.stable)
    if candidate is None or value is None:
        return
    if alarm.max is not None:
        rule = f"at most {format_value(alarm.max, signal.unit)}"
        log_e = _plain(value <= alarm.max) if case.is_plain else evidence_above(signal, candidate, alarm.max)
        yield Bound(log_e, value <= alarm.max, rule)
    if alarm.min is not None:
        rule = f"at least {format_value(alarm.min, signal.unit)}"
        log_e = _plain(value >= alarm.min) if case.is_plain else evidence_below(signal, candidate, alarm.min)
        yield Bound(log_e, value >= alarm.min, rule)
    if case.stable is None or of_stable is None:
        return
    yield from _comparisons(case, case.stable, candidate, value, of_stable)


def _comparisons(case: Case, stable: Sample, candidate: Sample, value: float, of_stable: float) -> Iterator[Bound]:
    alarm, signal = case.alarm, case.signal
    if alarm.worse_than_stable_by is not None:
        margin = alarm.worse_than_stable_by
        worse_by = value - of_stable if signal.worse is Worse.HIGHER else of_stable - value
        is_obeyed = worse_by <= margin + _ROUNDING
        rule = margin_in_words(margin, signal.unit)
        log_e = _plain(is_obeyed) if case.is_plain else evidence_worse(case, stable, candidate, margin)
        yield Bound(log_e, is_obeyed, rule)
    if alarm.worse_than_stable_ratio is not None:
        ratio = alarm.worse_than_stable_ratio
        worse, better = (value, of_stable) if signal.worse is Worse.HIGHER else (of_stable, value)
        is_obeyed = worse <= ratio * better + _ROUNDING
        rule = ratio_in_words(ratio, signal.worse)
        # Counts are facts, but how often something rare happens is not.
        is_fact = case.is_plain and (alarm.is_timed or signal.kind is not Kind.COUNT)
        log_e = _plain(is_obeyed) if is_fact else evidence_worse_ratio(case, stable, candidate, ratio)
        yield Bound(log_e, is_obeyed, rule)


def _plain(is_obeyed: bool) -> float:
    return 0.0 if is_obeyed else math.inf
