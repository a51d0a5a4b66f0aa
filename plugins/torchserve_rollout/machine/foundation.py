"""What must stand on a node before traffic is spoken of: versions registered, with workers, and the right default."""

from __future__ import annotations

from collections.abc import Iterator

from torchserve_rollout.machine.actions import Action, Probe, Register, RunGates, Scale, SetDefault
from torchserve_rollout.machine.observation import StableHealth
from torchserve_rollout.machine.sentences import describe
from torchserve_rollout.machine.tick import Tick
from torchserve_rollout.model import NodeStatus, VersionName


def bring_up_candidate(tick: Tick, node: NodeStatus) -> Action | None:
    """The next action that brings the candidate nearer to serving on ``node``; None when it does, or is on its way."""
    status = node.versions.get(tick.candidate)
    if status is None:
        return Register(node.node, tick.candidate)
    wanted = tick.spec.prepare.workers
    if status.min_workers < wanted or not status.workers:
        return Scale(node.node, tick.candidate, wanted)
    if status.is_ready and node.node not in tick.state.probed:
        return Probe(node.node, tick.candidate)
    return None


def restore_stable(tick: Tick, node: NodeStatus) -> Action | None:
    """The next action that brings stable back on ``node``; None when it stands. Its own worker count is left alone."""
    if tick.stable is None:
        return None
    status = node.versions.get(tick.stable)
    if status is None:
        return Register(node.node, tick.stable)
    if not status.workers:
        return Scale(node.node, tick.stable, max(status.min_workers, tick.spec.prepare.workers))
    return None


def correct_default(node: NodeStatus, wished: VersionName | None) -> Action | None:
    """Make ``wished`` the default of ``node`` once it is ready there; TorchServe itself would accept a dead one."""
    if wished is None or node.default_version == wished or not node.is_ready(wished):
        return None
    return SetDefault(node.node, wished)


def repair(tick: Tick, node: NodeStatus, default: VersionName | None) -> Action | None:
    """One step towards what must stand on ``node``: stable, then the right default, then the candidate."""
    return restore_stable(tick, node) or correct_default(node, default) or bring_up_candidate(tick, node)


def stable_health(tick: Tick) -> StableHealth:
    """Whether the rollback target could take all traffic now."""
    stable = tick.stable
    if stable is None:
        return StableHealth(False, f"{tick.candidate} is the first version: there is none to return to")
    by_node = {node.node: node.is_ready(stable) for node in tick.reachable}
    sick = [name for name, is_ready in by_node.items() if not is_ready]
    if sick:
        return StableHealth(False, f"{stable} is not ready on {', '.join(sick)}", by_node)
    return StableHealth(True, f"{stable} is ready", by_node)


def permanent_failures(tick: Tick) -> Iterator[str]:
    """Failures of the previous tick's work on the candidate that no retry can mend."""
    for result in tick.observation.results:
        if result.is_ok or not result.is_permanent:
            continue
        action = result.action
        if isinstance(action, Register | Scale | Probe) and action.version == tick.candidate:
            yield f"{describe(action)} failed: {result.error}"
        elif isinstance(action, RunGates):
            yield f"the gates could not run: {result.error}"
