"""What a rollout would do, step by step, before anything moves. Pure: spec in, plan out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torchserve_rollout.model import VersionName
from torchserve_rollout.spec.metric import signal_of
from torchserve_rollout.spec.schema import AlarmSpec, RolloutSpec, StepSpec, Strategy
from torchserve_rollout.spec.signals import Asked, Kind, Unit, Worse
from torchserve_rollout.units import format_duration, format_pct


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One stretch of the rollout. ``start_s`` is the earliest start, counted from the first moved request."""

    name: str
    weight_pct: float
    bake_s: float
    min_requests: int
    start_s: float
    sentence: str
    mirror_pct: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What would happen. ``duration_s`` is the earliest end; waiting for requests or for a verdict comes on top."""

    model: str
    stable: VersionName | None
    candidate: VersionName
    steps: tuple[PlannedStep, ...]
    duration_s: float
    alarms: tuple[str, ...]
    warnings: tuple[str, ...]


def steps_of(spec: RolloutSpec, stable: VersionName | None) -> tuple[StepSpec, ...]:
    """The steps that will be walked: none for ``all_at_once``, and none for a model's first version."""
    if stable is None or spec.strategy is Strategy.ALL_AT_ONCE:
        return ()
    return spec.steps


def mirror_share(spec: RolloutSpec, step: StepSpec) -> float:
    """Which share of stable's requests is copied to the candidate in ``step``; at 100 % stable has none."""
    if step.weight >= 100:
        return 0.0
    if step.mirror is not None:
        return step.mirror
    return spec.mirror.share if spec.mirror is not None else 0.0


def mirrors(spec: RolloutSpec, stable: VersionName | None) -> bool:
    """Whether some step copies requests to the candidate."""
    return any(mirror_share(spec, step) for step in steps_of(spec, stable))


def final_bake_of(spec: RolloutSpec, stable: VersionName | None) -> float:
    """Seconds of the final bake: none for a model's first version, which can neither be compared nor rolled back."""
    return spec.final_bake if stable is not None else 0.0


def plan(spec: RolloutSpec, stable: VersionName | None, candidate: VersionName) -> Plan:
    """What ``spec`` would do to bring ``candidate`` live beside ``stable``, which is None for a first version."""
    planned = list(_prepare(spec, candidate))
    start_s = 0.0
    for number, step in enumerate(steps_of(spec, stable), 1):
        mirror_pct = 100 * mirror_share(spec, step)
        sentence = _step_in_words(spec, step, candidate, mirror_pct)
        planned.append(
            PlannedStep(f"step {number}", step.weight, step.bake, step.min_requests, start_s, sentence, mirror_pct)
        )
        start_s += step.bake
    planned.append(
        PlannedStep("promote", 100.0, 0.0, 0, start_s, f"{candidate} becomes the default version on every node")
    )
    bake_s = final_bake_of(spec, stable)
    if stable is not None:
        sentence = (
            f"{candidate} takes all requests for {format_duration(bake_s)}; "
            f"{stable} stays loaded and the alarms stay armed{_kept(spec)}"
        )
        planned.append(PlannedStep("final bake", 100.0, bake_s, 0, start_s, sentence))
    return Plan(
        model=spec.model,
        stable=stable,
        candidate=candidate,
        steps=tuple(planned),
        duration_s=start_s + bake_s,
        alarms=tuple(_alarm_in_words(alarm) for alarm in spec.alarms),
        warnings=tuple(_warnings(spec, stable)),
    )


def _step_in_words(spec: RolloutSpec, step: StepSpec, candidate: VersionName, mirror_pct: float) -> str:
    is_dark = step.weight == 0 and spec.cohort is None
    counted = "copies" if is_dark and mirror_pct else "requests"
    until = format_duration(step.bake) + (f" and {step.min_requests} {counted}" if step.min_requests else "")
    if is_dark and mirror_pct:
        return (
            f"{candidate} gets copies of {format_pct(mirror_pct)} of the requests for {until}; no user sees its answers"
        )
    who = f"{format_pct(step.weight)} of the requests" + (" and all testers" if spec.cohort else "")
    limit = f", at most {step.max_requests} on each node" if step.max_requests else ""
    copied = f"; copies of {format_pct(mirror_pct)} of stable's requests too" if mirror_pct else ""
    return f"{who} go to {candidate} for {until}{limit}{copied}"


def render(plan: Plan) -> tuple[str, ...]:
    """The plan as lines for a terminal."""
    against = f"beside {plan.stable}" if plan.stable else "as its first version"
    lines = [f"{plan.model}: {plan.candidate} {against}, at least {format_duration(plan.duration_s)}"]
    width = max(len(step.name) for step in plan.steps)
    lines += [f"  +{format_duration(s.start_s):<7} {s.name:<{width}}  {s.sentence}" for s in plan.steps]
    lines += [f"  alarm    {alarm}" for alarm in plan.alarms]
    lines += [f"  warning  {warning}" for warning in plan.warnings]
    return tuple(lines)


def _alarm_in_words(alarm: AlarmSpec) -> str:
    then = "only told (dry run)" if alarm.dry_run else f"then {alarm.action}"
    return f"{alarm.name}: {rule_in_words(alarm)}, {then}"


def rule_in_words(alarm: AlarmSpec) -> str:
    """``error_rate at most 5 %``, ``latency_p95 at most 200ms worse than stable``."""
    signal = signal_of(alarm)
    unit = signal.unit if signal else Unit.SCORE
    parts = []
    if alarm.max is not None:
        parts.append(f"at most {format_value(alarm.max, unit)}")
    if alarm.min is not None:
        parts.append(f"at least {format_value(alarm.min, unit)}")
    if alarm.worse_than_stable_by is not None:
        parts.append(margin_in_words(alarm.worse_than_stable_by, unit))
    if alarm.worse_than_stable_ratio is not None:
        parts.append(ratio_in_words(alarm.worse_than_stable_ratio, signal.worse if signal else Worse.HIGHER))
    over = f" over {format_duration(alarm.window)}" if alarm.window else ""
    held = f", broken for {format_duration(alarm.for_s)}" if alarm.for_s else ""
    return f"{alarm.signal_name}{over} {' and '.join(parts)}{held}"


def margin_in_words(margin: float, unit: Unit) -> str:
    """``at most 1 % worse than stable``."""
    return f"at most {format_value(margin, unit)} worse than stable"


def ratio_in_words(ratio: float, worse: Worse) -> str:
    """``at most 1.5 times stable``; where less is worse, ``at least stable divided by 1.5``."""
    return f"at most {ratio:g} times stable" if worse is Worse.HIGHER else f"at least stable divided by {ratio:g}"


def format_value(value: float, unit: Unit) -> str:
    """A signal's value in its unit: ``4.2 %``, ``1.5s``, ``0.87``."""
    if unit is Unit.SHARE:
        return f"{100 * value:.3g} %"
    if unit is Unit.SECONDS:
        return format_duration(value)
    if unit is Unit.MEGABYTES:
        return f"{value:.0f} MB"
    if unit is Unit.PER_SECOND:
        return f"{value:.3g}/s"
    return f"{value:.3g}" if unit is Unit.SCORE else f"{value:.6g}"


def _prepare(spec: RolloutSpec, candidate: VersionName) -> Iterator[PlannedStep]:
    workers = f"{spec.prepare.workers} worker{'s' if spec.prepare.workers != 1 else ''}"
    sentence = f"{candidate} is registered with {workers} and answers a probe; no user request reaches it"
    yield PlannedStep("prepare", 0.0, 0.0, 0, 0.0, sentence)
    for gate in spec.gates:
        yield PlannedStep("gate", 0.0, 0.0, 0, 0.0, f"{gate.probe} must score at least {gate.min_score:g}")


def _kept(spec: RolloutSpec) -> str:
    return f", then for {format_duration(spec.keep_prior)} more" if spec.keep_prior else ""


def _warnings(spec: RolloutSpec, stable: VersionName | None) -> Iterator[str]:
    if stable is None:
        if spec.steps:
            yield (
                f"{spec.model} has no stable version yet: steps, alarms and final bake are left out, "
                "and there is nothing to roll back to"
            )
        return
    if not spec.alarms:
        yield "no alarms: only the gateway's breaker can stop a bad version"
    steps = steps_of(spec, stable)
    watches_copies = any((signal := signal_of(alarm)) and signal.asked is Asked.COPIES for alarm in spec.alarms)
    if spec.alarms and not watches_copies and mirrors(spec, stable):
        yield "no alarm looks at what is mirrored: mirror_error_rate and mirror_slower_rate would"
    for alarm in spec.alarms:
        signal = signal_of(alarm)
        if signal is not None and signal.kind in (Kind.RATE, Kind.QUANTILE) and signal.asked is not Asked.COPIES:
            for number, step in enumerate(steps, 1):
                if 0 < step.min_requests < alarm.min_samples:
                    yield (
                        f"step {number} asks for {step.min_requests} requests, but {alarm.name} needs "
                        f"{alarm.min_samples} samples: the step waits for them"
                    )
        if alarm.is_comparison and steps and steps[0].weight == 100:
            yield f"{alarm.name} compares with stable, which gets no requests beside a first step of 100 %"
    if steps and steps[-1].weight < 50:
        yield f"the last step is {format_pct(steps[-1].weight)}: promotion is a jump from there to 100 %"
    if spec.warm_up:
        for number, step in enumerate(steps, 1):
            if 0 < step.bake <= spec.warm_up:
                yield (
                    f"step {number} bakes {format_duration(step.bake)}, and the first {format_duration(spec.warm_up)} "
                    "are warm-up: nothing is judged before its bake is over"
                )
    if not spec.final_bake:
        late = "" if spec.keep_prior else ", and with keep_prior: 0s no alarm can set the default back"
        yield f"no final_bake: from its promotion on nobody answers what the new version cannot{late}"
