"""What a rollout does to a real TorchServe when all goes well, and who may send it back."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.product import MODEL, ROOT, Product

SLOW_STEPS = {"steps": [{"weight": 50, "bake": "10m"}]}


@pytest.fixture(scope="module")
def product(plugins_path: Path) -> Iterator[Product]:
    with Product(plugins_path) as running:
        running.live("1.0")
        yield running


def test_a_good_candidate_is_promoted_and_becomes_the_stable_version(product: Product) -> None:
    product.package("2.0")
    with product.traffic(100_000, users=4) as traffic:
        product.start("2.0")
        ended = product.wait_for_end()
    log = traffic.log

    assert ended["phase"] == "SUCCEEDED", ended["reason"]
    assert log.failed == []
    assert set(log.versions()) == {"1.0", "2.0"}
    assert product.default_version() == "2.0"
    assert product.policy() is None
    assert product.versions() >= {"1.0", "2.0"}, "the prior version stays loaded"
    assert product.cli("watch", MODEL, "--timeout", "5s").code == 0


@pytest.mark.parametrize(
    ("weight", "fault", "arguments"),
    [(5, "raise", {}), (50, "slow", {"seconds": 3.0}), (100, "hang", {})],
    ids=["raises at 5 %", "answers slowly at 50 %", "hangs when it is the default already"],
)
def test_a_candidate_that_goes_bad_is_taken_back_by_itself_and_no_user_notices(
    product: Product, weight: int, fault: str, arguments: dict[str, float]
) -> None:
    stable = product.default_version()
    version = f"bad-{weight}"
    product.package(version)
    waiting: dict[str, Any] = {"steps": [{"weight": weight, "bake": "10m"}]}
    if weight == 100:
        waiting = {"steps": [{"weight": 50, "bake": "0s"}], "final_bake": "10m"}
    with product.traffic(100_000) as traffic:
        product.start(version, waiting)
        phase = "BAKING" if weight == 100 else "PROGRESSING"
        product.wait_for(f"weight {weight}", lambda seen: seen["weight_pct"] == weight and seen["phase"] == phase)
        product.turn(version, fault, arguments=arguments)
        ended = product.wait_for_end()

    assert traffic.log.failed == []
    assert ended["phase"] == ("ROLLED_BACK" if weight == 100 else "ABORTED")
    assert ended["reason"]
    assert product.default_version() == stable
    assert version not in product.versions()
    assert product.policy() is None


def abort_with_the_cli(product: Product) -> None:
    assert product.cli("abort", MODEL, "--reason", "on a hunch").code == 0


def abort_with_the_management_api(product: Product) -> None:
    answer = product.server.management("PUT", f"/rollouts/{MODEL}", action="abort", reason="on a hunch")
    assert answer.status_code == 200, answer.text


def roll_back_with_the_runbook(product: Product) -> None:
    done = subprocess.run(
        ["bash", str(ROOT / "scripts" / "runbook-rollback.sh"), MODEL, "--reason", "on a hunch"],
        cwd=product.home,
        env={
            # Without ts-rollout on the path the runbook has curl and the management API alone.
            "PATH": "/usr/bin:/bin",
            "TS_ROLLOUT_CONFIG": str(product.server.config_file),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "send_back",
    [abort_with_the_cli, abort_with_the_management_api, roll_back_with_the_runbook],
    ids=["by command", "by management API", "by runbook"],
)
def test_a_person_sends_a_rollout_back(product: Product, send_back: Callable[[Product], None]) -> None:
    stable = product.default_version()
    version = f"3-{send_back.__name__}"
    product.package(version)
    with product.traffic(100_000, users=4) as traffic:
        product.start(version, SLOW_STEPS)
        product.wait_for("weight 50", lambda seen: seen["weight_pct"] == 50)
        send_back(product)
        ended = product.wait_for_end()

    assert ended["phase"] == "ABORTED"
    assert "on a hunch" in ended["reason"] or "on a hunch" in str(product.cli("explain", MODEL).out)
    assert product.default_version() == stable
    assert traffic.log.failed == []


def test_a_person_undoes_a_promotion_while_it_bakes(product: Product) -> None:
    stable = product.default_version()
    product.package("4.0")
    with product.traffic(100_000, users=4) as traffic:
        product.start("4.0", {"steps": [{"weight": 50, "bake": "0s"}], "final_bake": "10m"})
        product.wait_for("the bake", lambda seen: seen["phase"] == "BAKING")
        assert product.default_version() == "4.0"
        assert product.cli("rollback", MODEL, "--reason", "support called").code == 0
        ended = product.wait_for_end()

    assert ended["phase"] == "ROLLED_BACK"
    assert product.default_version() == stable
    assert traffic.log.failed == []
    assert product.cli("watch", MODEL, "--timeout", "5s").code == 3


def test_a_paused_rollout_waits_and_a_resumed_one_goes_on(product: Product) -> None:
    product.package("5.0")
    with product.traffic(100_000, users=4):
        product.start("5.0", SLOW_STEPS)
        product.wait_for("weight 50", lambda seen: seen["weight_pct"] == 50)
        assert product.cli("pause", MODEL, "--reason", "lunch").code == 0
        product.wait_for("the pause", lambda seen: seen["pause_reasons"] == ["operator"])
        assert product.cli("resume", MODEL).code == 0
        product.wait_for("the end of the pause", lambda seen: seen["pause_reasons"] == [])
        assert product.cli("promote", MODEL).code == 0
        ended = product.wait_for_end()

    assert ended["phase"] == "SUCCEEDED", ended["reason"]
    assert product.default_version() == "5.0"


def test_the_management_api_starts_a_rollout_and_shows_it(product: Product) -> None:
    product.package("6.0")
    product.write_spec(name="by-api.yaml")
    with product.traffic(100_000, users=4):
        answer = product.server.management("POST", f"/rollouts/{MODEL}", version="6.0", spec="by-api")
        assert answer.status_code in (200, 201, 202), answer.text
        product.wait_for_end()
    shown: Any = product.server.management("GET", f"/rollouts/{MODEL}").json()
    assert shown["candidate"] == "6.0"
    assert shown["phase"] == "SUCCEEDED"


def test_the_management_api_wants_the_management_token(product: Product) -> None:
    answer = requests.get(
        product.server.url(product.server.ports.management, "/rollouts"),
        headers=product.server.inference_headers(),
        timeout=10,
    )
    assert answer.status_code == 400
    assert answer.json()["type"] == "InvalidKeyException"
