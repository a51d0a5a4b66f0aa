"""What the client promises about TorchServe 0.12, shown on a real one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from tests.archives import ECHO_HANDLER, write_archive
from tests.torchserve_process import TorchServeProcess, wait_until
from torchserve_rollout.errors import NotFoundError, RefusedError, RolloutError, ServerError, ServerUnreachable
from torchserve_rollout.model import ModelName, NodeName, VersionName
from torchserve_rollout.settings import Settings, load_settings
from torchserve_rollout.torchserve.fleet import Node, node_from_settings

ONE, TWO = VersionName("1.0"), VersionName("2.0")
RAISING_AT_LOAD = "def handle(data, context):\n    raise RuntimeError('broken weights')\n"
SLEEPING = "import time\ndef handle(data, context):\n    if data:\n        time.sleep(20)\n        return ['x']\n"


@pytest.fixture(scope="module")
def server() -> Iterator[TorchServeProcess]:
    with TorchServeProcess() as running:
        yield running


@pytest.fixture
def settings(server: TorchServeProcess) -> Settings:
    return load_settings(server.config_file, home=server.directory)


@pytest.fixture
def node(settings: Settings) -> Node:
    return node_from_settings(settings, NodeName("test"))


@pytest.fixture
def model(server: TorchServeProcess, request: pytest.FixtureRequest) -> ModelName:
    """A model name of this test's own; its archives 1.0 and 2.0 are in the model store."""
    name = ModelName(f"m{abs(hash(request.node.name)) % 10_000_000}")
    for version in (ONE, TWO):
        write_archive(server.model_store, name, version, ECHO_HANDLER)
    return name


def bring_up(node: Node, model: ModelName, version: VersionName) -> None:
    node.models.register(model, version, f"{model}-{version}.mar")
    node.models.scale(model, version, 1)
    wait_until(lambda: node.models.versions(model)[version].is_ready, 60, f"{model} {version} to be READY")


def test_an_unknown_model_has_no_versions_and_no_default(node: Node) -> None:
    assert node.models.versions(ModelName("nobody")) == {}
    assert node.models.default_version(ModelName("nobody")) is None


def test_a_version_is_registered_cold_and_serves_once_it_is_scaled(node: Node, model: ModelName) -> None:
    node.models.register(model, ONE, f"{model}-1.0.mar")

    cold = node.models.versions(model)[ONE]
    assert (cold.workers, cold.is_ready) == (0, False)

    bring_up(node, model, ONE)
    answer = node.models.predict(model, ONE, {"prompt": "hello"}, timeout_s=10)
    assert (answer.status, answer.text) == (200, "answer of 1.0")


def test_registering_twice_changes_nothing(node: Node, model: ModelName) -> None:
    bring_up(node, model, ONE)
    node.models.register(model, ONE, f"{model}-1.0.mar")
    assert node.models.versions(model)[ONE].is_ready


def test_every_model_is_listed_however_many_pages(node: Node, model: ModelName) -> None:
    node.models.register(model, ONE, f"{model}-1.0.mar")
    assert model in node.models.models()


def test_a_missing_archive_is_not_found_and_leaves_nothing_behind(node: Node, model: ModelName) -> None:
    with pytest.raises(NotFoundError, match="registering"):
        node.models.register(model, VersionName("9.9"), f"{model}-9.9.mar")
    assert node.models.versions(model) == {}


def test_an_archive_of_another_version_is_refused_and_removed(node: Node, model: ModelName) -> None:
    with pytest.raises(ServerError, match=r"as 1\.0 of .*, not as 2\.0"):
        node.models.register(model, TWO, f"{model}-1.0.mar")
    assert node.models.versions(model) == {}


def test_a_broken_archive_is_refused_and_leaves_nothing_behind(
    node: Node, model: ModelName, server: TorchServeProcess
) -> None:
    (server.model_store / f"{model}-3.0.mar").write_bytes(b"this is no zip file")
    with pytest.raises(RolloutError):
        node.models.register(model, VersionName("3.0"), f"{model}-3.0.mar")
    assert node.models.versions(model) == {}


def test_parallel_first_registrations_lose_no_version(node: Node, model: ModelName, server: TorchServeProcess) -> None:
    versions = [VersionName(f"{number}.0") for number in range(1, 9)]
    for version in versions:
        write_archive(server.model_store, model, version, ECHO_HANDLER)
    threads = [
        threading.Thread(target=node.models.register, args=(model, version, f"{model}-{version}.mar"))
        for version in versions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(node.models.versions(model)) == versions


def test_a_version_that_is_not_ready_never_becomes_the_default(node: Node, model: ModelName) -> None:
    bring_up(node, model, ONE)
    node.models.register(model, TWO, f"{model}-2.0.mar")

    with pytest.raises(RefusedError, match="would fail every request"):
        node.models.set_default(model, TWO)
    with pytest.raises(NotFoundError):
        node.models.set_default(model, VersionName("9.9"))
    assert node.models.default_version(model) == ONE

    bring_up(node, model, TWO)
    node.models.set_default(model, TWO)
    assert node.models.default_version(model) == TWO


def test_the_default_version_is_not_unregistered_and_a_gone_one_is_no_error(node: Node, model: ModelName) -> None:
    bring_up(node, model, ONE)
    node.models.register(model, TWO, f"{model}-2.0.mar")

    with pytest.raises(RefusedError, match="default"):
        node.models.unregister(model, ONE)
    node.models.unregister(model, TWO)
    node.models.unregister(model, TWO)
    assert list(node.models.versions(model)) == [ONE]


def test_no_answer_in_time_is_a_prediction_without_status(
    node: Node, model: ModelName, server: TorchServeProcess
) -> None:
    write_archive(server.model_store, model, "4.0", SLEEPING)
    bring_up(node, model, VersionName("4.0"))
    answer = node.models.predict(model, VersionName("4.0"), {"prompt": "x"}, timeout_s=0.5)
    assert (answer.status, answer.is_answered) == (0, False)


def test_a_key_renewed_by_somebody_else_is_read_again(node: Node, server: TorchServeProcess) -> None:
    assert node.models.is_alive()
    stale_file = (server.directory / "key_file.json").read_text()
    assert _renew(server, "management") == 200
    assert (server.directory / "key_file.json").read_text() != stale_file
    assert node.models.is_alive()


def test_a_refused_key_is_renewed_with_the_api_key(node: Node, server: TorchServeProcess) -> None:
    key_file = server.directory / "key_file.json"
    key_file.write_text(key_file.read_text().replace(server.tokens.management, "wrongkey"))
    assert node.models.is_alive()
    assert server.tokens.management != "wrongkey"


def test_without_a_key_file_the_message_says_where_it_was_sought(settings: Settings, tmp_path: Path) -> None:
    lost = node_from_settings(replace(settings, home=tmp_path))
    with pytest.raises(ServerUnreachable, match=r"key_file\.json"):
        lost.models.is_alive()


def test_keys_are_renewed_before_they_expire_and_users_keep_theirs() -> None:
    with TorchServeProcess(properties={"token_expiration_min": "0.15"}) as server:  # nine seconds
        node = node_from_settings(load_settings(server.config_file, home=server.directory))
        first, users_key = server.tokens.management, server.tokens.inference

        def is_renewed() -> bool:
            assert node.models.is_alive()
            return server.tokens.management != first

        begun = time.monotonic()
        wait_until(is_renewed, 9, "the management key to be renewed")
        assert time.monotonic() - begun < 8, "renewed at half its life, not at its end"
        assert server.tokens.inference == users_key


def test_a_server_that_is_away_is_unreachable_and_says_so(settings: Settings) -> None:
    away = node_from_settings(replace(settings, management_url="http://127.0.0.1:1", is_token_required=False))
    with pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:1"):
        away.models.versions(ModelName("any"))


def _renew(server: TorchServeProcess, kind: str) -> int:
    return requests.get(
        server.url(server.ports.management, "/token"),
        params={"type": kind},
        headers={"Authorization": f"Bearer {server.tokens.api}"},
        timeout=10,
    ).status_code
