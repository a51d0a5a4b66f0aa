"""Whatever the candidate does, users do not notice: 0 failed of 2,000 requests, at every weight."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.product import Product

REQUESTS = 2000


@pytest.fixture(scope="module")
def product(plugins_path: Path) -> Iterator[Product]:
    """One server for all faults; stable 1.0 is live."""
    with Product(plugins_path) as running:
        running.live("1.0")
        yield running


def spec_that_waits_at(weight: int) -> dict[str, Any]:
    """Reaches ``weight`` and stays there until an alarm fires; at 100 the candidate is already the default."""
    if weight == 100:
        return {"steps": [{"weight": 50, "bake": "0s"}], "final_bake": "10m"}
    return {"steps": [{"weight": weight, "bake": "10m"}]}


@pytest.mark.parametrize("weight", [5, 50, 100])
@pytest.mark.parametrize(
    ("fault", "arguments"),
    [("raise", {}), ("exit", {}), ("hang", {}), ("slow", {"seconds": 3.0})],
    ids=["raises", "exits", "hangs", "answers slowly"],
)
def test_no_user_request_fails_while_a_bad_candidate_is_taken_back(
    product: Product, fault: str, arguments: dict[str, float], weight: int
) -> None:
    version = f"2-{fault}-{weight}"
    product.package(version)
    with product.traffic(100_000, users=4) as warm_up:
        product.start(version, spec_that_waits_at(weight))
        phase = "BAKING" if weight == 100 else "PROGRESSING"
        product.wait_for(f"weight {weight}", lambda seen: seen["weight_pct"] == weight and seen["phase"] == phase)
    assert not warm_up.log.failed

    traffic = product.traffic(REQUESTS)
    product.turn(version, fault, arguments=arguments)
    log = traffic.start().finish()
    ended = product.wait_for_end()

    assert log.failed == []
    assert len(log.answers) == REQUESTS
    assert ended["phase"] == ("ROLLED_BACK" if weight == 100 else "ABORTED")
    assert ended["reason"]
    assert product.default_version() == "1.0"
    assert version not in product.versions()
    assert product.policy() is None
