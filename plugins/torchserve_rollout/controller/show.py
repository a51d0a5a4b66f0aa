"""Records of the journal as the views every face shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from torchserve_rollout.analysis.before import relaxed
from torchserve_rollout.analysis.verdict import AlarmVerdict
from torchserve_rollout.controller.views import (
    AlarmView,
    AnswerView,
    BaselineView,
    EventView,
    ExplanationView,
    PairsView,
    PairView,
    RolloutView,
)
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.model import Mirrored, MirrorHalf, RolloutId
from torchserve_rollout.spec.plan import rule_in_words, steps_of
from torchserve_rollout.store.records import Event, EventKind, RolloutRecord

# DESIGN section 6; a held rollout waits for a person, so whoever watches it is told at once.
_EXIT_CODES = {Phase.SUCCEEDED: 0, Phase.FAILED: 1, Phase.ABORTED: 3, Phase.ROLLED_BACK: 3, Phase.HELD: 4}
_TURNING_POINTS = frozenset({Phase.ABORTING, Phase.ROLLING_BACK, Phase.HELD})


def rollout_view(record: RolloutRecord) -> RolloutView:
    """One rollout as it stands."""
    state = record.state
    return RolloutView(
        id=record.id,
        model=state.model,
        stable=state.stable,
        candidate=state.candidate,
        strategy=record.spec.strategy.value,
        phase=state.phase.value,
        is_terminal=state.phase.is_terminal,
        reason=record.sentence or state.reason,
        weight_pct=state.weight_pct,
        step=state.step_index,
        steps=len(steps_of(record.spec, state.stable)),
        step_since=state.step_since,
        phase_since=state.phase_since,
        pause_reasons=sorted(reason.value for reason in state.pause_reasons),
        ended_by=state.ended_by,
        created_at=record.created_at,
        ended_at=record.ended_at,
        warm_until=state.warm_until,
        started_by=record.started_by,
        alarms=[alarm_view(alarm) for alarm in record.alarms],
        baselines=_baselines(record),
        exit_code=_EXIT_CODES.get(state.phase),
    )


def alarm_view(alarm: AlarmVerdict) -> AlarmView:
    """One alarm as it was judged."""
    return AlarmView(
        name=alarm.alarm,
        signal=alarm.signal,
        verdict=alarm.verdict.name,
        candidate=alarm.candidate,
        stable=alarm.stable,
        candidate_n=alarm.candidate_n,
        stable_n=alarm.stable_n,
        rule=alarm.rule,
        sentence=alarm.sentence,
        severity=alarm.severity,
        is_dry_run=alarm.is_dry_run,
        candidate_interval=alarm.candidate_interval,
        stable_interval=alarm.stable_interval,
    )


def _baselines(record: RolloutRecord) -> list[BaselineView]:
    """The bounds that are measured against what stable did before the start."""
    seen = record.state.baselines
    eased = relaxed(record.spec, seen)
    return [
        BaselineView(
            alarm=asked.name, value=seen[asked.name], asked=rule_in_words(asked), allowed=rule_in_words(allowed)
        )
        for asked, allowed in zip(record.spec.alarms, eased.alarms, strict=True)
        if asked.name in seen
    ]


def event_view(event: Event) -> EventView:
    """One line of the journal."""
    return EventView(
        seq=event.seq,
        rollout_id=event.rollout_id,
        at=event.at,
        kind=event.kind.value,
        sentence=event.sentence,
        phase=event.phase,
        weight_pct=event.weight_pct,
        verdict=event.verdict,
        data=dict(event.data),
    )


def pairs_view(rollout_id: RolloutId, mirrored: Mirrored) -> PairsView:
    """The mirrored requests of one rollout, oldest first."""
    return PairsView(
        id=rollout_id,
        seen=mirrored.seen,
        lost=mirrored.lost,
        pairs=[
            PairView(
                at=datetime.fromtimestamp(each.pair.at_s, timezone.utc),
                node=each.node,
                request_id=each.pair.request_id,
                is_odd=each.is_odd,
                stable=_answer_view(each.pair.primary),
                candidate=_answer_view(each.pair.shadow),
            )
            for each in mirrored.kept
        ],
    )


def _answer_view(half: MirrorHalf) -> AnswerView:
    return AnswerView(
        version=half.version,
        status=half.status,
        outcome=half.outcome.value,
        latency_s=half.latency_s,
        body=half.body.decode("utf-8", "replace") if half.body else None,
        is_truncated=half.is_truncated,
    )


def explanation_view(record: RolloutRecord, events: Sequence[Event]) -> ExplanationView:
    """Why it stands where it stands: the decision that turned it round, or else the last one."""
    deciding = _deciding(events)
    return ExplanationView(
        rollout=rollout_view(record),
        sentence=deciding.sentence if deciding else record.state.reason,
        deciding_alarm=_deciding_alarm(record, deciding),
        decided_at=deciding.at if deciding else None,
        timeline=[event_view(event) for event in events],
    )


def _deciding(events: Sequence[Event]) -> Event | None:
    """The first event of the last turn for the worse; without one the last decision."""
    decisions = [event for event in events if event.kind is EventKind.DECIDED]
    turning = [
        event
        for before, event in zip([None, *decisions], decisions, strict=False)
        if event.phase in _TURNING_POINTS and (before is None or before.phase != event.phase)
    ]
    return next(iter([*turning[-1:], *decisions[-1:]]), None)


def _deciding_alarm(record: RolloutRecord, deciding: Event | None) -> AlarmView | None:
    """The alarm named by ``ended_by``, as it was judged when it decided."""
    kind, _, name = record.state.ended_by.partition(":")
    if kind != "alarm" or deciding is None:
        return None
    judged: Sequence[dict[str, Any]] = deciding.data.get("alarms", [])
    return next((AlarmView.model_validate(alarm) for alarm in judged if alarm["name"] == name), None)
