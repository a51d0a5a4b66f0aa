"""One tick of one rollout: observe, judge, decide, journal the intent, act, journal the outcome."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from torchserve_rollout.analysis.samples import TickEvidence
from torchserve_rollout.analysis.verdict import AlarmVerdict, Judgement, Verdict
from torchserve_rollout.clock import Clock
from torchserve_rollout.controller.actuate import in_words
from torchserve_rollout.controller.replay import JUDGED_AT
from torchserve_rollout.controller.window import EvidenceWindow
from torchserve_rollout.machine.actions import Action, ActionResult, RenewLease
from torchserve_rollout.machine.decide import Decision, decide
from torchserve_rollout.machine.judging import baseline_of, judge_window
from torchserve_rollout.machine.observation import Observation
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.spec.schema import AlarmAction
from torchserve_rollout.store.codec import alarm_to_json, state_to_json
from torchserve_rollout.store.journal import Journal
from torchserve_rollout.store.records import (
    CompletedVersion,
    EventKind,
    NewEvent,
    PendingCommand,
    RolloutRecord,
    TickRecord,
)
from torchserve_rollout.units import format_pct

log = logging.getLogger("torchserve_rollout.tick")


class Eyes(Protocol):
    """What sees the world for one rollout (``observe.Observer``)."""

    def look(self, state: RolloutState, results: tuple[ActionResult, ...], candidate_requests: int) -> Observation: ...

    def measure(self, state: RolloutState, now: datetime) -> TickEvidence: ...


class Hands(Protocol):
    """What changes the world for one rollout (``actuate.Actuator``)."""

    def act(self, actions: Sequence[Action]) -> tuple[ActionResult, ...]: ...


class Tell(Protocol):
    """Hears the sentence of every decision that changed something, and of every ``alarm`` that only tells.

    Must return at once.
    """

    def __call__(self, state: RolloutState, sentence: str, alarm: str = "") -> None: ...


# After success, where a rollout may be watched for days, ticks are stored together.
_GATHERED_S = 10.0


class RolloutTick:
    """Ticks of one rollout. All it remembers between two ticks it can also read from the journal."""

    def __init__(
        self, record: RolloutRecord, journal: Journal, eyes: Eyes, hands: Hands, clock: Clock, tell: Tell
    ) -> None:
        self._spec = record.spec
        self._journal = journal
        self._eyes = eyes
        self._hands = hands
        self._clock = clock
        self._tell = tell
        self._alarms = record.alarms
        self._results: tuple[ActionResult, ...] = ()
        self._journaled_actions: frozenset[str] = frozenset()
        self._journaled_errors: frozenset[str] = frozenset()
        self.state = record.state
        self.has_news = False
        self._had_error = False
        evidence = journal.evidence(record.id, since=baseline_of(record.state))
        self._window = EvidenceWindow(record.spec, evidence)
        self._gathered_since: datetime | None = None

    def run(self) -> None:
        """One tick. Afterwards ``has_news`` says whether the state changed, so that the next is worth having soon."""
        self.has_news = False
        now = self._clock.now()
        evidence = self._measured(now)
        requests = self._window.candidate_requests(self.state)
        observation = self._eyes.look(self.state, self._results, requests)
        judgement = judge_window(self.state, self._spec, self._window.ticks, now)
        commands = self._journal.pending_commands(self.state.rollout_id)
        decision = decide(self.state, self._spec, observation, judgement, [each.command for each in commands], now)
        before = self.state
        self._write_intent(before, decision, judgement, commands, evidence, now)
        self.state = decision.state
        self._results = self._hands.act(decision.actions)
        self._write_outcome()
        self.has_news = _is_news(before, decision.state)

    def _measured(self, now: datetime) -> TickEvidence:
        """What this tick measured; while it is gathered, all since it was last stored."""
        evidence = self._eyes.measure(self.state, now)
        if not self.state.is_watched:
            self._window.add(evidence, self.state)
            return evidence
        self._gathered_since = self._gathered_since or now
        return self._window.gather(evidence)

    def _is_gathering(self, now: datetime) -> bool:
        """Nothing is due for the journal unless something happened."""
        return self._gathered_since is not None and (now - self._gathered_since).total_seconds() < _GATHERED_S

    def _stored(self, evidence: TickEvidence, before: RolloutState) -> TickEvidence | None:
        """What goes into the journal of ``evidence``; what was gathered is complete with it."""
        if self._gathered_since is not None:
            self._gathered_since = None
            self._window.add(evidence, before)
        return self._worth_keeping(evidence)

    def _worth_keeping(self, evidence: TickEvidence) -> TickEvidence | None:
        """The evidence if it can bear on a verdict: something was counted, or a source failed, or works again."""
        had_error, self._had_error = self._had_error, any(each.error for each in evidence.measurements.values())
        if not (self.state.is_armed or self.state.phase in (Phase.PREPARING, Phase.HELD)):
            return None
        samples = [side for each in evidence.measurements.values() for side in (each.candidate, each.stable)]
        is_empty = not any(sample.n for sample in samples if sample is not None)
        return None if is_empty and not self._had_error and not had_error else evidence

    # -- the journal -------------------------------------------------------------------------------------------

    def _write_intent(
        self,
        before: RolloutState,
        decision: Decision,
        judgement: Judgement | None,
        commands: Sequence[PendingCommand],
        evidence: TickEvidence,
        judged_at: datetime,
    ) -> None:
        fired = self._newly_told(decision.state, judgement)
        events = [*self._command_events(commands, decision), *self._verdict_events(judgement, judged_at)]
        actions = [in_words(action) for action in decision.actions if not isinstance(action, RenewLease)]
        is_news = _is_news(before, decision.state)
        if is_news or not self._journaled_actions.issuperset(actions):
            events.append(self._decided(decision, actions, judgement, judged_at))
        self._journaled_actions = frozenset(actions)
        if judgement is not None:
            self._alarms = judgement.alarms
        if not events and not commands and self._is_gathering(judged_at):
            return
        now = self._clock.now()
        self._journal.write(
            TickRecord(
                at=now,
                state=decision.state,
                sentence=decision.reason,
                events=tuple(events),
                taken_commands=tuple(each.id for each in commands),
                alarms=self._alarms,
                evidence=self._stored(evidence, before),
                completed=self._completed(before, decision.state, now),
            )
        )
        if is_news:
            self._say(decision, judgement)
        for alarm in fired:
            self._tell(decision.state, alarm.sentence, alarm.alarm)

    def _newly_told(self, state: RolloutState, judgement: Judgement | None) -> list[AlarmVerdict]:
        """The alarms that fire since this tick and have no other effect than that a person hears of it."""
        only_told = {AlarmAction.NOTIFY.value, *([AlarmAction.HOLD.value] if state.phase is Phase.SUCCEEDED else [])}
        known = {alarm.alarm for alarm in self._alarms if alarm.verdict is Verdict.FAIL}
        failing = judgement.failing() if judgement else ()
        return [alarm for alarm in failing if alarm.action in only_told and alarm.alarm not in known]

    def _decided(
        self, decision: Decision, actions: list[str], judgement: Judgement | None, judged_at: datetime
    ) -> NewEvent:
        return NewEvent(
            EventKind.DECIDED,
            decision.reason,
            verdict=judgement.verdict.name if judgement else None,
            data={
                "state": state_to_json(decision.state),
                "actions": actions,
                "alarms": [alarm_to_json(alarm) for alarm in judgement.alarms] if judgement else [],
                "judge": judgement.judge if judgement else "",
                JUDGED_AT: judged_at.isoformat() if judgement else "",
            },
        )

    def _command_events(self, commands: Sequence[PendingCommand], decision: Decision) -> list[NewEvent]:
        events = []
        for each in commands:
            command = each.command
            why = f": {command.reason}" if command.reason else ""
            events.append(
                NewEvent(
                    EventKind.COMMAND,
                    f"{command.actor} asked to {command.kind}{why}",
                    data={"kind": command.kind.value, "actor": command.actor, "reason": command.reason},
                )
            )
        events += [
            NewEvent(EventKind.COMMAND, f"refused to {command.kind}: {why}", data={"kind": command.kind.value})
            for command, why in decision.refused
        ]
        return events

    def _verdict_events(self, judgement: Judgement | None, judged_at: datetime) -> list[NewEvent]:
        if judgement is None:
            return []
        known = {alarm.alarm: alarm.verdict for alarm in self._alarms}
        if all(known.get(alarm.alarm) is alarm.verdict for alarm in judgement.alarms):
            return []
        data = {
            "alarms": [alarm_to_json(alarm) for alarm in judgement.alarms],
            "judge": judgement.judge,
            JUDGED_AT: judged_at.isoformat(),
        }
        return [NewEvent(EventKind.VERDICT, judgement.sentence, judgement.verdict.name, data)]

    def _completed(self, before: RolloutState, after: RolloutState, now: datetime) -> CompletedVersion | None:
        """The version that is home from now on: the candidate, or after a late alarm the prior one again."""
        if before.phase is after.phase or Phase.SUCCEEDED not in (before.phase, after.phase):
            return None
        workers = self._spec.prepare.workers
        if after.phase is Phase.SUCCEEDED:
            return CompletedVersion(after.model, after.candidate, workers, now, after.rollout_id)
        if after.stable is None:
            return None
        workers = self._journal.workers_of(after.model, after.stable) or workers
        return CompletedVersion(after.model, after.stable, workers, now, after.rollout_id)

    def _write_outcome(self) -> None:
        done = [
            NewEvent(EventKind.DONE, in_words(result.action))
            for result in self._results
            if result.is_ok and not isinstance(result.action, RenewLease)
        ]
        errors = [
            f"could not {in_words(result.action)}: {result.error}" for result in self._results if not result.is_ok
        ]
        # Once, not every second, while it goes on failing in the same way.
        failed = [NewEvent(EventKind.FAILED, error) for error in errors if error not in self._journaled_errors]
        self._journaled_errors = frozenset(errors)
        for event in failed:
            log.warning("%s %s", self.state.rollout_id, event.sentence)
        if done or failed:
            self._journal.append(self._clock.now(), self.state, [*done, *failed])

    def _say(self, decision: Decision, judgement: Judgement | None) -> None:
        state = decision.state
        log.info(
            "%s %s→%s %s %s %s %s",
            state.model,
            state.stable or "(none)",
            state.candidate,
            state.phase,
            format_pct(state.weight_pct),
            judgement.verdict.name if judgement else "-",
            decision.reason,
        )
        self._tell(state, decision.reason)


def _is_news(before: RolloutState, after: RolloutState) -> bool:
    """Whether anything but the wording of the reason changed."""
    return before.evolve(reason="") != after.evolve(reason="")
