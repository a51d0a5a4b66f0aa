"""Bad input of every kind: a clear message, the right exit code, and nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.product import FAULTY_HANDLER, MODEL, Finished, Product


@pytest.fixture(scope="module")
def product(plugins_path: Path) -> Iterator[Product]:
    with Product(plugins_path) as running:
        running.live("1.0")
        running.package("2.0")
        yield running


@pytest.fixture(autouse=True)
def nothing_changes(product: Product) -> Iterator[None]:
    """Every test of this file leaves the server and the journal as they were."""

    def world() -> tuple[Any, ...]:
        return product.versions(), product.default_version(), product.policy(), product.cli("history", "--json").out

    before = world()
    yield
    assert world() == before


def assert_refused(done: Finished, code: int, *parts: str) -> None:
    assert done.code == code, f"{done.code}\n{done.out}\n{done.err}"
    for part in parts:
        assert part in done.err, done.err
    assert "Traceback" not in done.err + done.out


def test_an_unknown_field_is_named_with_its_path_and_the_nearest_match(product: Product) -> None:
    spec = product.write_spec({"steps": [{"weigth": 5, "bake": "1s"}]}, "typo.yaml")
    assert_refused(product.cli("start", MODEL, "2.0", "--spec", str(spec)), 2, "steps[0].weigth", "weight")
    assert_refused(product.cli("lint", str(spec)), 2, "steps[0].weigth", "weight")


def test_all_problems_of_a_spec_are_reported_at_once(product: Product) -> None:
    spec = product.write_spec({"steps": [{"weight": 500, "bake": "soon"}], "falover": "x"}, "many.yaml")
    assert_refused(product.cli("lint", str(spec)), 2, "steps[0].weight", "steps[0].bake", "failover")


def test_an_unknown_version_cannot_be_rolled_out(product: Product) -> None:
    spec = product.write_spec()
    assert_refused(product.cli("start", MODEL, "9.9", "--spec", str(spec)), 1, "9.9")


def test_the_stable_version_cannot_be_its_own_candidate(product: Product) -> None:
    spec = product.write_spec()
    assert_refused(product.cli("start", MODEL, "1.0", "--spec", str(spec)), 6, "1.0")


def test_missing_weights_cannot_be_packaged(product: Product) -> None:
    done = product.cli("package", MODEL, "3.0", "--handler", str(FAULTY_HANDLER), "--weights", "no/such/folder")
    assert_refused(done, 2, "no/such/folder")


def test_other_content_under_a_packaged_version_is_refused(product: Product) -> None:
    other = product.home / "other.yaml"
    other.write_text("handler: {note: other content}\n")
    done = product.cli("package", MODEL, "2.0", "--handler", str(FAULTY_HANDLER), "--config", str(other))
    assert_refused(done, 6, "2.0")


def test_a_corrupt_archive_is_noticed_before_it_is_registered(product: Product) -> None:
    product.package("bad")
    (archive,) = product.server.model_store.glob("*bad*.mar")
    whole = archive.read_bytes()
    archive.chmod(0o644)
    archive.write_bytes(whole[: len(whole) // 2] + b"\0" + whole[len(whole) // 2 + 1 :])
    try:
        done = product.cli("start", MODEL, "bad", "--spec", str(product.write_spec()))
        assert_refused(done, 1, "bad")
    finally:
        archive.write_bytes(whole)


def test_a_second_rollout_of_a_model_is_refused_while_one_runs(plugins_path: Path) -> None:
    with Product(plugins_path) as fresh:
        fresh.live("1.0")
        for version in ("2.0", "3.0"):
            fresh.package(version)
        fresh.start("2.0", {"steps": [{"weight": 5, "bake": "10m"}]})
        fresh.wait_for("weight 5", lambda seen: seen["weight_pct"] == 5)
        assert_refused(fresh.cli("start", MODEL, "3.0", "--spec", str(fresh.write_spec())), 6, "2.0")
        assert fresh.rollout()["candidate"] == "2.0"


def test_a_wrong_token_opens_nothing(product: Product) -> None:
    wrong = {"Authorization": "Bearer wrong"}
    gateway = product.server.url(product.server.ports.gateway, f"/predictions/{MODEL}")
    assert requests.post(gateway, data=b"x", headers=wrong, timeout=10).status_code == 400
    traffic = product.server.url(product.server.ports.management, "/traffic")
    assert requests.get(traffic, headers=wrong, timeout=10).status_code == 400
    controller = product.server.url(product.server.ports.controller, "/api/v1/rollouts")
    answer = requests.post(controller, json={"model": MODEL, "version": "2.0"}, headers=wrong, timeout=10)
    assert answer.status_code == 401
    assert answer.json()["message"]


def test_commands_without_a_rollout_to_act_on_say_so(product: Product) -> None:
    assert_refused(product.cli("abort", "nobody"), 1, "nobody")
    assert_refused(product.cli("promote", MODEL), 6, MODEL)


def test_an_unreachable_controller_is_exit_code_5(product: Product, tmp_path: Path) -> None:
    config = tmp_path / "config.properties"
    config.write_text("rollout_controller_address=http://127.0.0.1:9\n")
    assert_refused(product.cli("--ts-config", str(config), "status"), 5, "127.0.0.1:9")
