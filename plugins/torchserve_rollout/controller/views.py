"""What every face shows of a rollout: the HTTP API's JSON, the CLI's ``--json`` and the web pages are these."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from torchserve_rollout.analysis.verdict import Interval


class View(BaseModel):
    """Read-only."""

    model_config = ConfigDict(frozen=True)


class AlarmView(View):
    """One alarm as it stands."""

    name: str
    signal: str
    verdict: str
    candidate: float | None
    stable: float | None
    candidate_n: int
    stable_n: int
    rule: str
    sentence: str
    severity: str = "critical"
    is_dry_run: bool = False
    candidate_interval: Interval | None = None
    stable_interval: Interval | None = None


class BaselineView(View):
    """A bound that stable broke before the start. ``value`` is what it had, ``allowed`` the rule that holds instead."""

    alarm: str
    value: float
    asked: str
    allowed: str


class RolloutView(View):
    """One rollout as it stands. ``weight_pct`` is the candidate's; ``steps`` is the count of the spec's steps."""

    id: str
    model: str
    stable: str | None
    candidate: str
    strategy: str
    phase: str
    is_terminal: bool
    reason: str
    weight_pct: float
    step: int
    steps: int
    step_since: datetime | None
    phase_since: datetime
    pause_reasons: list[str]
    ended_by: str
    created_at: datetime
    ended_at: datetime | None
    warm_until: datetime | None = None
    """After success: until when alarms are armed and the prior version is kept warm; None once it was let go."""
    started_by: str
    alarms: list[AlarmView]
    baselines: list[BaselineView] = []
    exit_code: int | None
    """What ``ts-rollout watch`` exits with; None while it runs."""


class EventView(View):
    """One line of the journal. ``kind``: accepted, decided, done, failed, command, verdict, drift, notified."""

    seq: int
    rollout_id: str
    at: datetime
    kind: str
    sentence: str
    phase: str
    weight_pct: float
    verdict: str | None = None
    data: dict[str, Any] = {}


class ExplanationView(View):
    """Why a rollout stands where it stands: the sentence, the alarm that decided, and what led to it."""

    rollout: RolloutView
    sentence: str
    deciding_alarm: AlarmView | None
    decided_at: datetime | None
    timeline: list[EventView]


class AnswerView(View):
    """What one version said to a mirrored request. ``body`` is null unless the spec asks to keep it."""

    version: str
    status: int
    outcome: str
    latency_s: float
    body: str | None
    is_truncated: bool


class PairView(View):
    """One mirrored request. ``is_odd``: the versions did not do the same. ``stable`` is what the caller got."""

    at: datetime
    node: str
    request_id: str
    is_odd: bool
    stable: AnswerView
    candidate: AnswerView


class PairsView(View):
    """The mirrored requests of a rollout: ``seen`` were counted, ``lost`` not fetched in time, the latest are here."""

    id: str
    seen: int
    lost: int
    pairs: list[PairView]


class ReplayedView(View):
    """One judgement made again, at a moment at which some verdict changed."""

    at: datetime
    phase: str
    weight_pct: float
    verdict: str
    sentence: str
    alarms: list[AlarmView]


class DifferenceView(View):
    """Where the journal says something else than what comes out now."""

    at: datetime
    judge: str
    recorded: str
    replayed: str


class ReplayView(View):
    """A rollout judged again. ``unmeasured`` names alarms on signals that the journal holds nothing of."""

    id: str
    judge: str
    is_other_spec: bool
    looks: int
    is_same: bool
    differences: list[DifferenceView]
    verdicts: list[ReplayedView]
    outcome: str
    unmeasured: list[str]


class VersionView(View):
    """One packaged or registered version of a model."""

    model: str
    version: str
    digest: str
    size_bytes: int
    packaged_at: datetime | None
    archive: str
    is_registered: bool
    is_default: bool
    ready_workers: int


class NodeView(View):
    """One TorchServe as the controller sees it."""

    node: str
    is_reachable: bool
    error: str
