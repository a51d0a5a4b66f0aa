"""A TorchServe started and stopped by its own command line."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.torchserve_process import TorchServeProcess, wait_until
from torchserve_rollout.errors import ServerError, UsageError
from torchserve_rollout.settings import load_settings
from torchserve_rollout.torchserve.fleet import node_from_settings
from torchserve_rollout.torchserve.process import LocalTorchServe


@pytest.fixture
def home() -> Iterator[Path]:
    """A home with a configuration on free ports; short, because sockets live below it."""
    with tempfile.TemporaryDirectory(prefix="ts-") as directory:
        path = Path(directory)
        layout = TorchServeProcess()
        try:
            store = path / "model-store"
            store.mkdir()
            properties = {**layout.properties, "model_store": str(store), "workflow_store": "/dev/null"}
            (path / "config.properties").write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        finally:
            layout.remove()
        yield path


def server_in(home: Path) -> LocalTorchServe:
    return LocalTorchServe(home, home / "config.properties", home / "torchserve.log", home / "t")


def test_it_starts_answers_and_leaves_no_process_behind(home: Path) -> None:
    server = server_in(home)
    server.start()
    try:
        node = node_from_settings(load_settings(home / "config.properties", home=home))
        assert server.is_running and node.models.is_alive()
        started = psutil.Process().children(recursive=True)
        assert any("java" in process.name() for process in started)
    finally:
        server.stop()
    assert not server.is_running
    wait_until(lambda: not any(process.is_running() for process in started), 10, "all of its processes to be gone")


def test_one_that_cannot_start_says_where_its_words_are(home: Path) -> None:
    with (home / "config.properties").open("a") as config:
        config.write("management_address=http://256.256.256.256:99999\n")
    server = server_in(home)
    with pytest.raises(ServerError, match="ended during start-up") as failed:
        server.start(deadline_s=60)
    assert str(home / "torchserve.log") in failed.value.hint
    assert not server.is_running


def test_a_missing_configuration_is_named(home: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.properties"):
        LocalTorchServe(home, home / "nothing.properties", home / "log", home / "t")
