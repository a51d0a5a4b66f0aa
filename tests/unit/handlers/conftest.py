"""Models of the handler tests, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.handlers.worker import Worker, write_tiny_model


@pytest.fixture(scope="session")
def model_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def chat_model_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny-chat"), has_template=True)


@pytest.fixture
def worker(model_directory: Path) -> Worker:
    return Worker(model_directory)
