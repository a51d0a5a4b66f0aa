"""A rollout judged again from what its journal holds: the same spec gives the same verdicts, another its own."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from torchserve_rollout.analysis.judge import JUDGE
from torchserve_rollout.analysis.samples import TickEvidence
from torchserve_rollout.analysis.verdict import AlarmVerdict, Judgement
from torchserve_rollout.controller.show import alarm_view
from torchserve_rollout.controller.views import DifferenceView, ReplayedView, ReplayView
from torchserve_rollout.controller.window import EvidenceWindow
from torchserve_rollout.machine.judging import judge_window, noted
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.spec.schema import AlarmAction, RolloutSpec
from torchserve_rollout.store.codec import alarm_to_json, state_from_json
from torchserve_rollout.store.records import Event, RolloutRecord

JUDGED_AT: Final = "judged_at"


@dataclass(frozen=True, slots=True)
class _Look:
    """One judgement, made again, and the state in which it was made."""

    at: datetime
    state: RolloutState
    judgement: Judgement


def replay(
    record: RolloutRecord, events: Sequence[Event], evidence: Sequence[TickEvidence], spec: RolloutSpec | None = None
) -> ReplayView:
    """Judge ``record`` again at each moment at which it was, or could have been, judged.

    When weights came into force is history and stays as it was; only the judging is done again. ``spec`` puts other
    alarms in the place of the recorded ones.
    """
    looks = list(_looks(spec or record.spec, _states(events), evidence, _moments(events, evidence)))
    differences = [] if spec else list(_differences(events, looks))
    return ReplayView(
        id=record.id,
        judge=JUDGE,
        is_other_spec=spec is not None,
        looks=len(looks),
        is_same=not differences,
        differences=differences,
        verdicts=[_view(look) for look in _changes(looks)],
        outcome=_outcome(looks),
        unmeasured=_unmeasured(spec or record.spec, evidence),
    )


def _states(events: Iterable[Event]) -> list[tuple[datetime, RolloutState]]:
    return [(event.at, state_from_json(event.data["state"])) for event in events if "state" in event.data]


def _moments(events: Iterable[Event], evidence: Iterable[TickEvidence]) -> list[datetime]:
    recorded = {datetime.fromisoformat(event.data[JUDGED_AT]) for event in events if event.data.get(JUDGED_AT)}
    return sorted(recorded | {tick.at for tick in evidence})


def _looks(
    spec: RolloutSpec,
    states: Sequence[tuple[datetime, RolloutState]],
    evidence: Sequence[TickEvidence],
    moments: Sequence[datetime],
) -> Iterator[_Look]:
    """A tick judges in the state that the tick before it decided on, on all that was measured until then."""
    window, by_time = EvidenceWindow(spec), {tick.at: tick for tick in evidence}
    begun = [at for at, _ in states]
    remembered: RolloutState | None = None
    for now in moments:
        index = bisect_left(begun, now) - 1
        if index < 0:
            continue
        state = states[index][1]
        # Since when rules are broken depends on the spec that judges; a new phase begins anew.
        is_going_on = remembered is not None and remembered.phase is state.phase
        state = replace(state, broken_since=remembered.broken_since if is_going_on and remembered else {})
        if now in by_time:
            window.add(by_time[now], state)
        judgement = judge_window(state, spec, window.ticks, now)
        remembered = noted(state, spec, judgement, now)
        if judgement is not None:
            yield _Look(now, state, judgement)


def _differences(events: Iterable[Event], looks: Iterable[_Look]) -> Iterator[DifferenceView]:
    """Where the journal says something else than what comes out now, byte for byte."""
    again = {look.at: look.judgement for look in looks}
    for event in events:
        recorded = event.data.get("alarms")
        if not recorded or not event.data.get(JUDGED_AT):
            continue
        judgement = again.get(datetime.fromisoformat(event.data[JUDGED_AT]))
        alarms = [alarm_to_json(alarm) for alarm in judgement.alarms] if judgement else []
        if _text(recorded) != _text(alarms):
            said = "; ".join(alarm["sentence"] for alarm in recorded)
            judge = event.data.get("judge", "")
            yield DifferenceView(
                at=event.at, judge=judge, recorded=said, replayed="; ".join(str(alarm["sentence"]) for alarm in alarms)
            )


def _text(alarms: Any) -> str:
    return json.dumps(alarms, sort_keys=True)


def _changes(looks: Iterable[_Look]) -> Iterator[_Look]:
    """The looks at which some alarm's verdict became another."""
    before: tuple[tuple[str, int], ...] = ()
    for look in looks:
        verdicts = tuple((alarm.alarm, int(alarm.verdict)) for alarm in look.judgement.alarms)
        if verdicts != before:
            yield look
        before = verdicts


def _view(look: _Look) -> ReplayedView:
    return ReplayedView(
        at=look.at,
        phase=look.state.phase.value,
        weight_pct=look.state.weight_pct,
        verdict=look.judgement.verdict.name,
        sentence=look.judgement.sentence,
        alarms=[alarm_view(alarm) for alarm in look.judgement.alarms],
    )


def _outcome(looks: Iterable[_Look]) -> str:
    """The first alarm that fires and what it asks for."""
    for look in looks:
        for alarm in look.judgement.failing():
            if alarm.action != AlarmAction.NOTIFY:
                return f"{look.at.isoformat()} {_asks(alarm)}: {alarm.sentence}"
    return "no alarm fires"


def _asks(alarm: AlarmVerdict) -> str:
    return "rolls back" if alarm.action == AlarmAction.ROLLBACK else "holds"


def _unmeasured(spec: RolloutSpec, evidence: Iterable[TickEvidence]) -> list[str]:
    measured = {key for tick in evidence for key in tick.measurements}
    return [alarm.name for alarm in spec.alarms if alarm.signal_key not in measured]
