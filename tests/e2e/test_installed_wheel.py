"""The wheel works outside the repository: it carries jar, handlers and configuration; TorchServe starts with them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.e2e.product import FAULTY_HANDLER, ROOT
from tests.torchserve_process import Ports, wait_until

SHIPPED_PORTS = {
    "127.0.0.1:8080": "gateway",
    "127.0.0.1:8085": "inference",
    "127.0.0.1:8081": "management",
    "127.0.0.1:8082": "metrics",
    "127.0.0.1:8083": "controller",
    "127.0.0.1:7070": "grpc_gateway",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the tracked files, so that nothing lying about gets in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = ["pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(out), str(source)]
    subprocess.run([sys.executable, "-m", *build], check=True, timeout=120)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel installed into a directory of its own, which shadows the checkout."""
    site = tmp_path_factory.mktemp("site")
    install = ["pip", "install", "--no-deps", "--quiet", "--target", str(site), str(wheel)]
    subprocess.run([sys.executable, "-m", *install], check=True, timeout=120)
    return site


def run(site: Path, cwd: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{key: value for key, value in os.environ.items() if key not in ("TS_ROLLOUT_CONFIG", "TS_CONFIG_FILE")},
        "PYTHONPATH": str(site),
        "TMPDIR": str(cwd / "t"),
        "TEMP": str(cwd / "t"),
    }
    # Into files: a server that a command leaves running would keep pipes open.
    with (cwd / "out.txt").open("w+") as out, (cwd / "err.txt").open("w+") as err:
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=cwd, env=environment, stdout=out, stderr=err, timeout=120
        )
    return subprocess.CompletedProcess(
        done.args, done.returncode, (cwd / "out.txt").read_text(), (cwd / "err.txt").read_text()
    )


def test_the_wheel_carries_jar_handlers_and_configuration(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "plugins/torchserve-rollout-gateway.jar",
        "handlers/text_generation.py",
        "config/config.properties",
        "config/metrics.yaml",
        "config/rollouts/assistant.yaml",
    ):
        assert f"torchserve_rollout/bundle/{name}" in names
    assert "torchserve_rollout/py.typed" in names


@pytest.fixture
def home(site: Path) -> Iterator[Path]:
    """``ts-rollout init`` in an empty directory, with free ports in place of the shipped ones."""
    # Short: TorchServe's sockets live below it.
    with tempfile.TemporaryDirectory(prefix="ts-") as directory:
        home = Path(directory)
        (home / "t").mkdir()
        done = run(site, home, "torchserve_rollout", "init", ".")
        assert done.returncode == 0, done.stderr
        yield home
        run(site, home, "ts.model_server", "--stop")


def use_free_ports(home: Path) -> Ports:
    ports, config = Ports.free(), home / "config" / "config.properties"
    text = config.read_text()
    for shipped, name in SHIPPED_PORTS.items():
        text = text.replace(shipped, f"127.0.0.1:{getattr(ports, name)}")
    text = text.replace("_port=7075", f"_port={ports.grpc_inference}")
    config.write_text(text.replace("_port=7071", f"_port={ports.grpc_management}"))
    return ports


def test_one_torchserve_command_brings_up_gateway_metrics_and_controller(site: Path, home: Path) -> None:
    ports = use_free_ports(home)
    started = run(site, home, "ts.model_server", "--start", "--ts-config", "config/config.properties")
    assert started.returncode == 0, started.stderr

    def doctor_is_content() -> bool:
        return run(site, home, "torchserve_rollout", "doctor").returncode == 0

    wait_until(doctor_is_content, 60, "ts-rollout doctor to find nothing wrong")
    assert requests.get(f"http://127.0.0.1:{ports.metrics}/metrics", timeout=10).status_code == 200
    assert requests.get(f"http://127.0.0.1:{ports.controller}/api/v1/health", timeout=10).status_code == 200

    package = ("package", "null", "1.0", "--handler", str(FAULTY_HANDLER))
    for command in (package, ("start", "null", "1.0", "--watch")):
        done = run(site, home, "torchserve_rollout", *command)
        assert done.returncode == 0, done.stdout + done.stderr
