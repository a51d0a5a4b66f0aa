"""Equal versions, judged every tick, over many rollouts: how often a good one is turned back.

Usage: python -m benchmarks.false_alarms.run [--rollouts 2000] [--requests 100000] [--ticks 1000] [--jobs 2]

The full count takes about half an hour of one core; smaller counts give wider intervals, which are printed beside the
figures.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import islice
from typing import Final

import numpy as np
from scipy import stats

from torchserve_rollout.analysis.judge import judge
from torchserve_rollout.analysis.samples import Histogram, Measurement, Rate, TickEvidence, accumulate
from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.spec.schema import RolloutSpec

SEED: Final = 4
AT: Final = datetime(2026, 1, 1, tzinfo=timezone.utc)
BEFORE: Final = AT - timedelta(seconds=1)
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
    so_far: tuple[TickEvidence, ...] = ()
    for tick in range(ticks):
        level = 1 + 0.5 * math.sin(4 * math.pi * tick / ticks) if world.has_cycles else 1.0
        level *= 5.0 if world.has_bursts and tick % 50 < 3 else 1.0
        total = int(rng.poisson(requests / ticks * min(level, 2.0)))
        candidate = int(rng.binomial(total, world.share))
        sides = [_served(world, level, n, rng) for n in (candidate, total - candidate)]
        measured = {
            "error_rate": Measurement("error_rate", sides[0][0], sides[1][0]),
            "latency_p95": Measurement("latency_p95", sides[0][1], sides[1][1]),
        }
        # The sum of the ticks so far goes on as if it were one of them, as in the controller.
        ledger = accumulate((*so_far, TickEvidence(AT, measured)), BEFORE)
        so_far = (TickEvidence(AT, ledger),)
        if judge(SPEC, ledger, is_brief=True).verdict is Verdict.FAIL:
            return True
    return False


def _served(world: World, level: float, n: int, rng: np.random.Generator) -> tuple[Rate, Histogram]:
    """What became of ``n`` requests, and how long they took: heavy-tailed, log-normal with sigma 1.2."""
    seconds = rng.lognormal(math.log(0.1 * level), 1.2, n)
    counts, _ = np.histogram(seconds, bins=[0.0, *BOUNDS])
    failed = int(rng.binomial(n, min(0.9, world.error_rate * level)))
    return Rate(failed, n), Histogram(BOUNDS, tuple(int(count) for count in counts))


def _numbered(number: int, requests: int, ticks: int) -> bool:
    """Rollout ``number``: the same whichever others are simulated, and in whatever order."""
    world = next(islice(worlds(number + 1), number, None))
    return is_turned_back(world, requests, ticks, np.random.default_rng([SEED, number]))


def main() -> None:
    """Simulate and print the share of rollouts turned back, with its 95 % interval."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=2000)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--ticks", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first rollout, to run in pieces")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    numbers = range(options.first, options.first + options.rollouts)
    simulate = partial(_numbered, requests=options.requests, ticks=options.ticks)
    fired = 0
    with ProcessPoolExecutor(options.jobs) as pool:
        for done, is_fired in enumerate(pool.map(simulate, numbers, chunksize=4), 1):
            fired += is_fired
            if done % 100 == 0:
                sys.stderr.write(f"{done} of {options.rollouts}: {fired} turned back\n")
    interval = stats.binomtest(fired, options.rollouts).proportion_ci(0.95)
    share, low, high = (100 * each for each in (fired / options.rollouts, interval.low, interval.high))
    sys.stdout.write(
        f"{fired} of {options.rollouts} good rollouts of {options.requests} requests turned back "
        f"({share:.2f} %, 95 % interval {low:.2f}–{high:.2f} %); promised: at most 1 %\n"
    )


if __name__ == "__main__":
    main()
