"""One tick of one rollout: observe, judge, decide, journal the intent, act, journal the outcome."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from torchserve_rollout.analysis.samples import TickEvidence
from torchserve_rollout.analysis.verdict import Judgement
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


Tell = Callable[[RolloutState, str], None]
"""Called with the sentence of every decision that changed something; must return at once."""


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

    def run(self) -> None:
        """One tick. Afterwards ``has_news`` says whether the state changed, so that the next is worth having soon."""
        self.has_news = False
        now = self._clock.now()
        evidence = self._eyes.measure(self.state, now)
        self._window.add(evidence, self.state)
        requests = self._window.candidate_requests(self.state)
        observation = self._eyes.look(self.state, self._results, requests)
        judgement = judge_window(self.state, self._spec, self._window.ticks, now)
        commands = self._journal.pending_commands(self.state.rollout_id)
        decision = decide(self.state, self._spec, observation, judgement, [each.command for each in commands], now)
        before = self.state
        self._write_intent(before, decision, judgement, commands, self._worth_keeping(evidence), now)
        self.state = decision.state
        self._results = self._hands.act(decision.actions)
        self._write_outcome()
        self.has_news = _is_news(before, decision.state)

    def _worth_keeping(self, evidence: TickEvidence) -> TickEvidence | None:
        """The evidence if it can bear on a verdict: something was counted, or a source failed, or works again."""
        had_error, self._had_error = self._had_error, any(each.error for each in evidence.measurements.values())
        if not (self.state.phase.is_armed or self.state.phase in (Phase.PREPARING, Phase.HELD)):
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
        evidence: TickEvidence | None,
        judged_at: datetime,
    ) -> None:
        events = [*self._command_events(commands, decision), *self._verdict_events(judgement, judged_at)]
        actions = [in_words(action) for action in decision.actions if not isinstance(action, RenewLease)]
        is_news = _is_news(before, decision.state)
        if is_news or not self._journaled_actions.issuperset(actions):
            events.append(self._decided(decision, actions, judgement, judged_at))
        self._journaled_actions = frozenset(actions)
        if judgement is not None:
            self._alarms = judgement.alarms
        now = self._clock.now()
        self._journal.write(
            TickRecord(
                at=now,
                state=decision.state,
                sentence=decision.reason,
                events=tuple(events),
                taken_commands=tuple(each.id for each in commands),
                alarms=self._alarms,
                evidence=evidence,
                completed=self._completed(before, decision.state, now),
            )
        )
        if is_news:
            self._say(decision, judgement)

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
        if after.phase is not Phase.SUCCEEDED or before.phase is Phase.SUCCEEDED:
            return None
        return CompletedVersion(after.model, after.candidate, self._spec.prepare.workers, now, after.rollout_id)

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
