"""A home with a controller's API that answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """The controller answers; its rollouts are the test's to move."""
    made = Home(tmp_path)
    made.serve()
    yield made
    made.stop()
