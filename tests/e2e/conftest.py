"""Fixtures of the end-to-end tests: a whole product."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.product import Product


@pytest.fixture
def product(plugins_path: Path) -> Iterator[Product]:
    """A fresh TorchServe with gateway and embedded controller; nothing registered."""
    with Product(plugins_path) as running:
        yield running
