"""The traffic policy each node must obey, and the actions that put it in force or keep it there."""

from __future__ import annotations

from dataclasses import dataclass

from torchserve_rollout.machine.actions import Action, ClearTraffic, RenewLease, SetTraffic
from torchserve_rollout.machine.sentences import on_nodes
from torchserve_rollout.machine.tick import Tick
from torchserve_rollout.model import NodeStatus, TrafficPolicy, VersionName
from torchserve_rollout.spec.plan import mirror_share
from torchserve_rollout.spec.schema import StepSpec


@dataclass(frozen=True, slots=True)
class Steering:
    """What to send to the gateways. ``waiting`` says where the wished policy is not in force yet, in words.

    ``fenced`` says who else steers; then nothing must be sent.
    """

    actions: tuple[Action, ...]
    epoch: int
    waiting: tuple[str, ...]
    fenced: str = ""


def policy(tick: Tick, stable: VersionName, weight_pct: float | None, step: StepSpec | None = None) -> TrafficPolicy:
    """The policy that gives the candidate ``weight_pct``; None does not name it at all.

    Testers, copies and a limit of requests go with a ``step``: on the way back the candidate must get nothing.
    """
    spec = tick.spec
    return TrafficPolicy(
        model=tick.state.model,
        stable=stable,
        weights_pct={} if weight_pct is None else {tick.candidate: weight_pct},
        failover=spec.failover,
        lease_s=spec.lease,
        candidate_deadline_s=spec.deadlines.candidate,
        stable_deadline_s=spec.deadlines.stable,
        breaker_consecutive=spec.breaker.consecutive,
        breaker_window=spec.breaker.window,
        breaker_window_failures=spec.breaker.window_failures,
        sticky=_sticky(tick),
        cohort=_cohort(tick) if step is not None else None,
        max_requests=step.max_requests if step is not None else 0,
        # As precise as it travels, so that the gateway's answer compares equal.
        replay_budget_pct=round(spec.replay_budget.share * 100, 6),
        replay_budget_min=spec.replay_budget.min,
        mirrors_pct={} if step is None or weight_pct is None else _mirrors(tick, step),
    )


def steer(tick: Tick, weight_pct: float, step: StepSpec | None = None) -> Steering:
    """Give the candidate ``weight_pct`` on every node where it can serve, and nothing where it cannot.

    Without a stable version there is nobody to share with: no policy may stand.
    """
    if tick.stable is None:
        return _unsteered(tick)
    actions: list[Action] = []
    absent: list[NodeStatus] = []
    down: list[NodeStatus] = []
    pending: list[NodeStatus] = []
    epoch, next_epoch = tick.state.epoch, tick.highest_epoch + 1
    for node in tick.reachable:
        if tick.stable not in node.versions:
            absent.append(node)
            continue
        can_serve = tick.can_serve(node)
        wished = policy(tick, tick.stable, weight_pct if can_serve else None, step)
        if is_foreign(tick, node, wished):
            return Steering((), epoch, (), fenced=fence_sentence(node))
        action = _toward(node, wished, next_epoch)
        if isinstance(action, RenewLease):
            epoch = max(epoch, action.epoch)
        elif isinstance(action, SetTraffic):
            epoch = max(epoch, next_epoch)
        if action is not None:
            actions.append(action)
        if not can_serve:
            down.append(node)
        elif not in_force(node, wished):
            pending.append(node)
    waiting = [
        *on_nodes(f"{tick.stable} is not registered", absent),
        *on_nodes(f"{tick.candidate} is being brought up", down),
        *on_nodes("the weight is being put in force", pending),
    ]
    return Steering(tuple(actions), epoch, tuple(waiting))


def in_force(node: NodeStatus, wished: TrafficPolicy) -> bool:
    """Whether ``node`` obeys ``wished`` right now: same content, valid lease, no open breaker."""
    traffic = node.traffic
    return traffic is not None and traffic.policy == wished and traffic.lease_is_valid and not traffic.breakers_open


def is_foreign(tick: Tick, node: NodeStatus, wished: TrafficPolicy) -> bool:
    """Whether ``node`` obeys a policy that is newer than ours and not ours: another controller steers."""
    traffic = node.traffic
    return traffic is not None and traffic.epoch > tick.state.epoch and traffic.policy != wished


def fence_sentence(node: NodeStatus) -> str:
    """Who steers ``node``, for a person."""
    epoch = node.traffic.epoch if node.traffic else node.last_epoch
    return f"another controller steers {node.node} (its traffic policy has epoch {epoch}, newer than ours)"


def clear(tick: Tick, node: NodeStatus) -> Action | None:
    """Remove the policy of ``node``; None when it has none."""
    if node.traffic is None:
        return None
    return ClearTraffic(node.node, max(tick.state.epoch, node.traffic.epoch))


def _toward(node: NodeStatus, wished: TrafficPolicy, next_epoch: int) -> Action | None:
    if node.traffic is None and not wished.weights_pct:
        return None  # everything goes to the default version already
    if node.traffic is not None and node.traffic.policy == wished:
        return RenewLease(node.node, wished, node.traffic.epoch)
    return SetTraffic(node.node, wished, next_epoch)


def _unsteered(tick: Tick) -> Steering:
    actions = tuple(action for node in tick.reachable if (action := clear(tick, node)) is not None)
    waiting = [
        *on_nodes("a traffic policy still stands", [node for node in tick.reachable if node.traffic is not None]),
        *on_nodes(f"{tick.candidate} is being brought up", [n for n in tick.reachable if not tick.can_serve(n)]),
    ]
    return Steering(actions, tick.highest_epoch if actions else tick.state.epoch, tuple(waiting))


def _sticky(tick: Tick) -> str | None:
    sticky = tick.spec.sticky
    if sticky is None:
        return None
    # Header names know no case; one form keeps our policy equal to the gateway's.
    return f"header:{sticky.header.lower()}" if sticky.header is not None else f"cookie:{sticky.cookie}"


def _mirrors(tick: Tick, step: StepSpec) -> dict[VersionName, float]:
    share_pct = round(mirror_share(tick.spec, step) * 100, 6)
    return {tick.candidate: share_pct} if share_pct else {}


def _cohort(tick: Tick) -> str | None:
    cohort = tick.spec.cohort
    return None if cohort is None else f"header:{cohort.header.lower()}={cohort.value}"
