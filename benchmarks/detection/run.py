"""How soon each rule finds a bad version, and how often it turns a good one back, on the same simulated traffic.

Usage: python -m benchmarks.detection.run [--runs 20] [--signal error_rate] [--docs docs/analysis.md]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass
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
    """One rule in one scenario. Quantiles are of the runs in which it fired; None when it rarely did."""

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


def measure(scenario: Scenario, rate_per_s: float, share: float, runs: int) -> list[Outcome]:
    """All rules on the same ``runs`` streams."""
    rng = np.random.default_rng([SEED, SCENARIOS.index(scenario), int(rate_per_s), int(100 * share)])
    streams = [stream(scenario, rate_per_s, share, SECONDS, rng) for _ in range(runs)]
    outcomes = []
    for name, rule in RULES.items():
        seconds, requests = [], []
        for each in streams:
            end = rule(each)
            if end is not None:
                seconds.append(end)
                requests.append(int(each.candidate.total[:end].sum()))
        is_telling = len(seconds) > runs / 2
        median = float(np.median(requests)) if is_telling else None
        limit = _limit(scenario)
        outcomes.append(
            Outcome(
                scenario.name,
                scenario.signal,
                scenario.is_harmless,
                rate_per_s,
                share,
                name,
                runs,
                len(seconds),
                float(np.median(seconds)) if is_telling else None,
                float(np.quantile(seconds, 0.95)) if is_telling else None,
                median,
                median / limit if median is not None and limit else None,
            )
        )
    return outcomes


def _limit(scenario: Scenario) -> float | None:
    """Wald's least expected number of requests for a test with that error: log(1/α) / KL(candidate ‖ stable)."""
    p, q = scenario.candidate, scenario.stable
    if scenario.signal != "error_rate" or not 0 < p < 1 or p == q:
        return None
    return math.log(1 / ALPHA) / (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))


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
    if outcome.is_harmless:
        return f"{outcome.fired} of {outcome.runs}"
    if outcome.median_s is None:
        return f"{outcome.fired} of {outcome.runs}"
    limit = f", {outcome.of_the_limit:.1f} ×" if outcome.of_the_limit is not None and outcome.rule == "ours" else ""
    missed = f" ({outcome.fired} of {outcome.runs})" if outcome.fired < outcome.runs else ""
    return f"{outcome.median_s:.0f} s{limit}{missed}"


def main() -> None:
    """Measure, print the table, and put it between the marks of a page when one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--signal", help="only scenarios of this signal")
    parser.add_argument("--json", type=Path, help="keep the outcomes here; those of other signals already in it stay")
    parser.add_argument("--docs", type=Path, help="put the table of --json into this page")
    options = parser.parse_args()
    kept: list[Outcome] = []
    if options.json and options.json.exists():
        kept = [Outcome(**each) for each in json.loads(options.json.read_text("utf-8"))]
    if options.runs:
        wanted = [scenario for scenario in SCENARIOS if options.signal in (None, scenario.signal)]
        kept = [each for each in kept if each.signal not in {scenario.signal for scenario in wanted}]
        for scenario in wanted:
            for rate_per_s, share in SETTINGS:
                kept += measure(scenario, rate_per_s, share, options.runs)
    order = [scenario.name for scenario in SCENARIOS]
    kept.sort(key=lambda each: order.index(each.scenario))
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in kept], indent=1) + "\n")
    text = table(kept)
    sys.stdout.write(text + "\n")
    if options.docs:
        page = options.docs.read_text("utf-8")
        head, rest = page.split("<!-- detection -->")
        _, tail = rest.split("<!-- end detection -->")
        options.docs.write_text(f"{head}<!-- detection -->\n{text}\n<!-- end detection -->{tail}")


if __name__ == "__main__":
    main()
