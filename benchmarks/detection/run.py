"""How soon each rule finds a bad version, and how often it turns a good one back, on the same simulated traffic.

Usage: python -m benchmarks.detection.run [--runs 20] [--signal error_rate] [--docs docs/analysis.md]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.detection.rules import RULES
from benchmarks.detection.streams import SCENARIOS, Scenario, stream

SECONDS = 3600
SETTINGS = ((10.0, 0.05), (100.0, 0.05), (100.0, 0.5))
SEED = 20260101
ALPHA = 0.01


@dataclass(frozen=True, slots=True)
class Outcome:
    """One rule in one scenario. Quantiles are of the runs in which it fired; None when it rarely did.

    ``of_the_limit`` and ``of_walds`` are the median number of requests over the least for any test: one that must learn
    stable's rate, and one that is told it.
    """

    scenario: str
    signal: str
    is_harmless: bool
    rate_per_s: float
    share: float
    rule: str
    runs: int
    fired: int
    median_s: float | None
    p95_s: float | None
    median_requests: float | None
    of_the_limit: float | None
    of_walds: float | None


def measure(scenario: Scenario, rate_per_s: float, share: float, runs: int, pool: Executor) -> list[Outcome]:
    """All rules on the same ``runs`` streams."""
    seeds = [[SEED, SCENARIOS.index(scenario), int(rate_per_s), int(100 * share), run] for run in range(runs)]
    ends = list(pool.map(partial(_ends, scenario, rate_per_s, share), seeds, chunksize=5))
    limits = limit(scenario, share), limit(scenario, 0.0)
    outcomes = []
    for index, name in enumerate(RULES):
        found = [end for end in (each[index] for each in ends) if end is not None]
        seconds, requests = [end for end, _ in found], [count for _, count in found]
        is_telling = len(found) > runs / 2
        median = float(np.median(requests)) if is_telling else None
        outcomes.append(
            Outcome(
                scenario.name,
                scenario.signal,
                scenario.is_harmless,
                rate_per_s,
                share,
                name,
                runs,
                len(found),
                float(np.median(seconds)) if is_telling else None,
                float(np.quantile(seconds, 0.95)) if is_telling else None,
                median,
                *(median / each if median is not None and each else None for each in limits),
            )
        )
    return outcomes


def _ends(scenario: Scenario, rate_per_s: float, share: float, seed: list[int]) -> list[tuple[int, int] | None]:
    """For each rule after how many seconds, and requests of the candidate, it turns this rollout back."""
    made = stream(scenario, rate_per_s, share, SECONDS, np.random.default_rng(seed))
    ends = [rule(made) for rule in RULES.values()]
    return [None if end is None else (end, int(made.candidate.total[:end].sum())) for end in ends]


def limit(scenario: Scenario, share: float) -> float | None:
    """The least expected number of the candidate's requests for any test with that error: log(1/α) / information.

    At ``share`` 0 the information is Wald's, KL(candidate ‖ stable): the test is told stable's true rate. Otherwise it
    must learn it from the rest of the traffic; then the information of one request of the candidate, and of those of
    stable that come with it, is the least there is against any common rate m:
    KL(candidate ‖ m) + (1 − share)/share · KL(stable ‖ m), with m the mean over both (Turner, Ly, Grünwald 2024).
    """
    p, q = scenario.candidate, scenario.stable
    if scenario.signal != "error_rate" or not 0 < p < 1 or p == q:
        return None
    if share == 0:
        return math.log(1 / ALPHA) / _information(p, q)
    mean = share * p + (1 - share) * q
    return math.log(1 / ALPHA) / (_information(p, mean) + (1 - share) / share * _information(q, mean))


def _information(p: float, q: float) -> float:
    """KL(p ‖ q) of two coins, in nats."""
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def table(outcomes: list[Outcome]) -> str:
    """Markdown: per scenario and setting, what each rule did."""
    names = list(RULES)
    lines = [f"| scenario | traffic | {' | '.join(names)} |", f"| --- | --- |{' --- |' * len(names)}"]
    rows: dict[tuple[str, float, float], dict[str, Outcome]] = {}
    for outcome in outcomes:
        rows.setdefault((outcome.scenario, outcome.rate_per_s, outcome.share), {})[outcome.rule] = outcome
    for (scenario, rate_per_s, share), by_rule in rows.items():
        cells = [_cell(by_rule[name]) for name in names]
        lines.append(f"| {scenario} | {rate_per_s:g}/s, {share:.0%} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(outcome: Outcome) -> str:
    if outcome.is_harmless or outcome.median_s is None:
        return f"{outcome.fired} of {outcome.runs}"
    missed = f" ({outcome.fired} of {outcome.runs})" if outcome.fired < outcome.runs else ""
    return f"{outcome.median_s:.0f} s{missed}"


def limits_table(outcomes: list[Outcome]) -> str:
    """Markdown: ours, beside what no test can beat."""
    lines = [
        "| scenario | traffic | median | p95 | requests of the candidate | × the limit | × Wald's limit |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in outcomes:
        if each.rule == "ours" and each.of_the_limit and each.of_walds and each.fired == each.runs:
            cells = (
                each.scenario,
                f"{each.rate_per_s:g}/s, {each.share:.0%}",
                f"{each.median_s:.0f} s",
                f"{each.p95_s:.0f} s",
                f"{each.median_requests:.0f}",
                f"{each.of_the_limit:.1f}",
                f"{each.of_walds:.1f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _put(page: str, mark: str, text: str) -> str:
    head, rest = page.split(f"<!-- {mark} -->")
    _, tail = rest.split(f"<!-- end {mark} -->")
    return f"{head}<!-- {mark} -->\n{text}\n<!-- end {mark} -->{tail}"


def main() -> None:
    """Measure, print the table, and put it between the marks of a page when one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--signal", help="only scenarios of this signal")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--json", type=Path, help="keep the outcomes here; those of other signals already in it stay")
    parser.add_argument("--docs", type=Path, help="put the table of --json into this page")
    options = parser.parse_args()
    kept: list[Outcome] = []
    if options.json and options.json.exists():
        kept = [Outcome(**each) for each in json.loads(options.json.read_text("utf-8"))]
    wanted = [scenario for scenario in SCENARIOS if options.runs and options.signal in (None, scenario.signal)]
    kept = [each for each in kept if each.scenario not in {scenario.name for scenario in wanted}]
    with ProcessPoolExecutor(options.jobs) as pool:
        for scenario in wanted:
            for rate_per_s, share in SETTINGS:
                kept += measure(scenario, rate_per_s, share, options.runs, pool)
                sys.stderr.write(f"{scenario.name} at {rate_per_s:g}/s, {share:.0%}\n")
    order = [scenario.name for scenario in SCENARIOS]
    kept.sort(key=lambda each: order.index(each.scenario))
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in kept], indent=1) + "\n")
    sys.stdout.write(f"{table(kept)}\n\n{limits_table(kept)}\n")
    if options.docs:
        page = options.docs.read_text("utf-8")
        options.docs.write_text(_put(_put(page, "detection", table(kept)), "limits", limits_table(kept)))


if __name__ == "__main__":
    main()
