"""A signal that the spec itself defines: any metric on 8082, by name and labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from torchserve_rollout.errors import Problem
from torchserve_rollout.spec.base import DurationS, Frozen, Number
from torchserve_rollout.spec.signals import CATALOGUE, Kind, Signal, Unit, Worse

if TYPE_CHECKING:
    from torchserve_rollout.spec.schema import AlarmSpec

SOURCES: Final = ("counter", "gauge", "histogram", "mean", "prometheus", "http")
MIN_INTERVAL_S: Final = 0.1
_ON_8082: Final = ("counter", "gauge", "histogram", "mean")


class MetricSpec(Frozen):
    """Where the number comes from; exactly one of ``SOURCES``. ``{model}`` and ``{version}`` may stand in texts."""

    counter: str | None = None
    over: str | None = None
    gauge: str | None = None
    histogram: str | None = None
    quantile: Annotated[Number, Field(gt=0, lt=1)] = 0.95
    mean: str | None = None
    prometheus: str | None = None
    http: str | None = None
    path: str = ""
    interval: DurationS = 5.0
    labels: dict[str, str] = Field(default_factory=dict)
    worse: Worse = Worse.HIGHER
    unit: Unit | None = None

    @property
    def name(self) -> str:
        """The signal in a few words: ``p95 of step_seconds``, ``my_errors_total / my_requests_total``."""
        if self.counter is not None:
            return f"{self.counter} / {self.over}" if self.over else f"{self.counter} per second"
        if self.histogram is not None:
            return f"p{100 * self.quantile:g} of {self.histogram}"
        if self.mean is not None:
            return f"mean of {self.mean}"
        return self.gauge or self.prometheus or f"{self.http}{'#' if self.path else ''}{self.path}"

    @property
    def key(self) -> str:
        """Under which its measurements are kept: the name with the labels."""
        labels = ",".join(f'{name}="{value}"' for name, value in sorted(self.labels.items()))
        return f"{self.name}{{{labels}}}" if labels else self.name

    @property
    def kind(self) -> Kind:
        """How it is sampled."""
        if self.counter is not None:
            return Kind.RATE if self.over else Kind.MEAN
        if self.histogram is not None:
            return Kind.QUANTILE
        return Kind.MEAN if self.mean is not None else Kind.LEVEL

    @property
    def signal(self) -> Signal:
        """As one of the catalogue's kind."""
        is_quantile = self.kind is Kind.QUANTILE
        return Signal(self.name, self.kind, self._unit, self.worse, "", self.quantile if is_quantile else None)

    @property
    def _unit(self) -> Unit:
        if self.unit is not None:
            return self.unit
        if self.counter is not None:
            return Unit.SHARE if self.over else Unit.PER_SECOND
        name = self.histogram or self.mean or ""
        return Unit.SECONDS if name.endswith("_seconds") else Unit.NUMBER

    @property
    def series(self) -> tuple[str, ...]:
        """The names on ``/metrics`` that it reads."""
        return tuple(name for name in (self.counter, self.over, self.gauge, self.histogram, self.mean) if name)

    @property
    def is_scraped(self) -> bool:
        """Whether it stands on TorchServe's own ``/metrics``."""
        return any(getattr(self, name) is not None for name in _ON_8082)


def signal_of(alarm: AlarmSpec, catalogue: Mapping[str, Signal] = CATALOGUE) -> Signal | None:
    """What an alarm watches; None when no source measures it."""
    return alarm.metric.signal if alarm.metric is not None else catalogue.get(alarm.signal)


def metric_problems(path: str, metric: MetricSpec) -> Iterator[Problem]:
    """Every broken rule between the fields of one metric."""
    named = [name for name in SOURCES if getattr(metric, name) is not None]
    if len(named) != 1:
        yield Problem(path, f"must name exactly one of {', '.join(SOURCES)}", "metric: {gauge: GPUMemoryUsed}")
    for name in named:
        if not getattr(metric, name).strip():
            yield Problem(f"{path}.{name}", "must not be empty")
    if metric.over is not None and metric.counter is None:
        yield Problem(f"{path}.over", "divides a counter, and none is named")
    if "quantile" in metric.model_fields_set and metric.histogram is None and metric.quantile != 0.95:
        yield Problem(f"{path}.quantile", "is taken of a histogram, and none is named")
    if metric.path and metric.http is None:
        yield Problem(f"{path}.path", "is of a JSON answer, and no http is named")
    if metric.http is not None and not metric.http.startswith(("http://", "https://")):
        yield Problem(f"{path}.http", "must begin with http:// or https://")
    if metric.labels and named and not metric.is_scraped:
        yield Problem(f"{path}.labels", f"{named[0]} has none", "write them into the query")
    if not metric.is_scraped and metric.interval < MIN_INTERVAL_S:
        yield Problem(f"{path}.interval", f"must be at least {MIN_INTERVAL_S:g}s")
    if metric.unit is not None and metric.kind is Kind.RATE and metric.unit is not Unit.SHARE:
        yield Problem(f"{path}.unit", "a counter over another is a share", "remove it")
