"""Processor time by what used it: the kinds of threads of TorchServe, the gateway, the workers and the proxies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

WRITERS = "threads that write to workers"
"""Those of the JVM's common pool. With two cores or fewer the JVM starts a new thread for each task instead."""

PYTHON = "Python workers"
OTHER = "other threads of the JVM"
KINDS = {
    "epollEventLoop": "network threads",
    "W-": "threads that collect batches",
    "ForkJoinPool": WRITERS,
    "rollout-": "the gateway's housekeeping",
    "C1 Compiler": "JIT compiler",
    "C2 Compiler": "JIT compiler",
    "GC Thread": "garbage collector",
    "G1 ": "garbage collector",
}
"""By how the names of the JVM's threads begin."""

NANOS_PER_S = 1e9


def cpu_s_by_kind(processes: Iterable[psutil.Process]) -> dict[str, float]:
    """User and system time used so far, in seconds, by kind of thread; threads that have ended were `WRITERS`."""
    used_s: defaultdict[str, float] = defaultdict(float)
    for process in processes:
        with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            times = process.cpu_times()
            name = process.name()
            if name != "java":
                used_s[PYTHON if name.startswith("python") else name] += times.user + times.system
                continue
            used_s[WRITERS] += times.user + times.system
            for kind, living_s in _living_threads_s(process.pid).items():
                used_s[kind] += living_s
                used_s[WRITERS] -= living_s
    return used_s


def _living_threads_s(pid: int) -> dict[str, float]:
    used_s: defaultdict[str, float] = defaultdict(float)
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            nanos = int((task / "schedstat").read_text().split()[0])
            used_s[kind_of((task / "comm").read_text())] += nanos / NANOS_PER_S
    return used_s


def kind_of(thread: str) -> str:
    """What a thread of the JVM does, by its name."""
    return next((words for begin, words in KINDS.items() if thread.startswith(begin)), OTHER)
