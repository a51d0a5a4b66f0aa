"""Does what was decided, in order, and says what came of it."""

from __future__ import annotations

from collections.abc import Sequence

from torchserve_rollout.controller.observe import Observer
from torchserve_rollout.controller.probe_files import ProbeFiles
from torchserve_rollout.errors import RolloutError
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
from torchserve_rollout.model import ModelName, NodeName
from torchserve_rollout.spec.schema import RolloutSpec
from torchserve_rollout.torchserve.fleet import Fleet
from torchserve_rollout.units import format_pct


class Actuator:
    """Hands of one rollout."""

    def __init__(
        self, model: ModelName, spec: RolloutSpec, fleet: Fleet, observer: Observer, files: ProbeFiles
    ) -> None:
        self._model = model
        self._spec = spec
        self._fleet = fleet
        self._observer = observer
        self._files = files

    def act(self, actions: Sequence[Action]) -> tuple[ActionResult, ...]:
        """Do all of ``actions`` in order.

        Where something failed on a node, nothing is taken away from it in the same tick: capacity goes only after
        traffic and default have really moved.
        """
        results: list[ActionResult] = []
        failed: set[NodeName] = set()
        for action in actions:
            node = None if isinstance(action, RunGates) else action.node
            if node in failed and _takes_away(action):
                continue
            result = self._do(action)
            results.append(result)
            if not result.is_ok and node is not None:
                failed.add(node)
        return tuple(results)

    def _do(self, action: Action) -> ActionResult:
        if isinstance(action, RunGates):
            try:
                self._observer.run_gates(action.version)
            except RolloutError as error:
                return ActionResult(action, error.message, is_permanent=True)
            return ActionResult(action)
        if isinstance(action, Probe):
            return self._probe(action)
        return self._fleet.perform(self._model, action)

    def _probe(self, action: Probe) -> ActionResult:
        try:
            body, timeout_s = self._files.warm_up(self._spec)
        except RolloutError as error:
            return ActionResult(action, error.message, is_permanent=True)
        try:
            answer = self._fleet.nodes[action.node].models.predict(self._model, action.version, body, timeout_s)
        except RolloutError as error:
            return ActionResult(action, error.message)
        if answer.is_answered:
            return ActionResult(action)
        said = f"said nothing in {timeout_s:g} s"
        if answer.status:
            said = f"answered {answer.status}: {answer.text.strip()[:200]}"
        return ActionResult(action, f"{action.node}: {action.version} {said}")


def _takes_away(action: Action) -> bool:
    return isinstance(action, Unregister) or (isinstance(action, Scale) and action.workers == 0)


def in_words(action: Action) -> str:
    """What an action does, for the journal: ``register 2.0 on local``."""
    match action:
        case Register(node=node, version=version):
            return f"register {version} on {node}"
        case Scale(node=node, version=version, workers=workers):
            return f"scale {version} to {workers} workers on {node}"
        case Probe(node=node, version=version):
            return f"send {version} its first request on {node}"
        case RunGates(version=version):
            return f"run the gates against {version}"
        case SetTraffic(node=node, policy=policy, epoch=epoch) | RenewLease(node=node, policy=policy, epoch=epoch):
            shares = [
                f"{format_pct(policy.weight_of(each))} to {each}" for each in (*policy.weights_pct, policy.stable)
            ]
            return f"send {', '.join(shares)} on {node} (epoch {epoch})"
        case ClearTraffic(node=node):
            return f"remove the traffic policy on {node}"
        case SetDefault(node=node, version=version):
            return f"make {version} the default on {node}"
        case Unregister(node=node, version=version):
            return f"unregister {version} on {node}"
