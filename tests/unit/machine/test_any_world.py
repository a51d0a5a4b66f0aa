"""Whatever the world does: a rollout ends, or waits for a person, and never harms the users on its way."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.unit.machine.world import V1, V2, Run, judged, run_of, spec_of, world_of
from torchserve_rollout.analysis.verdict import Verdict
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import CommandKind
from torchserve_rollout.model import NodeName, VersionName

BACK = {Phase.ABORTING, Phase.ROLLING_BACK, Phase.ABORTED, Phase.ROLLED_BACK}
TROUBLED_TICKS = 40


@dataclass(frozen=True)
class Event:
    """Something that happens to the world, or to the controller, in one tick."""

    kind: str
    node: str
    number: int


EVENTS = st.builds(
    Event,
    kind=st.sampled_from(
        [
            "quiet",
            "quiet",
            "quiet",
            "restart",
            "down",
            "up",
            "sick",
            "well",
            "breaker",
            "die",
            "fail",
            "verdict",
            "command",
        ]
    ),
    node=st.sampled_from(["a", "b"]),
    number=st.integers(0, 5),
)


def _happen(event: Event, run: Run) -> int | None:
    """Let the event happen; answers how many actions are done before the controller dies (None: all of them)."""
    world = run.world
    node = world.nodes[NodeName(event.node)]
    version = V2 if event.number % 3 else V1
    match event.kind:
        case "restart":
            world.restart(event.node)
        case "down":
            node.is_down = True
        case "up":
            node.is_down = False
        case "sick":
            world.sick.add(version)
        case "well":
            world.sick.clear()
        case "breaker":
            if node.policy is not None and node.policy.weight_of(V2) > 0:
                node.breakers[V2] = "5 consecutive failures"
        case "die":
            return event.number
        case "fail":
            world.fails = lambda action: "500" if event.number % 2 and getattr(action, "node", "") == event.node else ""
        case "verdict":
            verdict = [Verdict.PASS, Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.FAIL, Verdict.PASS]
            run.verdict = lambda run: judged(verdict[event.number])
    return None


def _calm(run: Run) -> None:
    """The troubles end; what is broken for good stays broken."""
    run.world.fails = lambda action: ""
    for node in run.world.nodes.values():
        node.is_down = False


def _ticked(run: Run, acts: int | None, command: CommandKind | None) -> None:
    before, weights_before = run.state, _weights(run)
    decision = run.tick(*([command] if command else []), acts=acts)
    assert decision.reason.strip() and "None" not in decision.reason
    assert run.state.epoch >= before.epoch
    if before.phase in BACK and run.state.phase in BACK and command is None:
        assert run.state.phase in BACK
        for name, weight in _weights(run).items():
            assert weight <= weights_before[name], f"the weight on {name} rose on the way back"
    if before.is_over:
        assert decision.state.phase is before.phase and not decision.actions
    # A first version that is given up has nobody to hand its requests to.
    assert not run.world.faults or run.state.stable is None


def _weights(run: Run) -> dict[str, float]:
    """What each node is told to give the candidate: by the policy, else by its default."""
    by_default = {name: 100.0 if node.default == V2 else 0.0 for name, node in run.world.nodes.items()}
    policies = {name: node.policy for name, node in run.world.nodes.items()}
    return {name: policy.weight_of(V2) if policy else by_default[name] for name, policy in policies.items()}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(EVENTS, min_size=1, max_size=TROUBLED_TICKS),
    st.integers(0, 30),
    st.sampled_from(["unregister", "keep"]),
    st.sampled_from(["0s", "5s"]),
    st.sampled_from(["0s", "5s"]),
    st.sampled_from([V1, V1, V1, None]),
)
def test_every_rollout_ends_or_waits_for_a_person(
    events: list[Event], quiet_ticks: int, on_abort: str, final_bake: str, keep_prior: str, stable: VersionName | None
) -> None:
    spec = spec_of(on_abort=on_abort, final_bake=final_bake, keep_prior=keep_prior)
    run = run_of(world_of("a", "b", stable=stable), spec, stable)
    for _ in range(quiet_ticks):
        _ticked(run, None, None)
    for happening in events:
        if run.state.phase.is_terminal:
            break
        acts = _happen(happening, run)
        command = list(CommandKind)[happening.number % 5] if happening.kind == "command" else None
        _ticked(run, acts, command)
    _calm(run)
    for _ in range(400):
        is_paused = bool(run.state.pause_reasons) and run.state.phase not in BACK
        if run.state.is_over or run.state.phase is Phase.HELD or is_paused:
            break
        _ticked(run, None, None)
    else:
        raise AssertionError(f"{run.state.phase} for ever: {run.decisions[-1].reason}")
    event(run.state.phase)
    _assert_world_fits(run)


def _assert_world_fits(run: Run) -> None:
    """In a terminal phase the world is as the phase says."""
    phase = run.state.phase
    if not phase.is_terminal or phase is Phase.FAILED:
        return
    wished = V2 if phase is Phase.SUCCEEDED else run.state.stable
    for node in run.world.nodes.values():
        if wished is not None:
            assert node.default == wished
        assert node.policy is None
        if phase is Phase.SUCCEEDED and V1 in node.versions:
            assert not node.versions[V1].min_workers
        if phase in (Phase.ABORTED, Phase.ROLLED_BACK) and run.spec.on_abort == "unregister":
            assert V2 not in node.versions
