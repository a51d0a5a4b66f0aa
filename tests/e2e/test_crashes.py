"""Whatever of ours dies, users are served and the rollout goes on or goes back."""

from __future__ import annotations

from tests.e2e.product import MODEL, Product
from tests.torchserve_process import wait_until

SLOW_STEPS = {"steps": [{"weight": 50, "bake": "10m"}], "lease": "2s"}


def test_a_controller_killed_mid_step_loses_its_lease_and_its_successor_goes_on(product: Product) -> None:
    product.live("1.0")
    product.package("2.0")
    with product.traffic(200_000, users=4) as traffic:
        product.start("2.0", SLOW_STEPS)
        product.wait_for("weight 50", lambda seen: seen["weight_pct"] == 50)
        # Stopped, it can neither renew nor be restarted: the lease must run out by itself.
        controller = product.controller()
        controller.suspend()
        wait_until(
            lambda: (product.policy() or {}).get("effective_weights", {}).get("1.0") == 100, 10, "the lease to run out"
        )
        controller.kill()
        wait_until(
            lambda: (product.policy() or {}).get("effective_weights", {}).get("2.0") == 50,
            60,
            "the restarted controller to put the weight back",
        )
        assert product.controller().pid != controller.pid
        product.wait_for_controller()
        assert product.cli("promote", MODEL, "--reason", "go on").code == 0
        ended = product.wait_for_end()

    assert ended["phase"] == "SUCCEEDED", ended["reason"]
    assert product.default_version() == "2.0"
    assert traffic.log.failed == []


def test_torchserve_restarted_mid_rollout_comes_back_with_versions_default_and_weight(product: Product) -> None:
    product.live("1.0")
    product.package("2.0")
    product.start("2.0", {**SLOW_STEPS, "lease": "5s"})
    product.wait_for("weight 50", lambda seen: seen["weight_pct"] == 50)

    product.server.kill()
    product.server.start()
    product.wait_for_controller()

    wait_until(
        lambda: (product.policy() or {}).get("effective_weights", {}) == {"1.0": 50.0, "2.0": 50.0},
        60,
        "the weights to come back",
    )
    assert product.default_version() == "1.0"
    assert product.versions() == {"1.0", "2.0"}
    with product.traffic(200) as traffic:
        log = traffic.finish()
    assert log.failed == []
    assert set(log.versions()) == {"1.0", "2.0"}


def test_torchserve_restarted_between_rollouts_serves_the_promoted_version_again(product: Product) -> None:
    product.live("1.0")
    product.package("2.0")
    with product.traffic(100_000, users=4):
        product.start("2.0", {"final_bake": "0s"})
        assert product.wait_for_end()["phase"] == "SUCCEEDED"

    product.server.stop()
    product.server.start()
    product.wait_for_controller()

    wait_until(lambda: product.default_version() == "2.0", 60, "the promoted version to be the default again")
    wait_until(lambda: product.server.predict(MODEL).status_code == 200, 60, "an answer")
    assert product.server.predict(MODEL).headers["x-model-version"] == "2.0"


def test_the_controller_ends_with_torchserve(product: Product) -> None:
    controller = product.controller()
    product.server.kill()
    wait_until(lambda: not controller.is_running(), 15, "the controller to notice that TorchServe is gone")


def test_a_candidate_killed_while_it_is_prepared_leaves_nothing_behind(product: Product) -> None:
    product.live("1.0")
    product.package("2.0", load="exit")
    product.start("2.0", {"prepare": {"timeout": "15s"}})
    ended = product.wait_for_end()
    assert ended["phase"] == "ABORTED"
    assert product.versions() == {"1.0"}
    assert product.default_version() == "1.0"
