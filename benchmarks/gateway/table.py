"""The measurements as tables: medians over rounds, ratios to the reference within the same round."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.gateway.subjects import BESIDE, WHOLE, WITHOUT_POLICY

HEAD = (
    "| | req/s | p50 ms | p99 ms | CPU s per 1,000 | throughput × | CPU × |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)
BY_THREAD = (WHOLE, BESIDE, WITHOUT_POLICY)
LEAST_US = 0.5

Row = dict[str, Any]
"""One measurement: session, round, workload, subject, its reference, and the fields of `Measured`."""


def tables(results: dict[str, Any]) -> str:
    """Markdown: the machine, then one table for each workload."""
    rows: list[Row] = results["rows"]
    rounds = len({(row["session"], row["round"]) for row in rows})
    sessions = len({row["session"] for row in rows})
    lines = [
        f"{_machine(results)}. {rounds} rounds of {results['seconds']} s each, in {sessions} starts of all servers."
        f" {sum(row['failed'] for row in rows)} requests failed."
    ]
    for workload in _in_order(row["workload"] for row in rows):
        chosen = [row for row in rows if row["workload"] == workload]
        lines += ["", f"**{workload}**", "", HEAD]
        lines += [_line(subject, chosen) for subject in _in_order(row["subject"] for row in chosen)]
        lines += ["", *_by_thread(chosen)]
    return "\n".join(lines)


def _by_thread(rows: Sequence[Row]) -> list[str]:
    """What a request costs, in microseconds of processor time, by what used it."""
    compared = [name for name in BY_THREAD if any(row["subject"] == name for row in rows)]
    mine = {name: [row["cpu_us"] for row in rows if row["subject"] == name] for name in compared}
    level = {
        name: {kind: statistics.median(each.get(kind, 0.0) for each in costs) for kind in {k for c in costs for k in c}}
        for name, costs in mine.items()
    }
    kinds = sorted(level[compared[0]], key=lambda kind: -level[compared[0]][kind])
    kinds += sorted({kind for costs in level.values() for kind in costs} - set(kinds))
    lines = [f"| CPU µs a request, by threads | {' | '.join(compared)} |", "| --- |" + " --- |" * len(compared)]
    for kind in kinds:
        cells = [level[name].get(kind, 0.0) for name in compared]
        if max(cells) >= LEAST_US:
            lines.append(f"| {kind} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")
    return lines


def _machine(results: dict[str, Any]) -> str:
    machine = results["machine"]
    parts = [f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB", machine["system"]]
    return "; ".join([*parts, *(f"{name} {version}" for name, version in results["versions"].items())])


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _line(subject: str, rows: Sequence[Row]) -> str:
    mine = [row for row in rows if row["subject"] == subject]
    cells = [
        f"{_median(mine, 'requests_per_s'):,.0f}",
        f"{_median(mine, 'p50_ms'):.2f}",
        f"{_median(mine, 'p99_ms'):.2f}",
        f"{_median(mine, 'cpu_s_per_1000'):.3f}",
        _ratio(ratios(rows, subject, "requests_per_s")),
        _ratio(ratios(rows, subject, "cpu_s_per_1000")),
    ]
    return f"| {subject} | {' | '.join(cells)} |"


def ratios(rows: Sequence[Row], subject: str, field: str) -> list[float]:
    """`field` of `subject` divided by that of its reference, round by round."""
    values = {(row["session"], row["round"], row["subject"]): row[field] for row in rows}
    return [
        row[field] / values[row["session"], row["round"], row["reference"]] for row in rows if row["subject"] == subject
    ]


def _median(rows: Sequence[Row], field: str) -> float:
    return statistics.median(float(row[field]) for row in rows)


def _ratio(values: Sequence[float]) -> str:
    """Median, and in brackets where the middle half of the rounds lies."""
    if all(value == 1 for value in values):
        return "1"
    if len(values) < 4:
        return f"{statistics.median(values):.3f} ({min(values):.3f}–{max(values):.3f})"
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{statistics.median(values):.3f} ({low:.3f}–{high:.3f})"
