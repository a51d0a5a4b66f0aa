"""The figures of docs/analysis.md: how soon each rule finds a bad version, and how evidence grows.

Usage: python -m benchmarks.detection.plot [--json benchmarks/detection/results.json] [--to docs/images]
Needs the extra ``plots``.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.detection.rules import RULES
from benchmarks.detection.run import Outcome
from benchmarks.detection.streams import Scenario, stream
from torchserve_rollout.analysis.blocks import Block, joined
from torchserve_rollout.analysis.side_by_side import log_evidence_higher

PROMISED: Final = 0.01
MARKERS: Final = "osD^v<>P"
EQUAL: Final = {"error_rate": "errors 1 % → 1 %", "latency_p95": "p95 × 1", "probe_score": "quality 0.9 → 0.9"}
WORLDS: Final = ((0.01, 0.01), (0.01, 0.02), (0.01, 0.05), (0.01, 0.2))


def soonest(outcomes: Sequence[Outcome], rate_per_s: float, share: float, to: Path) -> None:
    """Median seconds to rollback, by scenario and rule; hollow where the rule turns back too many good versions."""
    here = [each for each in outcomes if each.rate_per_s == rate_per_s and each.share == share]
    false = {(each.signal, each.rule): each.fired / each.runs for each in here if each.scenario == EQUAL[each.signal]}
    scenarios = list(dict.fromkeys(each.scenario for each in here if not each.is_harmless))
    figure, axes = plt.subplots(figsize=(9, 5))
    for rule, marker in zip(RULES, MARKERS, strict=True):
        color = axes.plot([], [], marker, label=rule)[0].get_color()
        for each in here:
            if each.rule == rule and not each.is_harmless and each.median_s is not None:
                is_honest = false[each.signal, rule] <= PROMISED
                axes.plot(
                    each.median_s,
                    scenarios.index(each.scenario),
                    marker,
                    color=color,
                    markersize=9 if rule == "ours" else 6,
                    markerfacecolor=color if is_honest else "none",
                )
    axes.set_xscale("log")
    axes.set_yticks(range(len(scenarios)), scenarios)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("seconds until half of the bad versions are turned back")
    axes.set_title(f"{rate_per_s:g} requests a second, {share:.0%} to the candidate; hollow: over 1 % false alarms")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    _save(figure, to)


def growth(to: Path) -> None:
    """The evidence of one rollout each, at 50 % of 100 requests a second, with the line where an alarm fires."""
    figure, axes = plt.subplots(figsize=(9, 4))
    for index, (stable, candidate) in enumerate(WORLDS):
        made = stream(Scenario("x", "error_rate", stable, candidate), 100, 0.5, 180, np.random.default_rng([9, index]))
        blocks: tuple[Block, ...] = ()
        evidence = []
        for second in range(made.seconds):
            sides = (made.candidate.total, made.candidate.bad, made.stable.total, made.stable.bad)
            blocks = joined((*blocks, Block(*(float(each[second]) for each in sides))))
            evidence.append(log_evidence_higher(blocks) / math.log(10))
        axes.plot(range(1, made.seconds + 1), evidence, label=f"{stable:.0%} → {candidate:.0%}")
    axes.axhline(math.log10(2 / PROMISED), color="black", linestyle="--", linewidth=1)
    axes.annotate("the alarm fires", (120, math.log10(2 / PROMISED) + 0.15))
    axes.set_ylim(-3, 8)
    axes.set_xlabel("seconds")
    axes.set_ylabel("evidence, powers of ten")
    axes.set_title("Errors of stable → of the candidate")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    _save(figure, to)


def _save(figure: plt.Figure, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(to, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    """Draw both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/detection/results.json"))
    parser.add_argument("--to", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    plt.rcParams["svg.hashsalt"] = "detection"
    outcomes = [Outcome(**each) for each in json.loads(options.json.read_text("utf-8"))]
    soonest(outcomes, 100.0, 0.05, options.to / "detection.svg")
    growth(options.to / "evidence.svg")


if __name__ == "__main__":
    main()
