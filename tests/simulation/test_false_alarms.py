"""Equal versions, judged after every batch: false alarms stay below what the confidence allows; real effects are found.

Seeded, so the figures are the same on every run. The bounds are those of the whole rollout, whatever its length.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from benchmarks.false_alarms.run import is_turned_back, worlds
from scipy import stats

from torchserve_rollout.analysis.judge import judge
from torchserve_rollout.analysis.samples import (
    Histogram,
    Measurement,
    Rate,
    Sample,
    Scores,
    TickEvidence,
    accumulate,
)
from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.spec.schema import RolloutSpec

AT = datetime(2026, 1, 1, tzinfo=timezone.utc)
BEFORE = AT - timedelta(seconds=1)
CONFIDENCE = 0.9
BATCHES = 50
BOUNDS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, math.inf)
Draw = Callable[[np.random.Generator], tuple[Sample, Sample]]


def spec_of(signal: str, margin: float = 0.0) -> RolloutSpec:
    """One alarm in one window gets the whole of the false-alarm chance."""
    alarm = {
        "name": "x",
        "signal": signal,
        "worse_than_stable_by": margin,
        "confidence": CONFIDENCE,
        "probe": "p.yaml" if signal == "probe_score" else None,
    }
    return RolloutSpec.model_validate({"model": "m", "strategy": "all_at_once", "alarms": [alarm]})


def first_alarm(draw: Draw, spec: RolloutSpec, rng: np.random.Generator) -> int | None:
    """In which batch the alarm fires first, judged after every one; None when it never does."""
    window = Window(spec.alarms[0].signal_key)
    for batch in range(1, BATCHES + 1):
        if judge(spec, window.ledger_with(*draw(rng)), is_brief=True).verdict is Verdict.FAIL:
            return batch
    return None


class Window:
    """What one signal measured, tick by tick, as the controller sums it up."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._ticks: tuple[TickEvidence, ...] = ()

    def ledger_with(self, candidate: Sample, stable: Sample) -> dict[str, Measurement]:
        """The sums with one more tick."""
        new = Measurement(self._key.split(":")[0], candidate, stable)
        ledger = accumulate((*self._ticks, TickEvidence(AT, {self._key: new})), BEFORE)
        self._ticks = (TickEvidence(AT, ledger),)
        return ledger


def rates(candidate: float, stable: float, share: float = 0.1, batch: int = 200) -> Draw:
    """Batches of requests of which ``share`` go to the candidate."""

    def draw(rng: np.random.Generator) -> tuple[Sample, Sample]:
        n = int(rng.binomial(batch, share))
        return Rate(int(rng.binomial(n, candidate)), n), Rate(int(rng.binomial(batch - n, stable)), batch - n)

    return draw


def binary_scores(candidate: float, stable: float, batch: int = 5) -> Draw:
    """Right or wrong answers to prompts."""

    def draw(rng: np.random.Generator) -> tuple[Sample, Sample]:
        return Scores.of(rng.random(batch) < candidate), Scores.of(rng.random(batch) < stable)

    return draw


def graded_scores(candidate: float, stable: float, batch: int = 5) -> Draw:
    """Grades between 0 and 1 that vary little."""

    def draw(rng: np.random.Generator) -> tuple[Sample, Sample]:
        return tuple(Scores.of(rng.beta(40 * m, 40 * (1 - m), batch)) for m in (candidate, stable))  # type: ignore[return-value]

    return draw


def latencies(factor: float, share: float = 0.2, batch: int = 200) -> Draw:
    """Heavy-tailed latencies, median 100 ms, p95 about 520 ms; the candidate's are ``factor`` times as long."""

    def draw(rng: np.random.Generator) -> tuple[Sample, Sample]:
        n = int(rng.binomial(batch, share))
        return _histogram(rng, n, factor), _histogram(rng, batch - n, 1.0)

    return draw


def _histogram(rng: np.random.Generator, n: int, factor: float) -> Histogram:
    counts, _ = np.histogram(factor * rng.lognormal(math.log(0.1), 1.0, n), bins=[0.0, *BOUNDS])
    return Histogram(BOUNDS, tuple(int(count) for count in counts))


EQUAL = [
    ("error_rate", rates(0.005, 0.005)),
    ("error_rate", rates(0.02, 0.02, share=0.5)),
    ("error_rate", rates(0.05, 0.05, share=0.02)),
    ("error_rate", rates(0.2, 0.2)),
    ("probe_score", binary_scores(0.9, 0.9)),
    ("probe_score", binary_scores(0.5, 0.5)),
    ("probe_score", graded_scores(0.8, 0.8)),
    ("latency_p95", latencies(1.0)),
]


@pytest.mark.parametrize(("signal", "draw"), EQUAL)
def test_equal_versions_are_told_apart_no_more_often_than_the_confidence_allows(signal: str, draw: Draw) -> None:
    rollouts, spec, rng = 80, spec_of(signal), np.random.default_rng(20260101)
    alarms = sum(first_alarm(draw, spec, rng) is not None for _ in range(rollouts))
    most = stats.binom.ppf(0.99, rollouts, 1 - CONFIDENCE)
    assert alarms <= most
    # What the sequential tests of this kind really use of their bound is a good part less.
    assert alarms <= rollouts * (1 - CONFIDENCE)


@pytest.mark.parametrize(("signal", "draw"), EQUAL[:1] + EQUAL[4:5])
def test_a_difference_within_the_margin_is_let_through(signal: str, draw: Draw) -> None:
    spec, rng = spec_of(signal, margin=0.05), np.random.default_rng(7)
    assert not any(first_alarm(draw, spec, rng) for _ in range(40))


EFFECTS = [
    # signal, margin, world, batches within which at least 80 % of the rollouts must be stopped
    ("error_rate", 0.01, rates(1.0, 0.0), 2),
    ("error_rate", 0.01, rates(0.2, 0.01), 5),
    ("error_rate", 0.01, rates(0.06, 0.01), 40),
    ("probe_score", 0.1, binary_scores(0.45, 0.95), 7),
    ("probe_score", 0.1, binary_scores(0.2, 0.95), 4),
    ("latency_p95", 0.0, latencies(3.0), 10),
    ("latency_p95", 0.0, latencies(2.0), 40),
]


@pytest.mark.parametrize(("signal", "margin", "draw", "within"), EFFECTS)
def test_a_real_effect_is_found_in_time(signal: str, margin: float, draw: Draw, within: int) -> None:
    spec, rng = spec_of(signal, margin), np.random.default_rng(11)
    found = [first_alarm(draw, spec, rng) for _ in range(40)]
    assert sum(batch is not None and batch <= within for batch in found) >= 32


def test_cycles_that_hit_both_versions_alike_raise_no_alarm() -> None:
    """Error rates that swing between 1 % and 15 % over the rollout."""
    spec, rng, fired = spec_of("error_rate"), np.random.default_rng(3), 0
    for _ in range(60):
        window = Window("error_rate")
        for batch in range(BATCHES):
            p = 0.08 + 0.07 * math.sin(2 * math.pi * batch / 20)
            n = int(rng.binomial(200, 0.1))
            sides = Rate(int(rng.binomial(n, p)), n), Rate(int(rng.binomial(200 - n, p)), 200 - n)
            if judge(spec, window.ledger_with(*sides), is_brief=True).verdict is Verdict.FAIL:
                fired += 1
                break
    assert fired <= 60 * (1 - CONFIDENCE)


RATIO = RolloutSpec.model_validate(
    {
        "model": "m",
        "strategy": "all_at_once",
        "alarms": [{"name": "x", "signal": "error_rate", "worse_than_stable_ratio": 1.0, "confidence": CONFIDENCE}],
    }
)


@pytest.mark.parametrize("draw", [rates(0.01, 0.01), rates(0.1, 0.1, share=0.5)])
def test_equal_versions_break_no_ratio_more_often_than_the_confidence_allows(draw: Draw) -> None:
    rng = np.random.default_rng(17)
    assert sum(first_alarm(draw, RATIO, rng) is not None for _ in range(60)) <= 60 * (1 - CONFIDENCE)


def test_a_version_that_fails_four_times_as_often_breaks_a_ratio_of_two() -> None:
    (alarm,) = RATIO.alarms
    twice = RATIO.model_copy(update={"alarms": (alarm.model_copy(update={"worse_than_stable_ratio": 2.0}),)})
    rng = np.random.default_rng(18)
    found = [first_alarm(rates(0.2, 0.05, share=0.3), twice, rng) for _ in range(30)]
    assert sum(batch is not None for batch in found) >= 27


@pytest.mark.parametrize("number", range(0, 80, 8))
def test_whole_rollouts_of_equal_versions_are_not_turned_back_through_bursts_and_cycles(number: int) -> None:
    """A few of the worlds of benchmarks/false_alarms; there the whole count is measured."""
    world = list(worlds(number + 1))[number]
    assert not is_turned_back(world, requests=6000, ticks=60, rng=np.random.default_rng(number))
