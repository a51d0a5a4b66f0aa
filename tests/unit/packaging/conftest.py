"""Fixtures of the packaging tests."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.unit.packaging.sources import write_sources
from torchserve_rollout.packaging.store import Catalogue


class StoppedClock:
    """Always the same time."""

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)

    def monotonic_s(self) -> float:
        return 0.0


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    return write_sources(tmp_path / "sources")


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path / "model-store", clock=StoppedClock())
