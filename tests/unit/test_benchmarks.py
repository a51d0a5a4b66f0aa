"""The tables of docs/benchmarks.md are those that were measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from benchmarks.gateway.table import ratios
from benchmarks.gateway.table import tables as gateway_tables
from benchmarks.gateway.threads import PYTHON, WRITERS, cpu_s_by_kind, kind_of
from benchmarks.soak.table import is_flat, slope_per_h
from benchmarks.soak.table import table as soak_table

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("benchmark", "as_text"), [("gateway", gateway_tables), ("soak", soak_table)])
def test_the_page_shows_what_was_measured(benchmark: str, as_text: Callable[[dict[str, Any]], str]) -> None:
    results = json.loads((ROOT / "benchmarks" / benchmark / "results.json").read_text("utf-8"))
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    assert f"<!-- {benchmark} -->\n{as_text(results)}\n<!-- end {benchmark} -->" in page


def test_ratios_are_taken_within_a_round() -> None:
    rows = [
        {"session": 0, "round": number, "subject": subject, "reference": "direct", "cpu_s_per_1000": value}
        for number, subject, value in [(0, "direct", 1.0), (0, "proxy", 2.0), (1, "proxy", 30.0), (1, "direct", 10.0)]
    ]
    assert ratios(rows, "proxy", "cpu_s_per_1000") == [2.0, 3.0]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("epollEventLoopG", "network threads"),
        ("W-9000-single_1", "threads that collect batches"),
        ("ForkJoinPool.co", WRITERS),
        ("C2 CompilerThre", "JIT compiler"),
        ("VM Thread", "other threads of the JVM"),
    ],
)
def test_what_a_thread_of_the_jvm_does_is_told_by_its_name(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_processor_time_of_a_process_that_is_no_jvm_is_its_own_kind() -> None:
    assert cpu_s_by_kind([psutil.Process()])[PYTHON] > 0


@pytest.mark.parametrize(
    ("levels", "flat"),
    [
        ([100.0] * 40, True),
        ([100.0, 104.0] * 20, True),
        ([100.0] * 10 + [150.0] * 30, True),
        ([100.0 + 0.01 * each for each in range(40)], True),
        ([100.0 + 0.5 * each for each in range(40)], False),
        ([100.0 + each % 2 + 0.5 * each for each in range(40)], False),
    ],
    ids=["constant", "scatter", "grew at first", "grows less than the bound", "grows", "grows under scatter"],
)
def test_flat_means_no_growth_beyond_scatter_or_bound(levels: list[float], flat: bool) -> None:
    samples = [{"at_s": 90.0 * number, "heap_mib": level} for number, level in enumerate(levels)]
    assert is_flat(samples, "heap_mib") is flat


def test_the_slope_is_of_the_last_three_quarters_and_per_hour() -> None:
    samples = [{"at_s": 60.0 * number, "threads": 10 + max(0, number - 10)} for number in range(40)]
    slope, low, high = slope_per_h(samples, "threads")
    assert slope == pytest.approx(60) and low <= slope <= high
