"""The traffic API as the controller uses it, on a real gateway: policies arrive as they were meant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.archives import ECHO_HANDLER, write_archive
from tests.torchserve_process import TorchServeProcess, wait_until
from torchserve_rollout.errors import NotFoundError, ServerError, StaleEpoch
from torchserve_rollout.machine.actions import RenewLease, SetTraffic
from torchserve_rollout.model import Failover, ModelName, NodeName, Outcome, TrafficPolicy, VersionName
from torchserve_rollout.settings import load_settings
from torchserve_rollout.torchserve.fleet import Fleet, Node, node_from_settings
from torchserve_rollout.torchserve.traffic import TrafficClient

ROOT = Path(__file__).resolve().parents[2]
MODEL, ONE, TWO = ModelName("assistant"), VersionName("1.0"), VersionName("2.0")
POLICY = TrafficPolicy(
    model=MODEL,
    stable=ONE,
    weights_pct={TWO: 0.25},
    failover=Failover.NONE,
    lease_s=4.5,
    candidate_deadline_s=1.25,
    stable_deadline_s=20.0,
    breaker_consecutive=7,
    breaker_window=30,
    breaker_window_failures=0,
    sticky="header:x-session-id",
    cohort="header:x-user-group=internal",
    max_requests=500,
    replay_budget_pct=12.5,
    replay_budget_min=3,
    mirrors_pct={TWO: 12.5},
)


@pytest.fixture(scope="module")
def server(plugins_path: Path) -> Iterator[TorchServeProcess]:
    with TorchServeProcess(plugins_path=plugins_path) as running:
        for version in (ONE, TWO):
            running.register(write_archive(running.model_store, MODEL, version, ECHO_HANDLER))
        yield running


@pytest.fixture
def node(server: TorchServeProcess) -> Node:
    return node_from_settings(load_settings(server.config_file, home=server.directory), NodeName("test"))


@pytest.fixture
def traffic(node: Node) -> Iterator[TrafficClient]:
    yield node.traffic
    present = node.traffic.status(MODEL)
    if present is not None:
        node.traffic.delete(MODEL, present.epoch)


@pytest.fixture
def epoch(server: TorchServeProcess, request: pytest.FixtureRequest) -> int:
    """An epoch above those of all tests before."""
    return 100 * (1 + request.session.items.index(request.node))


def test_a_model_without_a_policy_has_no_status(traffic: TrafficClient) -> None:
    assert traffic.status(MODEL) is None
    assert traffic.status(ModelName("nobody")) is None


def test_a_policy_reads_back_as_it_was_put(traffic: TrafficClient, epoch: int) -> None:
    traffic.put(POLICY, epoch)
    status = traffic.status(MODEL)
    assert status is not None
    assert (status.policy, status.epoch, status.lease_is_valid) == (POLICY, epoch, True)
    assert status.effective_weights_pct == {ONE: 99.75, TWO: 0.25}
    assert status.breakers_open == {}
    assert status.exposed == {TWO: 0}


def test_renewing_keeps_a_lease_alive_and_letting_it_run_out_gives_all_to_stable(
    traffic: TrafficClient, epoch: int
) -> None:
    policy = replace(POLICY, weights_pct={TWO: 50.0}, lease_s=1.0)
    traffic.put(policy, epoch)
    assert traffic.put(policy, epoch).lease_is_valid

    def stable_has_all() -> bool:
        status = traffic.status(MODEL)
        return status is not None and status.effective_weights_pct.get(ONE) == 100

    wait_until(stable_has_all, 5, "the lease to run out")


def test_pairs_of_mirrored_answers_arrive_and_are_read_on_from_the_last(
    server: TorchServeProcess, traffic: TrafficClient, epoch: int
) -> None:
    assert traffic.mirror_pairs(ModelName("nobody")).pairs == ()
    traffic.put(TrafficPolicy(model=MODEL, stable=ONE, mirrors_pct={TWO: 100.0}), epoch)
    server.predict(MODEL, b"x")
    page = wait_until(lambda: traffic.mirror_pairs(MODEL) if traffic.mirror_pairs(MODEL).pairs else None, 10, "a pair")
    assert page is not None
    (pair,) = page.pairs
    halves = (pair.primary, pair.shadow)
    assert [(half.version, half.status, half.body) for half in halves] == [
        (ONE, 200, b"answer of 1.0"),
        (TWO, 200, b"answer of 2.0"),
    ]
    assert all(half.is_complete and not half.is_truncated and 0 < half.latency_s < 10 for half in halves)
    assert traffic.mirror_pairs(MODEL, after=pair.sequence).pairs == ()
    assert page.newest == pair.sequence
    assert [half.outcome for half in halves] == [Outcome.OK, Outcome.OK]
    assert not pair.is_same_body
    (without,) = traffic.mirror_pairs(MODEL, with_bodies=False).pairs
    assert (without.primary.body, without.shadow.body) == (b"", b"")
    assert (without.request_id, without.is_same_body) == (pair.request_id, False)


@pytest.mark.parametrize(("difference", "weight_pct"), [(-1, 0.25), (0, 99.0)], ids=["older", "reused"])
def test_an_older_or_reused_epoch_is_stale(
    traffic: TrafficClient, epoch: int, difference: int, weight_pct: float
) -> None:
    traffic.put(POLICY, epoch)
    with pytest.raises(StaleEpoch):
        traffic.put(replace(POLICY, weights_pct={TWO: weight_pct}), epoch + difference)
    status = traffic.status(MODEL)
    assert status is not None and status.policy == POLICY


def test_a_removed_policy_is_gone_and_removing_it_again_is_no_error(traffic: TrafficClient, epoch: int) -> None:
    traffic.put(POLICY, epoch)
    traffic.delete(MODEL, epoch)
    traffic.delete(MODEL, epoch)
    assert traffic.status(MODEL) is None


def test_a_policy_with_an_unknown_version_is_not_found(traffic: TrafficClient, epoch: int) -> None:
    with pytest.raises(NotFoundError, match=r"9\.9"):
        traffic.put(replace(POLICY, weights_pct={VersionName("9.9"): 5.0}), epoch)


def test_all_problems_of_a_policy_come_at_once(traffic: TrafficClient, epoch: int) -> None:
    with pytest.raises(ServerError) as refused:
        traffic.put(replace(POLICY, weights_pct={TWO: 101.0}, lease_s=-1.0), epoch)
    assert "weights" in refused.value.message and "lease_s" in refused.value.message


def test_the_fleet_learns_from_a_refusal_how_far_others_have_come(
    node: Node, traffic: TrafficClient, epoch: int
) -> None:
    traffic.put(POLICY, epoch)
    traffic.delete(MODEL, epoch)
    fleet = Fleet([node], lambda model, version: "unused")
    assert fleet.observe(MODEL)[node.name].last_epoch == 0

    result = fleet.perform(MODEL, SetTraffic(node.name, POLICY, 1))
    assert not result.is_ok and not result.is_permanent
    assert fleet.observe(MODEL)[node.name].last_epoch == epoch

    assert fleet.perform(MODEL, SetTraffic(node.name, POLICY, epoch + 1)).is_ok
    assert fleet.perform(MODEL, RenewLease(node.name, POLICY, epoch + 1)).is_ok
    fleet.close()


def test_without_the_gateway_the_message_says_what_is_missing(tmp_path: Path) -> None:
    with TorchServeProcess() as bare:
        fleet = Fleet([node_from_settings(load_settings(bare.config_file, home=bare.directory))], lambda m, v: "")
        (status,) = fleet.observe(MODEL).values()
        fleet.close()
    assert "gateway plugin is not loaded" in status.error
