"""What must hold between ``mirror``, the strategy, the steps, and the alarms that look at mirrored requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torchserve_rollout.errors import Problem
from torchserve_rollout.spec.items import valid_items, valid_part
from torchserve_rollout.spec.schema import AlarmSpec, MirrorSpec, StepSpec, Strategy
from torchserve_rollout.spec.signals import Asked, Kind, Signal


def mirrored_steps(data: Mapping[str, Any]) -> Iterator[tuple[int, float]]:
    """The share that each valid step mirrors."""
    mirror = valid_part(MirrorSpec, data.get("mirror"))
    for index, step in valid_items(data, "steps", StepSpec):
        whole = mirror.share if mirror is not None else 0.0
        yield index, (step.mirror if step.mirror is not None else whole) if step.weight < 100 else 0.0


def mirror_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with mirroring in this rollout."""
    strategy = data.get("strategy", Strategy.CANARY.value)
    if strategy == Strategy.ALL_AT_ONCE and "mirror" in data:
        yield Problem("mirror", "all_at_once has no step in which requests could be mirrored", "use strategy: shadow")
    if strategy == Strategy.SHADOW and not data.get("steps"):
        hint = "for example: - {weight: 0, bake: 30m, min_requests: 500}"
        yield Problem("steps", "a shadow needs at least one step", hint)
    shares = dict(mirrored_steps(data))
    for index, step in valid_items(data, "steps", StepSpec):
        path = f"steps[{index}]"
        if step.mirror and step.weight >= 100:
            yield Problem(f"{path}.mirror", "at 100 % stable answers nothing that could be compared", "remove it")
        if strategy != Strategy.SHADOW:
            continue
        if step.weight:
            hint = "or use strategy: canary, which may begin with steps of weight 0"
            yield Problem(f"{path}.weight", "must be 0: no user is answered by a shadow", hint)
        elif not shares[index]:
            yield Problem(f"{path}.mirror", "a shadow gets copies, and this step makes none", "mirror: {share: 10%}")


def copies_problems(path: str, data: Mapping[str, Any], alarm: AlarmSpec, signal: Signal) -> Iterator[Problem]:
    """What is wrong with an alarm that looks at mirrored requests."""
    if signal.asked is not Asked.COPIES:
        return
    if not any(share for _, share in mirrored_steps(data)):
        hint = "mirror: {share: 10%}"
        yield Problem(f"{path}.signal", f"{signal.name} looks at mirrored requests, and no step makes any", hint)
    if signal.kind is Kind.PAIRED and alarm.worse_than_stable_ratio is not None:
        hint = "use worse_than_stable_by; 0 allows nothing"
        yield Problem(f"{path}.worse_than_stable_ratio", f"{signal.name} counts pairs, which have no ratio", hint)
    if signal.kind is not Kind.PAIRED and alarm.is_comparison:
        bound = "worse_than_stable_by" if alarm.worse_than_stable_by is not None else "worse_than_stable_ratio"
        yield Problem(f"{path}.{bound}", f"{signal.name} is the same for both versions", "use max")
