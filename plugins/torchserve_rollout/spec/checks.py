"""What single fields cannot know: rules between fields.

They run on plain data beside the schema, on every part that is valid by itself, so that one mistake does not hide
another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torchserve_rollout.errors import Problem
from torchserve_rollout.model import MODEL_PATTERN
from torchserve_rollout.spec.base import DurationS, Frozen
from torchserve_rollout.spec.items import valid_items, valid_part
from torchserve_rollout.spec.metric import metric_problems, signal_of
from torchserve_rollout.spec.mirror_checks import copies_problems, mirror_problems, mirrored_steps
from torchserve_rollout.spec.probe import PromptSpec
from torchserve_rollout.spec.problems import nearest
from torchserve_rollout.spec.schema import (
    AlarmSpec,
    BreakerSpec,
    CohortSpec,
    GateSpec,
    NoData,
    StepSpec,
    StickySpec,
    Strategy,
)
from torchserve_rollout.spec.signals import Asked, Signal, Unit
from torchserve_rollout.units import format_duration

MIN_LEASE_S = 1.0
# How HTTP writes the names of headers and cookies.
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def rollout_problems(data: Mapping[str, Any], known_signals: frozenset[str]) -> Iterator[Problem]:
    """Every broken rule between fields of a rollout spec."""
    yield from _model_problems(data.get("model"))
    yield from _step_problems(data)
    yield from _alarm_problems(data, known_signals)
    yield from _gate_problems(data)
    yield from _sticky_problems(data)
    yield from _cohort_problems(data)
    yield from mirror_problems(data)
    yield from _gateway_problems(data)


def probe_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Every broken rule between fields of a probe file."""
    for index, prompt in valid_items(data, "prompts", PromptSpec):
        path = f"prompts[{index}]"
        if not prompt.prompt and prompt.body is None:
            yield Problem(path, "asks nothing", "give it a prompt, or a body that is sent as it is")
        if prompt.prompt and prompt.body is not None:
            yield Problem(path, "has a prompt and a body; only one can be sent")
        if prompt.expect.matches is not None:
            try:
                re.compile(prompt.expect.matches)
            except re.error as error:
                yield Problem(f"{path}.expect.matches", f"is not a regular expression: {error}")


def _model_problems(model: object) -> Iterator[Problem]:
    if isinstance(model, str) and not MODEL_PATTERN.match(model):
        yield Problem("model", f"{model!r} is not a model name", "letters, digits, '.', '_' and '-', at most 64")


def _step_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    strategy, has_steps = data.get("strategy", Strategy.CANARY.value), bool(data.get("steps"))
    if strategy == Strategy.CANARY and not has_steps:
        yield Problem("steps", "a canary needs at least one step", "for example: - {weight: 5, bake: 60s}")
    if strategy == Strategy.ALL_AT_ONCE and has_steps:
        yield Problem("steps", "all_at_once takes no steps", "remove them, or use strategy: canary")
    before: StepSpec | None = None
    mirrored = dict(mirrored_steps(data))
    for index, step in valid_items(data, "steps", StepSpec):
        path = f"steps[{index}]"
        is_more_mirrored = mirrored.get(index, 0.0) > mirrored.get(index - 1, 0.0)
        if before is not None and (
            step.weight < before.weight or (step.weight == before.weight and not is_more_mirrored)
        ):
            yield Problem(f"{path}.weight", f"must be more than the {before.weight:g} of the step before")
        if step.weight == 0 and step.min_requests and not data.get("cohort") and not mirrored.get(index):
            yield Problem(f"{path}.min_requests", "at weight 0 no request arrives, so this can never be met")
        if step.max_requests and step.max_requests < step.min_requests:
            hint = f"the {step.min_requests} requests of min_requests can never arrive"
            yield Problem(f"{path}.max_requests", f"must be at least min_requests ({step.min_requests})", hint)
        for _, alarm in valid_items(data, "alarms", AlarmSpec):
            signal = signal_of(alarm)
            is_counted = signal is not None and signal.asked is Asked.USERS
            if 0 < step.max_requests < alarm.min_samples and is_counted and alarm.no_data is NoData.HOLD:
                hint = f"or give the alarm min_samples: {step.max_requests} or fewer"
                message = f"is too few for alarm {alarm.name!r}, which needs {alarm.min_samples} samples to pass"
                yield Problem(f"{path}.max_requests", message, hint)
        before = step


def _alarm_problems(data: Mapping[str, Any], known_signals: frozenset[str]) -> Iterator[Problem]:
    first_of: dict[str, int] = {}
    for index, alarm in valid_items(data, "alarms", AlarmSpec):
        path = f"alarms[{index}]"
        if not alarm.name.strip():
            yield Problem(f"{path}.name", "must not be empty")
        if alarm.name in first_of:
            yield Problem(f"{path}.name", f"{alarm.name!r} is already the name of alarms[{first_of[alarm.name]}]")
        first_of.setdefault(alarm.name, index)
        if alarm.max is None and alarm.min is None and not alarm.is_comparison:
            yield Problem(path, "has no bound and can never fire", "give it max, min or worse_than_stable_by")
        if alarm.window == 0:
            yield Problem(f"{path}.window", "must be longer than nothing")
        if alarm.max is not None and alarm.min is not None and alarm.min >= alarm.max:
            yield Problem(f"{path}.min", f"must be less than max ({alarm.max:g})")
        if alarm.no_data is NoData.FAIL and any(not step.bake for _, step in valid_items(data, "steps", StepSpec)):
            hint = "give every step a bake, or use no_data: hold"
            yield Problem(f"{path}.no_data", "a step without a bake would fail before its first request", hint)
        yield from _signal_problems(path, alarm, known_signals)
        signal = signal_of(alarm)
        if signal is not None and (alarm.metric is not None or alarm.signal in known_signals):
            yield from _probe_problems(path, alarm, signal, only_probe(data))
            yield from _bound_problems(path, data["alarms"][index], alarm, signal)
            yield from copies_problems(path, data, alarm, signal)


def _signal_problems(path: str, alarm: AlarmSpec, known_signals: frozenset[str]) -> Iterator[Problem]:
    if alarm.metric is not None:
        yield from metric_problems(f"{path}.metric", alarm.metric)
        if alarm.signal:
            yield Problem(f"{path}.metric", "the alarm has a signal already", "give it one of both")
    elif not alarm.signal:
        yield Problem(f"{path}.signal", "is required", "name one, or define one under metric")
    elif alarm.signal not in known_signals:
        yield Problem(f"{path}.signal", f"no source measures {alarm.signal!r}", nearest(alarm.signal, known_signals))


def only_probe(data: Mapping[str, Any]) -> str | None:
    """The one probe file that the gates name: what an alarm means that needs a probe and names none."""
    named = {gate.probe for _, gate in valid_items(data, "gates", GateSpec)}
    return named.pop() if len(named) == 1 else None


def _probe_problems(path: str, alarm: AlarmSpec, signal: Signal, implied: str | None) -> Iterator[Problem]:
    if signal.needs_probe and not (alarm.probe or implied):
        yield Problem(f"{path}.probe", f"{signal.name} needs a probe file to score", "probe: config/probes/smoke.yaml")
    if not signal.needs_probe and alarm.probe:
        yield Problem(f"{path}.probe", f"{signal.name} is measured on user traffic and takes no probe", "remove it")


def _bound_problems(path: str, written: Mapping[str, Any], alarm: AlarmSpec, signal: Signal) -> Iterator[Problem]:
    for key in ("max", "min", "worse_than_stable_by"):
        value = getattr(alarm, key)
        if value is None:
            continue
        text = written.get(key)
        is_duration = isinstance(text, str) and not text.strip().endswith("%")
        if signal.unit is Unit.SECONDS and isinstance(text, str) and not is_duration:
            yield Problem(f"{path}.{key}", f"{signal.name} is a duration, not a share", "write 2s or 250ms")
        elif signal.unit.is_up_to_one and is_duration:
            yield Problem(f"{path}.{key}", f"{signal.name} goes from 0 to 1 and is not a duration", "write 0.05 or 5%")
        elif signal.unit not in (Unit.SECONDS, Unit.NUMBER) and is_duration:
            yield Problem(f"{path}.{key}", f"{signal.name} is no duration", "write a plain number")
        elif value < 0 and signal.unit is not Unit.NUMBER:
            yield Problem(f"{path}.{key}", f"must not be negative, {signal.name} never is")
        elif signal.unit.is_up_to_one and value > 1:
            hint = f"{value:g} percent is {value / 100:g}"
            yield Problem(f"{path}.{key}", f"must be at most 1, {signal.name} goes from 0 to 1", hint)


def _gate_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    for index, gate in valid_items(data, "gates", GateSpec):
        if not gate.probe.strip():
            yield Problem(f"gates[{index}].probe", "must name a probe file")


def _sticky_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    sticky = valid_part(StickySpec, data.get("sticky"))
    if sticky is None:
        return
    named = [kind for kind, name in (("header", sticky.header), ("cookie", sticky.cookie)) if name is not None]
    if len(named) != 1:
        yield Problem("sticky", "must name exactly one of header and cookie", "sticky: {header: x-session-id}")
    for kind in named:
        if not _NAME.fullmatch(getattr(sticky, kind)):
            yield Problem(f"sticky.{kind}", f"{getattr(sticky, kind)!r} is not a {kind} name")


def _cohort_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    cohort = valid_part(CohortSpec, data.get("cohort"))
    if cohort is None:
        return
    if not _NAME.fullmatch(cohort.header):
        yield Problem("cohort.header", f"{cohort.header!r} is not a header name")
    if not cohort.value.strip() or cohort.value != cohort.value.strip() or not cohort.value.isprintable():
        hint = "headers carry no empty values, and no spaces around them"
        yield Problem("cohort.value", f"{cohort.value!r} can be no header's value", hint)
    if data.get("strategy", Strategy.CANARY.value) != Strategy.CANARY:
        yield Problem("cohort", "needs a canary: there is no step in which testers could go first", "remove it")


class _Lease(Frozen):
    lease: DurationS


def _gateway_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    lease = valid_part(_Lease, {"lease": data["lease"]}) if "lease" in data else None
    if lease is not None and lease.lease < MIN_LEASE_S:
        yield Problem("lease", f"must be at least {format_duration(MIN_LEASE_S)}", "it is renewed once a tick")
    breaker = valid_part(BreakerSpec, data.get("breaker"))
    if breaker is not None and breaker.window_failures > breaker.window:
        yield Problem("breaker.window_failures", f"must be at most the window ({breaker.window})")
