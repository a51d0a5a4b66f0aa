"""Fixtures of all tests on a real TorchServe: the gateway's jar, built once. How Hypothesis runs: by no clock."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from hypothesis import settings

# A machine that is busy with something else is no failure.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
BUILD_SCRIPT = Path(__file__).resolve().parents[1] / "plugins" / "gateway" / "build_jar.py"


@pytest.fixture(scope="session")
def plugins_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the gateway's jar, built from this checkout."""
    folder = tmp_path_factory.mktemp("plugins")
    runpy.run_path(str(BUILD_SCRIPT))["build_jar"](folder / "torchserve-rollout-gateway.jar")
    return folder
