"""A shadow on a real TorchServe: it gets copies of what users ask, and is judged on what both versions made of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.product import MODEL, Product

SHADOW: dict[str, Any] = {
    "strategy": "shadow",
    "mirror": {"share": "40%"},
    "steps": [{"weight": 0, "bake": "1s", "min_requests": 60}],
    "final_bake": "1s",
    "alarms": [
        {"name": "pairs", "signal": "mirror_error_rate", "worse_than_stable_by": 0.02},
        {"name": "errors", "signal": "error_rate", "worse_than_stable_by": 0.05, "min_samples": 10},
    ],
}


@pytest.fixture(scope="module")
def product(plugins_path: Path) -> Iterator[Product]:
    with Product(plugins_path) as running:
        running.live("1.0")
        yield running


def start_and_prepare(product: Product, version: str, changes: dict[str, Any]) -> None:
    """Start a shadow; the policy with its copies is in force afterwards."""
    product.start(version, SHADOW | changes)
    seen = product.wait_for("copies", lambda view: view["phase"] == "PROGRESSING" and view["step_since"] is not None)
    assert seen["weight_pct"] == 0


def test_a_shadow_that_fails_on_copies_is_stopped_before_any_user_was_sent_to_it(product: Product) -> None:
    product.package("bad")
    product.turn("bad", "raise", arguments={"share": 0.3})
    start_and_prepare(product, "bad", {"steps": [{"weight": 0, "bake": "10m"}]})
    with product.traffic(100_000, users=2) as traffic:
        ended = product.wait_for_end()
    pairs = product.cli("pairs", "--json").json()

    assert (ended["phase"], ended["ended_by"]) == ("ABORTED", "alarm:pairs"), product.story()
    assert traffic.log.failed == []
    assert set(traffic.log.versions()) == {"1.0"}
    for role in ("candidate", "explicit", "failover"):
        assert product.server.metric("ts_rollout_attempts_total", model=MODEL, version="bad", role=role) == 0
    assert product.default_version() == "1.0" and product.policy() is None

    (deciding,) = (alarm for alarm in ended["alarms"] if alarm["name"] == "pairs")
    assert deciding["sentence"] in ended["reason"] and "pairs); stable has 0 %" in deciding["sentence"]
    assert pairs["seen"] >= deciding["candidate_n"] >= 20
    odd = [pair for pair in pairs["pairs"] if pair["is_odd"]]
    assert odd and {(pair["stable"]["outcome"], pair["candidate"]["outcome"]) for pair in odd} == {
        ("ok", "model_error")
    }
    assert {pair["stable"]["version"] for pair in pairs["pairs"]} == {"1.0"}
    assert all(pair[side]["body"] is None for pair in pairs["pairs"] for side in ("stable", "candidate"))


def test_a_good_shadow_is_promoted_and_its_answers_can_be_read(product: Product) -> None:
    product.package("good")
    start_and_prepare(product, "good", {"mirror": {"share": "40%", "keep_bodies": 3}})
    with product.traffic(100_000, users=2) as traffic:
        # The pairs go on being counted, each once, by the controller that comes after this one.
        product.controller().kill()
        product.wait_for_controller()
        ended = product.wait_for_end()
    pairs = product.cli("pairs", "--json").json()

    assert ended["phase"] == "SUCCEEDED", product.story()
    assert traffic.log.failed == []
    assert product.default_version() == "good"
    assert pairs["seen"] >= 60
    said = [(pair["stable"]["body"], pair["candidate"]["body"]) for pair in pairs["pairs"] if pair["candidate"]["body"]]
    assert len(said) == 3
    assert all('"version": "1.0"' in stable and '"version": "good"' in candidate for stable, candidate in said)
    assert product.cli("replay").code == 0
