"""Fixtures of the end-to-end tests: the plugin jar once, a whole product per test module."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.product import ROOT, Product


@pytest.fixture(scope="session")
def plugins_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the gateway's jar, built from this checkout."""
    folder = tmp_path_factory.mktemp("plugins")
    build_jar = runpy.run_path(str(ROOT / "plugins" / "gateway" / "build_jar.py"))["build_jar"]
    build_jar(folder / "torchserve-rollout-gateway.jar")
    return folder


@pytest.fixture
def product(plugins_path: Path) -> Iterator[Product]:
    """A fresh TorchServe with gateway and embedded controller; nothing registered."""
    with Product(plugins_path) as running:
        yield running
