"""The fifteen ways TorchServe 0.12 breaks a naive controller, each survived. One test a pitfall, named after it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from tests.archives import write_archive
from tests.e2e.product import FAULTY_HANDLER, MODEL, Product
from tests.torchserve_process import wait_until
from torchserve_rollout.errors import RefusedError
from torchserve_rollout.model import ModelName, VersionName
from torchserve_rollout.settings import load_settings
from torchserve_rollout.torchserve.fleet import Node, node_from_settings

ONE_STEP = {"steps": [{"weight": 50, "bake": "10m"}]}


@pytest.fixture(scope="module")
def product(plugins_path: Path) -> Iterator[Product]:
    with Product(plugins_path) as running:
        running.live("1.0")
        yield running


@pytest.fixture
def node(product: Product) -> Node:
    """The clients the controller uses, pointed at the test's server."""
    return node_from_settings(load_settings(product.server.config_file, home=product.home))


@pytest.fixture
def baking(product: Product) -> Iterator[str]:
    """A candidate at 50 %, aborted after the test."""
    version = f"c{time.time_ns() % 10**9}"
    product.package(version)
    product.start(version, ONE_STEP)
    wait_until(
        lambda: (product.policy() or {}).get("effective_weights", {}).get(version) == 50, 30, "the gateway to split"
    )
    yield version
    if not product.rollout()["is_terminal"]:
        product.cli("abort", MODEL)
    product.wait_for_end()


def test_01_traffic_that_names_no_version_is_still_counted_per_version(product: Product, baking: str) -> None:
    with product.traffic(200) as traffic:
        log = traffic.finish()
    for version, role in (("1.0", "stable"), (baking, "candidate")):
        counted = product.server.metric(
            "ts_rollout_attempts_total", model=MODEL, version=version, role=role, outcome="ok"
        )
        assert counted == log.versions()[version]


@pytest.mark.parametrize("load", ["runtime_error", "memory_error", "exit"])
def test_02_and_03_a_version_that_cannot_load_is_not_left_registered(product: Product, load: str) -> None:
    version = f"loads-with-{load}"
    product.package(version, load=load)
    product.start(version, {**ONE_STEP, "prepare": {"timeout": "8s"}})
    ended = product.wait_for_end()
    assert ended["phase"] == "ABORTED"
    assert version not in product.versions()


def test_04_requests_to_a_version_that_never_loads_do_not_hang(product: Product, node: Node) -> None:
    product.package("unloadable", load="runtime_error")
    node.models.register(ModelName(MODEL), VersionName("unloadable"), f"{MODEL}-unloadable.mar")
    try:
        node.models.scale(ModelName(MODEL), VersionName("unloadable"), 1)
        answer = product.server.management(
            "PUT", f"/traffic/{MODEL}", epoch=10_000, stable="1.0", weights="unloadable:100",
            candidate_deadline_s=1, breaker_consecutive=0, breaker_window_failures=0, lease_s=60,
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        with product.traffic(20) as traffic:
            log = traffic.finish()
        assert log.failed == []
        assert log.failovers == 20
    finally:
        product.server.management("DELETE", f"/traffic/{MODEL}", epoch=10_001)
        node.models.unregister(ModelName(MODEL), VersionName("unloadable"))


def test_05_a_version_is_drained_before_it_is_unregistered(product: Product, baking: str) -> None:
    product.turn(baking, "slow", arguments={"seconds": 0.8})
    traffic = product.traffic(16, users=16).start()
    wait_until(lambda: (product.policy() or {})["in_flight"].get(baking, 0) > 0, 10, "requests on the candidate")
    # Not by command: until a process has started, the breaker may have ended the rollout of so slow a candidate.
    assert product.server.management("PUT", f"/rollouts/{MODEL}", action="abort").status_code == 200
    log = traffic.finish()
    product.wait_for_end()
    assert log.failed == []
    assert log.versions()[baking] > 0, "requests under way on the candidate were answered by it"


def test_06_a_version_that_cannot_serve_never_becomes_the_default(product: Product, node: Node) -> None:
    product.package("cold")
    model, version = ModelName(MODEL), VersionName("cold")
    node.models.register(model, version, f"{MODEL}-cold.mar")
    try:
        with pytest.raises(RefusedError, match="ready workers"):
            node.models.set_default(model, version)
        assert product.default_version() == "1.0"
    finally:
        node.models.unregister(model, version)


def test_07_a_dead_candidate_is_noticed_although_ping_says_healthy(product: Product, baking: str) -> None:
    product.turn(baking, "exit")
    with product.traffic(200) as traffic:
        log = traffic.finish()
        assert product.server.ping().status_code == 200
    assert product.wait_for_end()["phase"] == "ABORTED"
    assert log.failed == []


def test_08_users_are_served_while_a_big_archive_is_registered(product: Product, node: Node, tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    with big.open("wb") as file:
        for _ in range(200):
            file.write(bytes(1024 * 1024))
    done = product.cli("package", MODEL, "big", "--handler", str(FAULTY_HANDLER), "--extra-file", str(big))
    assert done.code == 0, done.err
    registering = threading.Thread(
        target=node.models.register, args=(ModelName(MODEL), VersionName("big"), f"{MODEL}-big.mar")
    )
    with product.traffic(100_000, users=8) as traffic:
        began = time.monotonic()
        registering.start()
        registering.join()
        took_s = time.monotonic() - began
    node.models.unregister(ModelName(MODEL), VersionName("big"))
    slowest_s = max(answer.latency_s for answer in traffic.log.answers)
    assert traffic.log.failed == []
    # On TorchServe's own event loops the connections of one loop would wait for the whole registration.
    assert slowest_s < max(1.0, took_s / 2), f"slowest answer {slowest_s:.2f} s, registration {took_s:.2f} s"


def test_09_an_archives_timeouts_are_stated_and_it_registers_cold(product: Product, node: Node) -> None:
    config = product.home / "timeouts.yaml"
    config.write_text(yaml.safe_dump({"responseTimeout": 77, "startupTimeout": 88}))
    done = product.cli("package", MODEL, "timed", "--handler", str(FAULTY_HANDLER), "--config", str(config))
    assert done.code == 0, done.err
    node.models.register(ModelName(MODEL), VersionName("timed"), f"{MODEL}-timed.mar")
    (shown,) = product.server.management("GET", f"/models/{MODEL}/timed").json()
    node.models.unregister(ModelName(MODEL), VersionName("timed"))
    assert (shown["responseTimeout"], shown["startupTimeout"]) == (77, 88)
    assert (shown["minWorkers"], shown["workers"]) == (0, [])


def test_10_registration_keeps_batching_intact(product: Product) -> None:
    (shown,) = product.server.management("GET", f"/models/{MODEL}/1.0").json()
    assert shown["maxBatchDelay"] >= 0
    assert shown["batchSize"] >= 1


def test_11_and_12_a_restart_restores_the_default_even_with_an_archive_missing(plugins_path: Path) -> None:
    with Product(plugins_path) as fresh:
        for model in (MODEL, "other"):
            fresh.live("1.0", model)
        fresh.package("2.0")
        with fresh.traffic(100_000, users=4):
            fresh.start("2.0", {"final_bake": "0s"})
            assert fresh.wait_for_end()["phase"] == "SUCCEEDED"
        (fresh.server.model_store / "other-1.0.mar").unlink()

        fresh.server.stop()
        fresh.server.start()
        fresh.wait_for_controller()

        wait_until(lambda: fresh.default_version() == "2.0", 60, "the default to be the promoted version")
        wait_until(lambda: fresh.server.predict(MODEL).status_code == 200, 60, "an answer")
        assert fresh.default_version("other") is None


def test_13_a_request_body_on_the_management_plugin_does_no_harm(product: Product) -> None:
    for size in (0, 10, 100_000):
        for _ in range(10):
            answer = requests.get(
                product.server.url(product.server.ports.management, f"/rollouts/{MODEL}"),
                headers=product.server.management_headers(),
                data=b"x" * size,
                timeout=10,
            )
            assert answer.status_code == 200
            assert answer.json()["model"] == MODEL


def test_14_no_version_is_lost_when_a_new_models_versions_register_at_once(product: Product, node: Node) -> None:
    model = ModelName("crowd")
    versions = [f"{number}.0" for number in range(1, 9)]
    for version in versions:
        product.package(version, model=model)
    threads = [
        threading.Thread(target=node.models.register, args=(model, VersionName(each), f"{model}-{each}.mar"))
        for each in versions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert product.versions(model) == set(versions)


ASYNC_HANDLER = '''
"""A handler whose worker talks to TorchServe asynchronously, as LLM engines do. It dies on its first request."""
import os

from ts.handler_utils.utils import send_intermediate_predict_response
from ts.torch_handler.base_handler import BaseHandler


class Dying(BaseHandler):
    def initialize(self, context):
        self.initialized = True

    async def handle(self, data, context):
        os._exit(1)
'''


def test_15_users_of_an_async_candidate_whose_worker_dies_get_stables_answer(product: Product) -> None:
    config = "asyncCommunication: true\nbatchSize: 4\nresponseTimeout: 60\nstartupTimeout: 60\n"
    name = write_archive(product.server.model_store, MODEL, "async", ASYNC_HANDLER, config)
    assert product.server.management("POST", "/models", url=name, initial_workers=1).status_code == 200
    try:
        answer = product.server.management(
            "PUT", f"/traffic/{MODEL}", epoch=20_000, stable="1.0", weights="async:100",
            candidate_deadline_s=1, breaker_consecutive=3, lease_s=60,
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        with product.traffic(20) as traffic:
            log = traffic.finish()
        assert log.failed == []
        assert log.versions()["1.0"] == 20
    finally:
        product.server.management("DELETE", f"/traffic/{MODEL}", epoch=20_001)
        product.server.management("DELETE", f"/models/{MODEL}/async")
