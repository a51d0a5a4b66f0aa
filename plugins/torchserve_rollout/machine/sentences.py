"""Small pieces of the sentences a decision says."""

from __future__ import annotations

from collections.abc import Iterable

from torchserve_rollout.machine.actions import Action, Probe, Register, RunGates, Scale, SetDefault
from torchserve_rollout.machine.observation import Observation
from torchserve_rollout.model import NodeStatus, VersionName


def on_nodes(what: str, nodes: Iterable[NodeStatus]) -> list[str]:
    """``["2.0 is not ready on a, b"]``; nothing when there is no such node."""
    names = ", ".join(node.node for node in nodes)
    return [f"{what} on {names}"] if names else []


def silent(names: Iterable[str]) -> list[str]:
    """The nodes that do not answer."""
    listed = list(names)
    return [f"{', '.join(listed)} {'do' if len(listed) > 1 else 'does'} not answer"] if listed else []


def other_defaults(nodes: Iterable[NodeStatus], wished: VersionName) -> list[str]:
    """Where the default is not ``wished``."""
    return [
        f"the default on {node.node} is {node.default_version or 'unset'}, not {wished}"
        for node in nodes
        if node.default_version != wished
    ]


def last_error(observation: Observation) -> str:
    """What went wrong in the previous tick, to stand behind a sentence; empty when nothing did."""
    errors = [f"{describe(result.action)}: {result.error}" for result in observation.results if not result.is_ok]
    return f" (last error: {errors[-1]})" if errors else ""


def describe(action: Action) -> str:
    """The action for a person: ``registering 2.0 on a``."""
    match action:
        case Register():
            return f"registering {action.version} on {action.node}"
        case Scale():
            workers = f"{action.workers} worker{'s' if action.workers != 1 else ''}"
            return f"starting {workers} of {action.version} on {action.node}"
        case Probe():
            return f"probing {action.version} on {action.node}"
        case RunGates():
            return f"running the gates on {action.version}"
        case SetDefault():
            return f"making {action.version} the default on {action.node}"
        case _:
            return f"{_WORDS.get(type(action).__name__, type(action).__name__)} on {action.node}"


_WORDS = {
    "SetTraffic": "setting the traffic policy",
    "RenewLease": "renewing the lease",
    "ClearTraffic": "removing the traffic policy",
    "Unregister": "unregistering the candidate",
}
