"""Rollouts that stand wherever a test puts them: for what the faces show, not for how a rollout runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from torchserve_rollout.controller.views import (
    AlarmView,
    AnswerView,
    DifferenceView,
    EventView,
    ExplanationView,
    NodeView,
    PairsView,
    PairView,
    ReplayedView,
    ReplayView,
    RolloutView,
    VersionView,
)
from torchserve_rollout.errors import NotFoundError, RefusedError, RolloutInProgress
from torchserve_rollout.machine.alerts import Alert
from torchserve_rollout.machine.state import CommandKind
from torchserve_rollout.spec.schema import RolloutSpec

BEGUN = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone.utc)
SPEC_TEXT = """\
model: assistant
strategy: canary
steps:
  - {weight: 5, bake: 60s, min_requests: 100}
  - {weight: 50, bake: 5m}
final_bake: 10m
alarms:
  - {name: errors, signal: error_rate, worse_than_stable_by: 0.01}
"""
EXIT_CODES = {"SUCCEEDED": 0, "FAILED": 1, "ABORTED": 3, "ROLLED_BACK": 3, "HELD": 4}
ODD_PAIR = PairView(
    at=BEGUN,
    node="local",
    request_id="r-7",
    is_odd=True,
    stable=AnswerView(version="1.0", status=200, outcome="ok", latency_s=0.25, body="four", is_truncated=False),
    candidate=AnswerView(
        version="2.0", status=503, outcome="model_error", latency_s=0.01, body="\x1b[2Jboom\n" * 20, is_truncated=False
    ),
)
ERRORS_ALARM = AlarmView(
    name="errors",
    signal="error_rate",
    verdict="FAIL",
    candidate=0.42,
    stable=0.001,
    candidate_n=100,
    stable_n=1900,
    rule="error_rate at most 1 % worse than stable",
    sentence="42 % of 100 requests failed on 2.0, 0.1 % of 1900 on 1.0",
    candidate_interval=(0.24, 0.61),
    stable_interval=(0.0001, None),
)


def new_view(**changes: object) -> RolloutView:
    """A rollout of assistant from 1.0 to 2.0 in its first step."""
    view = RolloutView(
        id="assistant-1",
        model="assistant",
        stable="1.0",
        candidate="2.0",
        strategy="canary",
        phase="PROGRESSING",
        is_terminal=False,
        reason="step 1 of 2: 5 % of the requests go to 2.0",
        weight_pct=5.0,
        step=0,
        steps=2,
        step_since=BEGUN,
        phase_since=BEGUN,
        pause_reasons=[],
        ended_by="",
        created_at=BEGUN,
        ended_at=None,
        started_by="ada",
        alarms=[],
        exit_code=None,
    )
    return view.model_copy(update=changes)


def new_event(seq: int, sentence: str, **changes: object) -> EventView:
    """One line of the journal, ``seq`` seconds after the start."""
    event = EventView(
        seq=seq,
        rollout_id="assistant-1",
        at=BEGUN + timedelta(seconds=seq),
        kind="decided",
        sentence=sentence,
        phase="PROGRESSING",
        weight_pct=5.0,
    )
    return event.model_copy(update=changes)


@dataclass
class InMemoryRollouts:
    """A ``RolloutService`` over lists. Newest rollout last."""

    views: list[RolloutView] = field(default_factory=list)
    journal: list[EventView] = field(default_factory=list)
    commands: list[tuple[str, str, str, str]] = field(default_factory=list)
    started: list[tuple[str, str, RolloutSpec | None, str]] = field(default_factory=list)
    versions: list[VersionView] = field(default_factory=list)
    fleet: list[NodeView] = field(default_factory=list)
    differences: list[DifferenceView] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    mirrored: list[PairView] = field(default_factory=list)
    refusal: str = ""
    """Why the tick refuses commands; empty while it takes them."""

    def start(self, model: str, version: str, spec: RolloutSpec | None, actor: str) -> RolloutView:
        if any(view.model == model and not view.is_terminal for view in self.views):
            raise RolloutInProgress(f"{model} has a rollout in progress", hint="wait for it, or abort it")
        self.started.append((model, version, spec, actor))
        view = new_view(
            id=f"{model}-{len(self.views) + 1}", model=model, candidate=version, phase="PENDING", started_by=actor
        )
        self.views.append(view)
        return view

    def command(self, ref: str, kind: CommandKind, actor: str, reason: str) -> RolloutView:
        view = self.get(ref)
        if view.is_terminal:
            raise RefusedError(f"{view.id} has ended: {view.phase}", hint="start another one")
        self.commands.append((view.id, kind.value, actor, reason))
        seq = len(self.journal) + 1
        data = {"kind": kind.value}
        self.journal.append(new_event(seq, f"{actor} asked to {kind}", rollout_id=view.id, kind="command", data=data))
        if self.refusal:
            sentence = f"refused to {kind}: {self.refusal}"
            self.journal.append(new_event(seq + 1, sentence, rollout_id=view.id, kind="command", data=data))
        return view

    def take_alerts(self, alerts: Sequence[Alert]) -> None:
        self.alerts += alerts

    def list(self, model: str | None = None, limit: int = 100) -> Sequence[RolloutView]:
        return [view for view in reversed(self.views) if model in (None, view.model)][:limit]

    def get(self, ref: str) -> RolloutView:
        for view in reversed(self.views):
            if ref in (view.id, view.model):
                return view
        raise NotFoundError(f"no rollout {ref!r}", hint="ts-rollout history lists them")

    def events(self, ref: str, after_seq: int = 0) -> Sequence[EventView]:
        view = self.get(ref)
        return [event for event in self.journal if event.rollout_id == view.id and event.seq > after_seq]

    def pairs(self, ref: str) -> PairsView:
        return PairsView(id=self.get(ref).id, seen=900 + len(self.mirrored), lost=7, pairs=self.mirrored)

    def explain(self, ref: str) -> ExplanationView:
        view = self.get(ref)
        deciding = next((alarm for alarm in view.alarms if alarm.verdict == "FAIL"), None)
        return ExplanationView(
            rollout=view,
            sentence=view.reason,
            deciding_alarm=deciding,
            decided_at=view.ended_at,
            timeline=list(self.events(ref)),
        )

    def replay(self, ref: str, spec: RolloutSpec | None) -> ReplayView:
        view = self.get(ref)
        said = ReplayedView(at=BEGUN, phase="PROGRESSING", weight_pct=5, verdict="FAIL", sentence="x", alarms=[])
        return ReplayView(
            id=view.id,
            judge="test",
            is_other_spec=spec is not None,
            looks=7,
            is_same=not self.differences,
            differences=self.differences,
            verdicts=[said],
            outcome="no alarm fires",
            unmeasured=[alarm.name for alarm in spec.alarms] if spec else [],
        )

    def models(self) -> Sequence[VersionView]:
        return self.versions

    def nodes(self) -> Sequence[NodeView]:
        return self.fleet

    # -- what a test says ---------------------------------------------------------------------------------------

    def move(self, **changes: object) -> None:
        """The newest rollout, changed."""
        self.views[-1] = self.views[-1].model_copy(update=changes)

    def end(self, phase: str, reason: str) -> None:
        """The newest rollout has come to ``phase`` (HELD too, which is not terminal)."""
        self.move(
            phase=phase,
            reason=reason,
            is_terminal=phase != "HELD",
            exit_code=EXIT_CODES[phase],
            ended_at=None if phase == "HELD" else BEGUN + timedelta(minutes=3),
            weight_pct=100.0 if phase == "SUCCEEDED" else 0.0,
        )
