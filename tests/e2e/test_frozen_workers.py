"""Workers that read nothing any more: TorchServe's writes to them block, and must not keep it from serving others."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.archives import write_archive
from tests.torchserve_process import TorchServeProcess

MODEL = "frozen"
HANDLER = """
def handle(data, context):
    return None if data is None else ["answer of " + context.manifest["model"]["modelVersion"]] * len(data)
"""
# What a machine with three cores gives a JVM: two threads that write to workers, as many as the candidate has workers.
CORES = 3
# More than the socket to a worker holds.
LARGE = b"x" * 3_000_000
USERS = 8


@pytest.fixture
def server(plugins_path: Path) -> Iterator[TorchServeProcess]:
    vmargs = f"-Xmx768m -XX:ActiveProcessorCount={CORES}"
    with TorchServeProcess(plugins_path=plugins_path, vmargs=vmargs) as running:
        for version, workers in (("1.0", 1), ("2.0", CORES - 1)):
            running.register(write_archive(running.model_store, MODEL, version, HANDLER), workers=workers)
        yield running


@pytest.fixture
def frozen(server: TorchServeProcess) -> Iterator[None]:
    """All workers of 2.0 stopped."""
    workers = server.worker_pids(MODEL, "2.0")
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    yield
    for pid in workers:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.usefixtures("frozen")
def test_a_candidate_whose_workers_are_frozen_costs_no_request_however_large(server: TorchServeProcess) -> None:
    policy = server.management(
        *("PUT", f"/traffic/{MODEL}"), epoch=1, stable="1.0", weights="2.0:50", lease_s=600, candidate_deadline_s=1,
        breaker_consecutive=0, breaker_window_failures=0, replay_budget=100,
    )  # fmt: skip
    assert policy.status_code == 200, policy.text

    def ask(_: int) -> requests.Response:
        return server.predict(MODEL, LARGE, timeout_s=60)

    with ThreadPoolExecutor(USERS) as users:
        answers = list(users.map(ask, range(5 * USERS)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, "answer of 1.0")}
    assert any("x-rollout-failover" in answer.headers for answer in answers), "the candidate must have been asked"
