"""The gateway's traffic API (docs/reference/traffic-api.md): types on this side, query and JSON on that."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from torchserve_rollout.errors import ServerError
from torchserve_rollout.model import (
    Failover,
    MirrorHalf,
    MirrorPage,
    MirrorPair,
    ModelName,
    Outcome,
    TrafficPolicy,
    TrafficStatus,
    VersionName,
)
from torchserve_rollout.torchserve.listener import Listener, raise_for


class TrafficClient:
    """Traffic policies of one node."""

    def __init__(self, management: Listener) -> None:
        self._management = management

    def status(self, model: ModelName) -> TrafficStatus | None:
        """The policy in force; None when the model has none.

        Raises:
            ServerError: no gateway is installed there.
        """
        # All policies at once: the 404 for a model without one looks like the 404 of a TorchServe without a gateway.
        answer = self._management.get("/traffic")
        if answer.status_code == 404:
            raise ServerError(
                f"{self._management.url} has no /traffic: the gateway plugin is not loaded",
                status=404,
                hint="start TorchServe with plugins_path=plugins (ts-rollout doctor checks it)",
            )
        raise_for(answer, f"asking for the traffic policy of {model}")
        found = (each for each in answer.json()["policies"] if each["model"] == model)
        return next((traffic_status(each) for each in found), None)

    def put(self, policy: TrafficPolicy, epoch: int) -> TrafficStatus:
        """Put ``policy`` in force, or renew its lease when epoch and content are those in force.

        Raises:
            StaleEpoch: a newer policy is in force. NotFoundError: unknown model or version. ServerError: refused.
        """
        answer = self._management.send("PUT", f"/traffic/{policy.model}", policy_query(policy, epoch))
        raise_for(answer, f"setting the traffic policy of {policy.model} (epoch {epoch})")
        return traffic_status(answer.json())

    def delete(self, model: ModelName, epoch: int) -> None:
        """Remove the policy; nothing happens when there is none.

        Raises:
            StaleEpoch: a newer policy is in force.
        """
        answer = self._management.send("DELETE", f"/traffic/{model}", {"epoch": epoch})
        if answer.status_code != 404:
            raise_for(answer, f"removing the traffic policy of {model} (epoch {epoch})")

    def mirror_pairs(
        self, model: ModelName, after: int = 0, limit: int = 100, *, with_bodies: bool = True
    ) -> MirrorPage:
        """Pairs of answers to mirrored requests later than ``after``, oldest first; 0 = all that are kept."""
        query: dict[str, str | int | float] = {"after": after, "limit": limit, "bodies": str(with_bodies).lower()}
        answer = self._management.get(f"/mirror/{model}", query)
        raise_for(answer, f"reading the mirrored requests of {model}")
        content = answer.json()
        pairs = tuple(_mirror_pair(each) for each in content["pairs"])
        return MirrorPage(pairs, lost=int(content["lost"]), newest=int(content["newest"]))


def policy_query(policy: TrafficPolicy, epoch: int) -> dict[str, str | int | float]:
    """The query string of ``PUT /traffic/{model}``."""
    query: dict[str, str | int | float] = {
        "epoch": epoch,
        "stable": policy.stable,
        "weights": _shares(policy.weights_pct),
        "lease_s": _number(policy.lease_s),
        "failover": policy.failover.value,
        "candidate_deadline_s": _number(policy.candidate_deadline_s),
        "stable_deadline_s": _number(policy.stable_deadline_s),
        "breaker_consecutive": policy.breaker_consecutive,
        "breaker_window": policy.breaker_window,
        "breaker_window_failures": policy.breaker_window_failures,
        "max_requests": policy.max_requests,
        "replay_budget": _number(policy.replay_budget_pct),
        "replay_budget_min": policy.replay_budget_min,
    }
    if policy.sticky:
        query["sticky"] = policy.sticky
    if policy.mirrors_pct:
        query["mirror"] = _shares(policy.mirrors_pct)
    if policy.cohort:
        query["cohort"] = policy.cohort
    return query


def traffic_status(content: dict[str, Any]) -> TrafficStatus:
    """From the JSON of the traffic API."""
    breaker = content["breaker"]
    policy = TrafficPolicy(
        model=ModelName(content["model"]),
        stable=VersionName(content["stable"]),
        weights_pct={VersionName(version): float(weight) for version, weight in content["weights"].items()},
        failover=Failover(content["failover"]),
        lease_s=float(content["lease_s"]),
        candidate_deadline_s=float(content["candidate_deadline_s"]),
        stable_deadline_s=float(content["stable_deadline_s"]),
        breaker_consecutive=int(breaker["consecutive"]),
        breaker_window=int(breaker["window"]),
        breaker_window_failures=int(breaker["window_failures"]),
        sticky=content.get("sticky"),
        cohort=content.get("cohort"),
        max_requests=int(content["max_requests"]),
        replay_budget_pct=float(content["replay_budget"]),
        replay_budget_min=int(content["replay_budget_min"]),
        mirrors_pct={VersionName(version): float(share) for version, share in content["mirror"].items()},
    )
    return TrafficStatus(
        policy=policy,
        epoch=int(content["epoch"]),
        lease_is_valid=bool(content["lease_valid"]),
        effective_weights_pct={VersionName(v): float(w) for v, w in content["effective_weights"].items()},
        breakers_open={VersionName(v): str(state["reason"]) for v, state in content["breakers_open"].items()},
        in_flight={VersionName(v): int(n) for v, n in content["in_flight"].items()},
        exposed={VersionName(v): int(n) for v, n in content["exposed"].items()},
    )


def _mirror_pair(content: Mapping[str, Any]) -> MirrorPair:
    return MirrorPair(
        sequence=int(content["sequence"]),
        request_id=str(content["request_id"]),
        at_s=float(content["at_s"]),
        primary=_mirror_half(content["primary"]),
        shadow=_mirror_half(content["shadow"]),
        is_same_body=bool(content["same_body"]),
    )


def _mirror_half(content: Mapping[str, Any]) -> MirrorHalf:
    body = str(content.get("body", ""))
    return MirrorHalf(
        version=VersionName(content["version"]),
        status=int(content["status"]),
        outcome=Outcome(content["outcome"]),
        latency_s=float(content["latency_s"]),
        body=base64.b64decode(body) if content.get("encoding") == "base64" else body.encode(),
        is_truncated=bool(content["truncated"]),
        is_complete=bool(content["complete"]),
        is_failover=bool(content["failover"]),
    )


def _shares(shares_pct: Mapping[VersionName, float]) -> str:
    return ",".join(f"{version}:{_number(share)}" for version, share in shares_pct.items())


def _number(value: float) -> str:
    """Plain decimals: an exponent is no percentage to the gateway."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
