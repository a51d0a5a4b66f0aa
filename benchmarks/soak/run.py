"""Mixed traffic with faults for an hour: does the JVM's memory stay where it is, and does every request get its answer?

    python -m benchmarks.soak.run [--minutes 60] [--per-second 40]
    python -m benchmarks.soak.run --minutes 0 --docs docs/benchmarks.md     only the table, from --json

To be run in the root of the repository, with its `dev` extra. Starts a TorchServe of its own. Exits 1 if a request
failed, a buffer leaked or something grew.
"""

from __future__ import annotations

import argparse
import itertools
import json
import runpy
import signal
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.archives import write_archive
from tests.torchserve_process import TorchServeProcess

from benchmarks.soak.memory import Sample, sample
from benchmarks.soak.table import JUDGED, is_flat, table
from benchmarks.soak.traffic import CANDIDATE, MODEL, Counts, User

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).with_name("results.json")
USERS = 8
STABLE, SHADOW, PASSING = "1.0", "3.0", "4.0"
RENEW_S, FLIP_S, REGISTER_S = 2.0, 20.0, 60.0
# Token lifetime beyond the soak's hour.
PROPERTIES = {"token_expiration_min": "1000"}
VMARGS = "-Xms512m -Xmx512m -XX:NativeMemoryTracking=summary -Dio.netty.leakDetection.level=paranoid"
POLICIES: tuple[dict[str, str | float], ...] = (
    {"weights": f"{CANDIDATE}:20", "mirror": f"{SHADOW}:20"},
    {"weights": f"{CANDIDATE}:50", "sticky": "header:x-user-id", "mirror": f"{SHADOW}:5"},
    {"weights": f"{CANDIDATE}:0.5", "cohort": "header:x-user-id=7"},
    {"weights": f"{CANDIDATE}:100", "max_requests": 500},
)


class Controller:
    """Renews the policy, puts another in force, registers and unregisters a version: each in its own rhythm."""

    def __init__(self, server: TorchServeProcess, passing: str) -> None:
        self._server = server
        self._passing = passing
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._steer, self._come_and_go)]
        self.policies = 0
        self.registrations = 0
        self.problems: list[str] = []

    def start(self) -> None:
        self._put(1, POLICIES[0])
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _steer(self) -> None:
        for epoch, policy in zip(itertools.count(2), itertools.cycle(POLICIES), strict=False):
            end_s = time.monotonic() + FLIP_S
            while time.monotonic() < end_s:
                self._put(epoch, policy)
                if self._stop.wait(RENEW_S):
                    return

    def _put(self, epoch: int, policy: dict[str, str | float]) -> None:
        path = f"/traffic/{MODEL}"
        answer = self._server.management(
            "PUT", path, epoch=epoch, stable=STABLE, lease_s=10, candidate_deadline_s=1, **policy
        )
        self._check("policy", answer.status_code, answer.text)
        self.policies = epoch

    def _come_and_go(self) -> None:
        while not self._stop.wait(REGISTER_S):
            answer = self._server.management("POST", "/models", url=self._passing, initial_workers=1)
            self._check("register", answer.status_code, answer.text)
            for _ in range(5):
                said = self._server.predict(MODEL, b"{}", PASSING)
                self._check("passing version", said.status_code, said.text)
            answer = self._server.management("DELETE", f"/models/{MODEL}/{PASSING}")
            self._check("unregister", answer.status_code, answer.text)
            self.registrations += 1

    def _check(self, what: str, status: int, text: str) -> None:
        if status != 200:
            self.problems.append(f"{what}: {status} {text}"[:300])


def main() -> int:
    """Run it, keep the samples, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="0: measure nothing")
    parser.add_argument("--per-second", type=float, default=40.0, help="requests of all users together")
    parser.add_argument("--sample-seconds", type=float, default=30.0)
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the samples are kept")
    parser.add_argument("--docs", type=Path, help="put the table into this page")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the server is stopped too
    if options.minutes:
        _soak(options)
    results = json.loads(options.json.read_text("utf-8"))
    text = table(results)
    sys.stdout.write(text + "\n")
    if options.docs:
        _into_page(options.docs, text)
    flat = all(is_flat(results["samples"], name) for name in JUDGED)
    return 0 if flat and not results["failed"] and not results["leak_reports"] else 1


def _soak(options: argparse.Namespace) -> None:
    with ExitStack() as stack:
        plugins = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runpy.run_path(str(ROOT / "plugins" / "gateway" / "build_jar.py"))["build_jar"](plugins / "gateway.jar")
        server = stack.enter_context(TorchServeProcess(plugins_path=plugins, vmargs=VMARGS, properties=PROPERTIES))
        source = Path(__file__).with_name("handler.py").read_text("utf-8")
        archives = {
            version: write_archive(server.model_store, MODEL, version, source)
            for version in (STABLE, CANDIDATE, SHADOW, PASSING)
        }
        for version in (STABLE, CANDIDATE, SHADOW):
            server.register(archives[version], workers=2 if version == STABLE else 1)
        counts, controller = Counts(), Controller(server, archives[PASSING])
        controller.start()
        users = [User(server, counts, seed, options.per_second / USERS) for seed in range(USERS)]
        for user in users:
            user.start()
        try:
            _watch(server, counts, controller, options)
        finally:
            for user in users:
                user.stop()
            controller.stop()
        _keep(options.json, _results(server, counts, controller, json.loads(options.json.read_text())["samples"]))


def _watch(server: TorchServeProcess, counts: Counts, controller: Controller, options: argparse.Namespace) -> None:
    began_s = time.monotonic()
    samples: list[Sample] = []
    while time.monotonic() < began_s + 60 * options.minutes:
        time.sleep(options.sample_seconds)
        samples.append(sample(server, time.monotonic() - began_s, counts.total(), len(counts.failed)))
        sys.stderr.write(f"{samples[-1]}\n")
        # Kept each time: an hour is long.
        _keep(options.json, _results(server, counts, controller, [asdict(each) for each in samples]))


def _results(
    server: TorchServeProcess, counts: Counts, controller: Controller, samples: list[dict[str, Any]]
) -> dict[str, Any]:
    with counts.lock:
        return {
            "asked": dict(counts.asked),
            "failed": [*counts.failed, *controller.problems],
            "failovers": counts.failovers,
            "policies": controller.policies,
            "registrations": controller.registrations,
            "leak_reports": server.log().count("LEAK:"),
            "samples": samples,
        }


def _keep(file: Path, results: dict[str, Any]) -> None:
    """One line for each sample, so that changes can be read."""
    rounded = [{k: round(v, 1) for k, v in each.items()} for each in results["samples"]]
    rest = json.dumps({key: value for key, value in results.items() if key != "samples"}, indent=1)
    lines = ",\n".join(map(json.dumps, rounded))
    file.write_text(f'{rest[:-2]},\n "samples": [\n{lines}\n]}}\n', "utf-8")


def _into_page(page: Path, text: str) -> None:
    head, rest = page.read_text("utf-8").split("<!-- soak -->")
    _, tail = rest.split("<!-- end soak -->")
    page.write_text(f"{head}<!-- soak -->\n{text}\n<!-- end soak -->{tail}", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
