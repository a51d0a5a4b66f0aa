"""The verdict on a soak: flat or not, with the slope of each quantity."""

from __future__ import annotations

from typing import Any

from scipy import stats

BOUND_SHARE_PER_H = 0.02
CONFIDENCE = 0.95
JUDGED = {
    "heap_mib": "heap after a full collection, MiB",
    "direct_mib": "direct memory, MiB",
    "our_objects": "objects of the gateway's classes",
    "threads": "threads",
    "files": "open files",
    "series": "series of the gateway on /metrics",
}
TOLD = {"rss_mib": "resident memory of the JVM, MiB"}
HEAD = "| | after a quarter | at the end | growth per hour (95 % interval) | |\n| --- | --- | --- | --- | --- |"


def slope_per_h(samples: list[dict[str, Any]], name: str) -> tuple[float, float, float]:
    """Growth per hour over the last three quarters of the samples, and its 95 % interval.

    By Theil and Sen: now and then a sample falls into a registration, with a worker's threads and files more.
    """
    last = samples[len(samples) // 4 :]
    values = [float(each[name]) for each in last]
    slope, _, low, high = stats.theilslopes(values, [each["at_s"] / 3600 for each in last], CONFIDENCE)
    return float(slope), float(low), float(high)


def is_flat(samples: list[dict[str, Any]], name: str) -> bool:
    """True if no growth can be told from the scatter, or it is below 2 % of the level in an hour."""
    slope, low, _ = slope_per_h(samples, name)
    level = sum(float(each[name]) for each in samples) / len(samples)
    return low <= 0 or slope <= BOUND_SHARE_PER_H * level


def table(results: dict[str, Any]) -> str:
    """Markdown: what was asked, what became of it, and the table."""
    samples: list[dict[str, Any]] = results["samples"]
    asked: dict[str, int] = results["asked"]
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(asked.items(), key=lambda item: -item[1]))
    lines = [
        f"{sum(asked.values()):,} requests in {samples[-1]['at_s'] / 60:.0f} minutes ({kinds});"
        f" {len(results['failed'])} failed,"
        f" {results['failovers']:,} were answered by stable for the candidate; {results['policies']:,} policies,"
        f" {results['registrations']:,} versions registered and unregistered again;"
        f" {results['leak_reports']} reports of netty's leak detection (`paranoid`).",
        "",
        HEAD,
    ]
    for name, words in (JUDGED | TOLD).items():
        slope, low, high = slope_per_h(samples, name)
        verdict = "" if name in TOLD else "flat" if is_flat(samples, name) else "**grows**"
        first, last = samples[len(samples) // 4][name], samples[-1][name]
        lines.append(f"| {words} | {first:,.0f} | {last:,.0f} | {slope:+.1f} ({low:+.1f} to {high:+.1f}) | {verdict} |")
    return "\n".join(lines)
