"""What the JVM holds, seen from outside."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from tests.torchserve_process import TorchServeProcess

OURS = "org.torchserve.rollout."
OUR_SERIES = "ts_rollout_"
TOTAL = re.compile(r"^Total +\d+ +(\d+)", re.MULTILINE)
CLASS = re.compile(r"^ *\d+: +(\d+) +\d+ +(\S+)", re.MULTILINE)
# Where the JVM counts what is allocated beside the heap by Java code: netty's direct buffers above all.
DIRECT = re.compile(r"Other \(reserved=\d+KB, committed=(\d+)KB\)")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. `heap_mib` is what is left after a full collection; `direct_mib` are buffers beside the heap."""

    at_s: float
    heap_mib: float
    direct_mib: float
    rss_mib: float
    our_objects: int
    threads: int
    files: int
    series: int
    requests: int
    failed: int


def sample(server: TorchServeProcess, at_s: float, requests: int, failed: int) -> Sample:
    """Look at the server's JVM now; `requests` and `failed` are the users' own counts."""
    jvm = server.jvm
    histogram = _jcmd(jvm.pid, "GC.class_histogram")
    total = TOTAL.search(histogram)
    direct = DIRECT.search(_jcmd(jvm.pid, "VM.native_memory", "summary"))
    if total is None or direct is None:
        raise RuntimeError("jcmd told nothing of use: is it the JDK of the server's JVM, with NativeMemoryTracking on?")
    return Sample(
        at_s=at_s,
        heap_mib=int(total.group(1)) / 2**20,
        direct_mib=int(direct.group(1)) / 2**10,
        rss_mib=jvm.memory_info().rss / 2**20,
        our_objects=sum(int(count) for count, name in CLASS.findall(histogram) if name.startswith(OURS)),
        threads=jvm.num_threads(),
        files=jvm.num_fds(),
        # TorchServe itself adds one for each worker it ever started (WorkerLoadTime).
        series=sum(line.startswith(OUR_SERIES) for line in server.metrics().splitlines()),
        requests=requests,
        failed=failed,
    )


def _jcmd(pid: int, *command: str) -> str:
    return subprocess.run(["jcmd", str(pid), *command], capture_output=True, text=True, check=True).stdout
