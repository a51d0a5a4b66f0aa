"""Simulated traffic: what candidate and stable did in each second. Every rule sees the very same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
# The gateway's buckets, in seconds.
BOUNDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 20, 30, 45, 60, 120, 300, math.inf),
)
MEDIAN_S: Final = 0.1
SIGMA: Final = 1.0
P95_S: Final = MEDIAN_S * math.exp(1.6449 * SIGMA)


@dataclass(frozen=True, slots=True)
class Scenario:
    """``stable`` and ``candidate`` are error rates, scores, or (latency) the factor on the latency of stable."""

    name: str
    signal: str
    stable: float
    candidate: float

    @property
    def is_harmless(self) -> bool:
        return self.stable == self.candidate


SCENARIOS: Final = (
    Scenario("errors 0.1 % → 0.1 %", "error_rate", 0.001, 0.001),
    Scenario("errors 1 % → 1 %", "error_rate", 0.01, 0.01),
    Scenario("errors 0 → 100 %", "error_rate", 0.0, 1.0),
    Scenario("errors 1 → 5 %", "error_rate", 0.01, 0.05),
    Scenario("errors 1 → 2 %", "error_rate", 0.01, 0.02),
    Scenario("errors 0.1 → 0.5 %", "error_rate", 0.001, 0.005),
    Scenario("p95 × 1", "latency_p95", 1.0, 1.0),
    Scenario("p95 × 1.5", "latency_p95", 1.0, 1.5),
    Scenario("p95 × 1.1", "latency_p95", 1.0, 1.1),
    Scenario("quality 0.9 → 0.9", "probe_score", 0.9, 0.9),
    Scenario("quality −0.1", "probe_score", 0.9, 0.8),
    Scenario("quality −0.02", "probe_score", 0.9, 0.88),
)


@dataclass(frozen=True, slots=True)
class Side:
    """One version, second by second: requests, and which share was bad or (latency) in which bucket each fell."""

    total: Counts
    bad: Counts
    buckets: Counts | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """One rollout at one weight."""

    scenario: Scenario
    candidate: Side
    stable: Side

    @property
    def seconds(self) -> int:
        return len(self.candidate.total)


def stream(scenario: Scenario, rate_per_s: float, share: float, seconds: int, rng: np.random.Generator) -> Stream:
    """Poisson arrivals; each request goes to the candidate with probability ``share``."""
    return Stream(
        scenario,
        _side(scenario, scenario.candidate, rng.poisson(rate_per_s * share, seconds), rng),
        _side(scenario, scenario.stable, rng.poisson(rate_per_s * (1 - share), seconds), rng),
    )


def _side(scenario: Scenario, level: float, total: Counts, rng: np.random.Generator) -> Side:
    if scenario.signal == "latency_p95":
        bounds = np.array([0.0, *BOUNDS])
        at_most = np.array([0.0 if b == 0 else _normal_cdf(math.log(b / (MEDIAN_S * level)) / SIGMA) for b in bounds])
        buckets = rng.multinomial(total, np.diff(at_most))
        return Side(total, np.zeros_like(total), buckets)
    bad = level if scenario.signal == "error_rate" else 1 - level
    return Side(total, rng.binomial(total, bad))


def _normal_cdf(z: float) -> float:
    return 1.0 if z == math.inf else 0.5 * (1 + math.erf(z / math.sqrt(2)))
