"""The gateway's Java tests, and that its jar is built the same way every time."""

from __future__ import annotations

import importlib.util
import re
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

LINES_READ_IN_AN_HOUR = 3_000
SAYS_NOTHING = re.compile(r"\s*(package .*|import .*|//.*|/?\*.*|[{})\];,]*)")
"""Lines a reader passes over: packages, imports, comments, lone braces and blank ones."""

BUILD_SCRIPT = Path(__file__).resolve().parents[2] / "plugins" / "gateway" / "build_jar.py"


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gateway_build_jar", BUILD_SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_java_tests_pass_and_no_network_buffer_leaks(build: ModuleType) -> None:
    finished = build.run_tests()
    output = finished.stdout + finished.stderr
    assert finished.returncode == 0, output
    assert "OK (" in output
    assert "LEAK" not in output


def test_the_same_sources_give_the_same_jar_with_the_plugin_declared(build: ModuleType, tmp_path: Path) -> None:
    first = build.build_jar(tmp_path / "first" / "gateway.jar")
    second = build.build_jar(tmp_path / "second" / "gateway.jar")
    assert first.read_bytes() == second.read_bytes()
    service = "META-INF/services/org.pytorch.serve.servingsdk.ModelServerEndpoint"
    with zipfile.ZipFile(first) as jar:
        for endpoint in jar.read(service).decode().split():
            assert f"{endpoint.replace('.', '/')}.class" in jar.namelist()


def test_the_gateway_stays_small_enough_to_be_read_in_an_hour() -> None:
    sources = (BUILD_SCRIPT.parent / "src" / "main" / "java").rglob("*.java")
    lines = [line for source in sources for line in source.read_text("utf-8").splitlines()]
    assert 1_000 < sum(not SAYS_NOTHING.fullmatch(line) for line in lines) <= LINES_READ_IN_AN_HOUR


def test_without_a_jdk_the_error_names_the_package_to_install(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(build.BuildError, match="openjdk-17-jdk-headless"):
        build.build_jar(tmp_path / "gateway.jar")
