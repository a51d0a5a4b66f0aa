"""A rollout spec as a type. ``load`` fills it from YAML, ``plan`` turns it into what will happen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from torchserve_rollout.model import Failover, Word
from torchserve_rollout.spec.base import (
    Count,
    DurationS,
    Frozen,
    GatewayCount,
    GatewayS,
    Number,
    Quantity,
    WeightPct,
)
from torchserve_rollout.spec.metric import MetricSpec


class Strategy(Word):
    """How traffic moves to the candidate."""

    CANARY = "canary"
    ALL_AT_ONCE = "all_at_once"
    SHADOW = "shadow"


class StepSpec(Frozen):
    """One weight, held until both the bake is over and enough requests were seen.

    ``mirror`` is this step's share of mirrored requests in the place of the rollout's.
    """

    weight: WeightPct
    bake: DurationS = 0.0
    min_requests: Annotated[Count, Field(ge=0)] = 0
    max_requests: Annotated[Count, Field(ge=0)] = 0
    mirror: Annotated[Quantity, Field(ge=0, le=1)] | None = None


class MirrorSpec(Frozen):
    """Which share of stable's requests the candidate gets a copy of, and how many answers are kept to be read."""

    share: Annotated[Quantity, Field(gt=0, le=1)] = 0.1
    keep_bodies: Annotated[Count, Field(ge=0, le=50)] = 0


class CohortSpec(Frozen):
    """Testers: requests whose ``header`` has this ``value`` get the candidate in every step, whatever its weight."""

    header: str
    value: str


class StickySpec(Frozen):
    """Requests with the same key stay on the same version. Exactly one of both."""

    header: str | None = None
    cookie: str | None = None


class GateSpec(Frozen):
    """Must pass on the candidate before any user request reaches it."""

    probe: str
    min_score: Annotated[Number, Field(ge=0, le=1)] = 1.0


class AlarmAction(Word):
    """What a justified alarm does."""

    ROLLBACK = "rollback"
    HOLD = "hold"
    NOTIFY = "notify"


class Severity(Word):
    """How loud an alarm is. Of several that fire the gravest speaks."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Inconclusive(Word):
    """What becomes of a step that stayed without a verdict for ``inconclusive_timeout``."""

    HOLD = "hold"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


class AlreadyFiring(Word):
    """What becomes of a rollout whose alarm fires on stable before the start."""

    REFUSE = "refuse"
    BASELINE = "baseline"


class NoData(Word):
    """What an alarm says while it has too few samples."""

    HOLD = "hold"
    PASS = "pass"  # noqa: S105
    FAIL = "fail"


class AlarmSpec(Frozen):
    """A named rule over a signal, with at least one of the four bounds.

    With ``window`` or ``for_s``, and for signals that are plain by nature, the rule is judged on the value as it is.
    """

    name: str
    signal: str = ""
    metric: MetricSpec | None = None
    max: Quantity | None = None
    min: Quantity | None = None
    worse_than_stable_by: Annotated[Quantity, Field(ge=0)] | None = None
    worse_than_stable_ratio: Annotated[Number, Field(ge=1)] | None = None
    confidence: Annotated[Number, Field(gt=0.5, lt=1)] = 0.99
    min_samples: Annotated[Count, Field(ge=1)] = 20
    window: DurationS | None = None
    for_s: DurationS | None = Field(default=None, alias="for")
    no_data: NoData = NoData.HOLD
    action: AlarmAction = AlarmAction.ROLLBACK
    severity: Severity = Severity.CRITICAL
    dry_run: bool = Field(default=False, strict=True)
    effect: Annotated[Quantity, Field(gt=0)] | None = None
    probe: str | None = None

    @property
    def is_blocking(self) -> bool:
        """Whether the rollout waits for it to pass."""
        return self.action is not AlarmAction.NOTIFY and not self.dry_run

    @property
    def is_comparison(self) -> bool:
        """Whether stable's samples are needed."""
        return self.worse_than_stable_by is not None or self.worse_than_stable_ratio is not None

    @property
    def is_timed(self) -> bool:
        """Whether it looks at the last minutes only, or asks for how long something held."""
        return self.window is not None or self.for_s is not None

    @property
    def signal_name(self) -> str:
        """The signal as sentences call it."""
        return self.metric.name if self.metric is not None else self.signal

    @property
    def signal_key(self) -> str:
        """Under which the signal's measurements are kept: its name, with the probe file where it has one."""
        if self.metric is not None:
            return self.metric.key
        return f"{self.signal}:{self.probe}" if self.probe else self.signal


class PrepareSpec(Frozen):
    """How a version is brought up before it sees a user."""

    workers: Annotated[Count, Field(ge=1)] = 1
    timeout: DurationS = 300.0
    probe: str | None = None
    """Path of a probe file; its first prompt must be answered (any status below 500). None: a one-token prompt."""


class DeadlineSpec(Frozen):
    """Longest wait for the first byte of an attempt."""

    candidate: GatewayS = 30.0
    stable: GatewayS = 60.0


class BreakerSpec(Frozen):
    """When the gateway cuts a candidate off by itself; 0 switches a rule off."""

    consecutive: Annotated[GatewayCount, Field(ge=0)] = 5
    window: Annotated[GatewayCount, Field(ge=1)] = 20
    window_failures: Annotated[GatewayCount, Field(ge=0)] = 10


class ReplayBudgetSpec(Frozen):
    """How much of a model's traffic stable may answer in the candidate's place before the candidate is cut off."""

    share: Annotated[Quantity, Field(ge=0, le=1)] = 0.2
    min: Annotated[GatewayCount, Field(ge=0)] = 20


class RolloutSpec(Frozen):
    """How one model's next version goes live."""

    model: str
    strategy: Strategy = Strategy.CANARY
    steps: tuple[StepSpec, ...] = ()
    final_bake: DurationS = 0.0
    keep_prior: DurationS = 3600.0
    failover: Failover = Failover.STABLE
    sticky: StickySpec | None = None
    cohort: CohortSpec | None = None
    mirror: MirrorSpec | None = None
    gates: tuple[GateSpec, ...] = ()
    alarms: tuple[AlarmSpec, ...] = ()
    already_firing: AlreadyFiring = AlreadyFiring.REFUSE
    warm_up: DurationS = 0.0
    notify: tuple[str, ...] = ()
    prepare: PrepareSpec = PrepareSpec()
    deadlines: DeadlineSpec = DeadlineSpec()
    breaker: BreakerSpec = BreakerSpec()
    replay_budget: ReplayBudgetSpec = ReplayBudgetSpec()
    lease: Annotated[DurationS, Field(le=86_400)] = 10.0
    inconclusive_timeout: DurationS = 3600.0
    inconclusive: Inconclusive = Inconclusive.HOLD
    source_timeout: DurationS = 300.0
    drain_timeout: DurationS = 60.0
    on_abort: Literal["unregister", "keep"] = "unregister"
