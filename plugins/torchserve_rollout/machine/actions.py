"""What a decision asks the world for. Every action is idempotent: doing it twice equals doing it once."""

from __future__ import annotations

from dataclasses import dataclass

from torchserve_rollout.model import NodeName, TrafficPolicy, VersionName


@dataclass(frozen=True, slots=True)
class Register:
    """Register ``version`` cold (no workers) on a node. A failed registration is deleted again and verified gone."""

    node: NodeName
    version: VersionName


@dataclass(frozen=True, slots=True)
class Scale:
    """Ask for workers, without waiting for them."""

    node: NodeName
    version: VersionName
    workers: int


@dataclass(frozen=True, slots=True)
class Probe:
    """Send the warm-up probe to this very version and wait for its answer."""

    node: NodeName
    version: VersionName


@dataclass(frozen=True, slots=True)
class RunGates:
    """Run the spec's gates against ``version``; the results arrive in a later observation."""

    version: VersionName


@dataclass(frozen=True, slots=True)
class SetTraffic:
    """Put a policy in force on a node under ``epoch``."""

    node: NodeName
    policy: TrafficPolicy
    epoch: int


@dataclass(frozen=True, slots=True)
class RenewLease:
    """The same policy, the same epoch: extends the lease. Never journaled."""

    node: NodeName
    policy: TrafficPolicy
    epoch: int


@dataclass(frozen=True, slots=True)
class ClearTraffic:
    """Remove the policy: traffic follows the default version."""

    node: NodeName
    epoch: int


@dataclass(frozen=True, slots=True)
class SetDefault:
    """Make ``version`` the default on a node."""

    node: NodeName
    version: VersionName


@dataclass(frozen=True, slots=True)
class Unregister:
    """Remove ``version`` from a node and verify it is gone. Only ever asked for a drained version."""

    node: NodeName
    version: VersionName


Action = Register | Scale | Probe | RunGates | SetTraffic | RenewLease | ClearTraffic | SetDefault | Unregister


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What came of an action. ``error`` is empty when it worked; ``is_permanent`` means a retry is useless.

    ``is_refused``: the node understood, and would not do it.
    """

    action: Action
    error: str = ""
    is_permanent: bool = False
    is_refused: bool = False

    @property
    def is_ok(self) -> bool:
        return not self.error
