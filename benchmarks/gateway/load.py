"""Load from wrk, and the processor time of what answers it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.gateway.threads import cpu_s_by_kind

SCRIPT = Path(__file__).with_name("post.lua")
RESULT = re.compile(
    r"^RESULT requests=(\d+) duration_us=(\d+) p50_us=(\d+) p99_us=(\d+) failed=(\d+)$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Workload:
    """What is asked: `connections` clients, each with one request under way, over connections that stay open."""

    name: str
    model: str
    body_bytes: int
    connections: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One subject under one workload for some seconds.

    Processor time is of all its processes, without wrk's own; `cpu_us` is that of one request by kind of thread.
    """

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_s_per_1000: float
    failed: int
    cpu_us: dict[str, float]


def measure(
    url: str, workload: Workload, seconds: int, processes: Iterable[psutil.Process], candidate_pct: float = 0
) -> Measured:
    """Load `url` for `seconds`; `processes` are those that answer, workers and proxy included.

    With `candidate_pct` wrk itself splits the requests over the paths of two versions.
    """
    watched = list(processes)
    before_s = cpu_s_by_kind(watched)
    finished = subprocess.run(
        ["wrk", "-t1", f"-c{workload.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(SCRIPT), url],
        env=os.environ | {"BODY_BYTES": str(workload.body_bytes), "CANDIDATE_PCT": str(candidate_pct)},
        capture_output=True,
        text=True,
        check=False,
    )
    after_s = cpu_s_by_kind(watched)
    used_s = {kind: seconds - before_s.get(kind, 0.0) for kind, seconds in after_s.items()}
    told = RESULT.search(finished.stdout)
    if told is None:
        raise RuntimeError(f"wrk said nothing of use about {url}:\n{finished.stdout}{finished.stderr}")
    requests, duration_us, p50_us, p99_us, failed = map(int, told.groups())
    if not requests:
        raise RuntimeError(f"{url} answered nothing in {seconds} s")
    return Measured(
        requests_per_s=requests / (duration_us / 1e6),
        p50_ms=p50_us / 1000,
        p99_ms=p99_us / 1000,
        cpu_s_per_1000=sum(used_s.values()) / requests * 1000,
        failed=failed,
        cpu_us={kind: round(seconds / requests * 1e6, 2) for kind, seconds in used_s.items()},
    )
