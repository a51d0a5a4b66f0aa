"""Equal versions, judged every tick, over many rollouts: how often a good one is turned back.

Usage: python -m benchmarks.false_alarms.run [--rollouts 2000] [--requests 100000] [--ticks 1000]

The full count takes hours of one core; smaller counts give wider intervals, which are printed beside the figures.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from torchserve_rollout.analysis.judge import judge
from torchserve_rollout.analysis.samples import Histogram, Measurement, Rate, Sample
from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.spec.schema import RolloutSpec

SEED: Final = 4
BOUNDS: Final = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, math.inf)
ERROR_RATES: Final = (0.001, 0.005, 0.02, 0.05, 0.2)
SHARES: Final = (0.01, 0.05, 0.2, 0.5)
SPEC: Final = RolloutSpec.model_validate(
    {
        "model": "m",
        "strategy": "all_at_once",
        "alarms": [
            {"name": "errors", "signal": "error_rate", "worse_than_stable_by": 0},
            {"name": "slow", "signal": "latency_p95", "worse_than_stable_by": 0},
        ],
    }
)


@dataclass(frozen=True, slots=True)
class World:
    """One rollout: what both versions do alike."""

    error_rate: float
    share: float
    has_bursts: bool
    has_cycles: bool


def worlds(rollouts: int) -> Iterator[World]:
    """Error rates and shares in turn, half of them with bursts, half with day cycles, which hit both sides alike."""
    for number in range(rollouts):
        yield World(
            ERROR_RATES[number % len(ERROR_RATES)],
            SHARES[number // len(ERROR_RATES) % len(SHARES)],
            has_bursts=number // 20 % 2 == 1,
            has_cycles=number // 40 % 2 == 1,
        )


def is_turned_back(world: World, requests: int, ticks: int, rng: np.random.Generator) -> bool:
    """Whether an alarm fires at any tick."""
    errors, slow = [Rate(), Rate()], [Histogram(), Histogram()]
    for tick in range(ticks):
        level = 1 + 0.5 * math.sin(4 * math.pi * tick / ticks) if world.has_cycles else 1.0
        level *= 5.0 if world.has_bursts and tick % 50 < 3 else 1.0
        total = int(rng.poisson(requests / ticks * min(level, 2.0)))
        candidate = int(rng.binomial(total, world.share))
        for side, n in enumerate((candidate, total - candidate)):
            errors[side] += Rate(int(rng.binomial(n, min(0.9, world.error_rate * level))), n)
            # Heavy tail: log-normal with sigma 1.2.
            seconds = rng.lognormal(math.log(0.1 * level), 1.2, n)
            counts, _ = np.histogram(seconds, bins=[0.0, *BOUNDS])
            slow[side] += Histogram(BOUNDS, tuple(int(count) for count in counts))
        if _fails(errors, slow):
            return True
    return False


def _fails(errors: list[Rate], slow: list[Histogram]) -> bool:
    measured: dict[str, list[Sample]] = {"error_rate": [*errors], "latency_p95": [*slow]}
    ledger = {name: Measurement(name, sides[0], sides[1]) for name, sides in measured.items()}
    return judge(SPEC, ledger).verdict is Verdict.FAIL


def main() -> None:
    """Simulate and print the share of rollouts turned back, with its 95 % interval."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=2000)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--ticks", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first rollout, to run in pieces")
    options = parser.parse_args()
    fired = 0
    for number, world in enumerate(worlds(options.first + options.rollouts)):
        if number >= options.first:
            fired += is_turned_back(world, options.requests, options.ticks, np.random.default_rng([SEED, number]))
    interval = stats.binomtest(fired, options.rollouts).proportion_ci(0.95)
    share, low, high = (100 * each for each in (fired / options.rollouts, interval.low, interval.high))
    sys.stdout.write(
        f"{fired} of {options.rollouts} good rollouts of {options.requests} requests turned back "
        f"({share:.2f} %, 95 % interval {low:.2f}–{high:.2f} %); promised: at most 1 %\n"
    )


if __name__ == "__main__":
    main()
