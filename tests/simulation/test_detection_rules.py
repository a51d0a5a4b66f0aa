"""The rules of others in benchmarks/detection do what their documentation says, to the second."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.detection.rules import RULES, _is_high, value
from benchmarks.detection.run import Outcome, limits_table, table
from benchmarks.detection.streams import P95_S, Scenario, Side, Stream, stream
from scipy import stats

ROOT = Path(__file__).parents[2]


def failing_from_the_start(share: float = 1.0, seconds: int = 3600) -> Stream:
    """Ten requests a second on either side, of which ``share`` fail on the candidate."""
    total = np.full(seconds, 10)
    bad = np.round(total * share).astype(np.int64)
    return Stream(Scenario("x", "error_rate", 0.0, share), Side(total, bad), Side(total, np.zeros_like(total)))


@pytest.mark.parametrize(
    ("rule", "second"),
    [
        ("ours", 2),
        ("naive threshold", 2),
        ("Argo inline", 60),
        ("Argo background", 960),  # at 60, 360, 660, 960
        ("Flagger defaults", 120),  # (1 + 1) × 60
        ("Flagger docs", 660),  # (10 + 1) × 60
        ("CloudWatch 2 of 2", 600),
        ("Kayenta", 3600),
    ],
)
def test_a_total_failure_is_found_when_the_rule_says(rule: str, second: int) -> None:
    assert RULES[rule](failing_from_the_start()) == second


@pytest.mark.parametrize("rule", list(RULES))
def test_a_version_without_failures_is_let_through(rule: str) -> None:
    assert RULES[rule](failing_from_the_start(0.0)) is None


def test_flagger_takes_no_requests_for_a_failure_and_the_others_do_not() -> None:
    idle = failing_from_the_start(0.0)
    nothing = Stream(idle.scenario, Side(np.zeros(3600, np.int64), np.zeros(3600, np.int64)), idle.stable)
    assert {name for name, rule in RULES.items() if rule(nothing) is not None} == {"Flagger defaults", "Flagger docs"}


def test_the_p95_of_a_stream_is_that_of_its_distribution() -> None:
    made = stream(Scenario("x", "latency_p95", 1.0, 1.0), 1000, 0.5, 200, np.random.default_rng(1))
    assert value(made.stable, 0, 200) == pytest.approx(P95_S, rel=0.05)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0])
def test_the_interval_of_the_shift_says_what_scipys_rank_test_says(shift: float) -> None:
    """A 98 % interval above zero is a two-sided Mann–Whitney test at 2 %, up to the 25 % band."""
    rng, agree = np.random.default_rng(2), 0
    for _ in range(40):
        candidate, stable = rng.normal(shift, 1, 60), rng.normal(0, 1, 60)
        is_significant = stats.mannwhitneyu(candidate, stable, alternative="greater").pvalue < 0.01
        agree += is_significant >= _is_high(candidate, stable)
    assert agree >= 39


def test_the_table_of_the_page_is_the_one_that_was_measured() -> None:
    results = json.loads((ROOT / "benchmarks" / "detection" / "results.json").read_text("utf-8"))
    page = (ROOT / "docs" / "analysis.md").read_text("utf-8")
    outcomes = [Outcome(**each) for each in results]
    assert table(outcomes) in page and limits_table(outcomes) in page
    ours = [each for each in results if each["rule"] == "ours" and each["is_harmless"]]
    promised = 0.01 * sum(each["runs"] for each in ours)
    assert ours and sum(each["fired"] for each in ours) <= promised


def test_no_rule_is_sooner_than_ours_that_turns_back_as_few_good_versions_and_finds_as_many_bad_ones() -> None:
    """In none of the measured rows; good versions are those of the same signal and traffic."""
    results = json.loads((ROOT / "benchmarks" / "detection" / "results.json").read_text("utf-8"))
    rows: dict[tuple[str, float, float], dict[str, dict[str, Any]]] = {}
    false: Counter[tuple[str, float, float, str]] = Counter()
    for each in results:
        if each["is_harmless"]:
            false[each["signal"], each["rate_per_s"], each["share"], each["rule"]] += each["fired"]
        else:
            rows.setdefault((each["scenario"], each["rate_per_s"], each["share"]), {})[each["rule"]] = each
    assert len(rows) == 24
    for (_, rate_per_s, share), by_rule in rows.items():
        ours = by_rule.pop("ours")
        for rule, theirs in by_rule.items():
            turned_back, by_ours = (false[ours["signal"], rate_per_s, share, each] for each in (rule, "ours"))
            is_as_honest = turned_back <= by_ours
            if is_as_honest and theirs["fired"] >= ours["fired"] and theirs["median_s"] is not None:
                assert ours["median_s"] is not None and ours["median_s"] <= theirs["median_s"], (ours, theirs)


def test_ours_needs_no_more_than_twice_and_a_half_the_requests_that_any_test_needs() -> None:
    results = json.loads((ROOT / "benchmarks" / "detection" / "results.json").read_text("utf-8"))
    found = [each["of_the_limit"] for each in results if each["rule"] == "ours" and each["of_the_limit"]]
    assert len(found) >= 7 and max(found) <= 2.5
