"""What a restarted TorchServe gets back, one step at a time."""

from __future__ import annotations

from tests.unit.store.journals import BEGUN
from torchserve_rollout.controller.restore import is_home, next_step, warm_step
from torchserve_rollout.machine.actions import Register, Scale, SetDefault
from torchserve_rollout.model import ModelName, NodeName, NodeStatus, RolloutId, VersionName, VersionStatus
from torchserve_rollout.store.records import CompletedVersion

NODE, ONE, TWO = NodeName("a"), VersionName("1.0"), VersionName("2.0")
HOME = CompletedVersion(ModelName("m"), TWO, 3, BEGUN, RolloutId("m-2.0-a1b2"))


def node(*versions: VersionStatus, default: VersionName | None) -> NodeStatus:
    return NodeStatus(NODE, {each.version: each for each in versions}, default)


def test_an_empty_node_gets_the_version_registered() -> None:
    assert next_step(HOME, node(default=None)) == Register(NODE, TWO)


def test_a_cold_version_gets_as_many_workers_as_it_had() -> None:
    assert next_step(HOME, node(VersionStatus(TWO, 0, 0, 0), default=TWO)) == Scale(NODE, TWO, 3)


def test_workers_that_are_starting_are_waited_for() -> None:
    starting = node(VersionStatus(TWO, 3, 1, 3), default=TWO)
    assert next_step(HOME, starting) is None
    assert not is_home(HOME, starting)


def test_a_ready_version_becomes_the_default_again() -> None:
    other = VersionStatus(ONE, 1, 1, 1)
    assert next_step(HOME, node(other, VersionStatus(TWO, 3, 3, 3), default=ONE)) == SetDefault(NODE, TWO)


def test_a_version_that_is_not_ready_does_not_become_the_default() -> None:
    other = VersionStatus(ONE, 1, 1, 1)
    assert next_step(HOME, node(other, VersionStatus(TWO, 3, 0, 3), default=ONE)) is None


def test_at_home_nothing_is_left_to_do() -> None:
    there = node(VersionStatus(TWO, 3, 3, 3), default=TWO)
    assert next_step(HOME, there) is None
    assert is_home(HOME, there)


def test_the_prior_version_is_loaded_again_while_it_is_kept_warm_but_never_made_the_default() -> None:
    prior = CompletedVersion(ModelName("m"), ONE, 2, BEGUN, RolloutId("m-2.0-a1b2"))
    home = VersionStatus(TWO, 3, 3, 3)
    assert warm_step(prior, node(home, default=TWO)) == Register(NODE, ONE)
    assert warm_step(prior, node(home, VersionStatus(ONE, 0, 0, 0), default=TWO)) == Scale(NODE, ONE, 2)
    assert warm_step(prior, node(home, VersionStatus(ONE, 2, 0, 2), default=TWO)) is None
