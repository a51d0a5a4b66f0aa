"""A small world that obeys actions as TorchServe and the gateway do, and a rollout driven through it tick by tick."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from torchserve_rollout.analysis.verdict import AlarmVerdict, Judgement, Verdict
from torchserve_rollout.machine.actions import (
    Action,
    ActionResult,
    ClearTraffic,
    Probe,
    Register,
    RenewLease,
    RunGates,
    Scale,
    SetDefault,
    SetTraffic,
    Unregister,
)
from torchserve_rollout.machine.decide import Decision, decide
from torchserve_rollout.machine.observation import GateResult, Observation, Successor
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import Command, CommandKind, RolloutState
from torchserve_rollout.model import (
    ModelName,
    NodeName,
    NodeStatus,
    RolloutId,
    TrafficPolicy,
    TrafficStatus,
    VersionName,
    VersionStatus,
)
from torchserve_rollout.spec.schema import AlarmSpec, RolloutSpec

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
V1, V2 = VersionName("1.0"), VersionName("2.0")
TICK = timedelta(seconds=1)


def spec_of(**changes: object) -> RolloutSpec:
    """A quick canary: two steps of five seconds, one alarm."""
    fields: dict[str, object] = {
        "model": "m",
        "steps": [{"weight": 5, "bake": "5s", "min_requests": 10}, {"weight": 50, "bake": "5s"}],
        "final_bake": "5s",
        "alarms": [AlarmSpec(name="errors", signal="error_rate", worse_than_stable_by=0.01)],
        "prepare": {"timeout": "30s"},
        "drain_timeout": "10s",
        "inconclusive_timeout": "60s",
    }
    return RolloutSpec.model_validate(fields | changes)


@dataclass
class Version:
    """A registered version. Workers become ready ``slow`` ticks after they were asked for; a sick one never does."""

    min_workers: int = 0
    ready_in: int = 0

    def status(self, name: VersionName, is_sick: bool) -> VersionStatus:
        ready = self.min_workers if self.ready_in <= 0 and not is_sick else 0
        return VersionStatus(name, self.min_workers, ready, self.min_workers)


@dataclass
class Node:
    """One TorchServe with its gateway."""

    versions: dict[VersionName, Version] = field(default_factory=dict)
    default: VersionName | None = None
    policy: TrafficPolicy | None = None
    epoch: int = 0
    last_epoch: int = 0
    lease_until: datetime = START
    breakers: dict[VersionName, str] = field(default_factory=dict)
    in_flight: dict[VersionName, int] = field(default_factory=dict)
    is_down: bool = False


@dataclass
class World:
    """Nodes, and what is wrong with them."""

    nodes: dict[NodeName, Node]
    now: datetime = START
    sick: set[VersionName] = field(default_factory=set)
    slow: int = 1
    gate_score: float = 1.0
    gates: tuple[GateResult, ...] | None = None
    archive_problem: str = ""
    successor: Successor | None = None
    requests_per_tick: int = 10
    fails: Callable[[Action], str] = lambda action: ""
    permanent: bool = False
    results: tuple[ActionResult, ...] = ()
    faults: list[str] = field(default_factory=list)
    """What the rollout did to the world that it never may."""
    drain_timeout_s: float = 10.0
    zero_since: dict[NodeName, datetime] = field(default_factory=dict)

    def apply(self, actions: Iterable[Action]) -> None:
        """Carry out the actions in order; what came of them is in the next observation."""
        self.results = tuple(self._result(action) for action in actions)

    def _result(self, action: Action) -> ActionResult:
        error = self.fails(action) or self._do(action)
        return ActionResult(action, error, self.permanent and bool(error), is_refused=error.startswith("400"))

    def _do(self, action: Action) -> str:
        if isinstance(action, RunGates):
            self.gates = (GateResult("smoke.yaml", self.gate_score, 0.9, 20),)
            return ""
        node = self.nodes[action.node]
        if node.is_down:
            return "connection refused"
        match action:
            case Register():
                if action.version in node.versions:
                    return "409 already registered"
                node.versions[action.version] = Version()
                node.default = node.default or action.version
            case Scale():
                if action.workers == 0 and node.in_flight.get(action.version):
                    self.faults.append(f"stopped {action.version} with requests in flight")
                node.versions[action.version].min_workers = action.workers
                node.versions[action.version].ready_in = self.slow
            case Probe():
                return "" if action.version not in self.sick else "probe: 500"
            case SetTraffic():
                return self._set_traffic(action, node)
            case RenewLease():
                if node.policy != action.policy or node.epoch != action.epoch:
                    return "409 reused epoch"
                node.lease_until = self.now + timedelta(seconds=action.policy.lease_s)
            case ClearTraffic():
                if action.epoch < node.epoch:
                    return "409 stale epoch"
                node.policy, node.breakers = None, {}
            case SetDefault():
                if action.version not in node.versions:
                    return "404"
                node.default = action.version
            case Unregister():
                self._unregister(action, node)
        return ""

    def _set_traffic(self, action: SetTraffic, node: Node) -> str:
        named = {action.policy.stable, *action.policy.weights_pct}
        if missing := named - set(node.versions):
            return f"404 {missing}"
        if action.epoch < node.last_epoch or (action.epoch == node.epoch and node.policy != action.policy):
            return "409 stale epoch"
        node.policy, node.epoch, node.last_epoch, node.breakers = action.policy, action.epoch, action.epoch, {}
        node.lease_until = self.now + timedelta(seconds=action.policy.lease_s)
        return ""

    def _unregister(self, action: Unregister, node: Node) -> None:
        since = self.zero_since.get(action.node, self.now)
        is_timed_out = (self.now - since).total_seconds() >= self.drain_timeout_s
        if node.in_flight.get(action.version) and not is_timed_out:
            self.faults.append(f"unregistered {action.version} with requests in flight")
        if node.default == action.version and len(node.versions) > 1:
            self.faults.append(f"unregistered the default {action.version}")
        node.versions.pop(action.version, None)
        if node.default == action.version:
            node.default = None

    def pass_time(self, by: timedelta = TICK) -> None:
        """Workers come up, requests come and go, leases run out."""
        self.now += by
        for name, node in self.nodes.items():
            for version in node.versions.values():
                version.ready_in -= 1
            for named, count in list(node.in_flight.items()):
                node.in_flight[named] = count if self.weight(node, named) else max(0, count - 1)
            if self.weight(node, V2) == 0:
                self.zero_since.setdefault(name, self.now)
            else:
                self.zero_since.pop(name, None)
                node.in_flight[V2] = 2

    def weight(self, node: Node, version: VersionName) -> float:
        """Percent of the node's requests that ``version`` gets now."""
        if node.is_down:
            return 0.0
        if node.policy is None:
            return 100.0 if node.default == version else 0.0
        if self.now >= node.lease_until or version in node.breakers:
            return 100.0 if node.policy.stable == version else 0.0
        return node.policy.weight_of(version)

    def restart(self, name: str) -> None:
        """The node comes back empty: no versions, no default, no policy, no memory of epochs."""
        self.nodes[NodeName(name)] = Node()

    def observe(self, candidate_requests: int) -> Observation:
        return Observation(
            nodes={name: self._status(name, node) for name, node in self.nodes.items()},
            results=self.results,
            gates=self.gates,
            candidate_requests=candidate_requests,
            archive_problem=self.archive_problem,
            successor=self.successor,
            stable_in_flight=sum(node.in_flight.get(V1, 0) for node in self.nodes.values()),
        )

    def _status(self, name: NodeName, node: Node) -> NodeStatus:
        if node.is_down:
            return NodeStatus(name, error="connection refused")
        traffic = None
        if node.policy is not None:
            named = [*node.policy.weights_pct, node.policy.stable]
            traffic = TrafficStatus(
                policy=node.policy,
                epoch=node.epoch,
                lease_is_valid=self.now < node.lease_until,
                effective_weights_pct={version: self.weight(node, version) for version in named},
                breakers_open=dict(node.breakers),
                in_flight=dict(node.in_flight),
            )
        versions = {v: version.status(v, v in self.sick) for v, version in node.versions.items()}
        return NodeStatus(name, versions, node.default, traffic, node.last_epoch)


def world_of(*names: str, stable: VersionName | None = V1) -> World:
    """Nodes on which ``stable`` serves as the default."""
    world = World({NodeName(name): Node() for name in names or ("a",)})
    for node in world.nodes.values():
        if stable is not None:
            node.versions[stable] = Version(min_workers=1)
            node.default = stable
    return world


def judged(verdict: Verdict, action: str = "rollback") -> Judgement:
    """A judgement with one alarm that says ``verdict``."""
    sentence = f"errors: {verdict.name.lower()}"
    alarm = AlarmVerdict("errors", "error_rate", verdict, 0.0, 0.0, 50, 950, "rule", sentence, action)
    return Judgement(verdict, (alarm,), sentence, "test")


@dataclass
class Run:
    """A rollout in a world, with everything that happened."""

    world: World
    spec: RolloutSpec
    state: RolloutState
    verdict: Callable[[Run], Judgement | None] = lambda run: judged(Verdict.PASS)
    decisions: list[Decision] = field(default_factory=list)
    requests: int = 0

    @property
    def phases(self) -> list[Phase]:
        """The phases at the ends of the ticks, without repetition."""
        seen: list[Phase] = []
        for decision in self.decisions:
            if not seen or seen[-1] is not decision.state.phase:
                seen.append(decision.state.phase)
        return seen

    @property
    def reasons(self) -> str:
        return "\n".join(decision.reason for decision in self.decisions)

    def decision(self, *commands: CommandKind) -> Decision:
        """What would be decided now; nothing changes."""
        asked = [Command(kind, "ann", "because", self.world.now) for kind in commands]
        judgement = self.verdict(self) if self.state.step_since is not None else None
        return decide(self.state, self.spec, self.world.observe(self.requests), judgement, asked, self.world.now)

    def tick(self, *commands: CommandKind, acts: int | None = None) -> Decision:
        """Observe, decide, act, let a second pass. ``acts``: how many actions are done before the controller dies."""
        before, decision = self.state, self.decision(*commands)
        self.decisions.append(decision)
        self.state = decision.state
        is_new_step = self.state.step_since is None or before.step_since != self.state.step_since
        self.world.apply(decision.actions if acts is None else decision.actions[:acts])
        self.requests = 0 if is_new_step else self.requests + self.world.requests_per_tick
        self.world.pass_time()
        return decision

    def until(self, *phases: Phase, limit: int = 300) -> Run:
        """Tick until the rollout stands in one of ``phases``."""
        for _ in range(limit):
            if self.state.phase in phases:
                return self
            self.tick()
        raise AssertionError(f"stands in {self.state.phase} after {limit} ticks: {self.decisions[-1].reason}")

    def until_over(self, limit: int = 100) -> Run:
        """Tick until nothing is left to do, not even to watch."""
        for _ in range(limit):
            if self.state.is_over:
                return self
            self.tick()
        raise AssertionError(f"not over after {limit} ticks: {self.decisions[-1].reason}")

    def until_weight(self, weight_pct: float) -> Run:
        """Tick until the candidate's weight is in force everywhere."""
        for _ in range(200):
            if self.state.weight_pct == weight_pct and self.state.step_since is not None:
                return self
            self.tick()
        raise AssertionError(f"never at {weight_pct}: {self.decisions[-1].reason}")

    def to_end(self, limit: int = 400) -> Phase:
        """Tick until nothing changes any more: a terminal phase, or HELD."""
        return self.until(*(p for p in Phase if p.is_terminal or p is Phase.HELD), limit=limit).state.phase


def run_of(world: World | None = None, spec: RolloutSpec | None = None, stable: VersionName | None = V1) -> Run:
    """An accepted rollout of 2.0."""
    state = RolloutState(RolloutId("r1"), ModelName("m"), stable, V2, Phase.PENDING, START, "accepted")
    world = world or world_of("a", "b", stable=stable)
    spec = spec or spec_of()
    world.drain_timeout_s = spec.drain_timeout
    return Run(world, spec, state)
