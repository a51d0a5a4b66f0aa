"""Signals that a spec defines by the names and labels of series on ``/metrics``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from torchserve_rollout.analysis.samples import Amount, Measurement, Rate, Reading, Sample
from torchserve_rollout.model import ModelName, Role, VersionName
from torchserve_rollout.signals.scrape import Increments, Series
from torchserve_rollout.signals.sides import both
from torchserve_rollout.signals.source import Cohorts
from torchserve_rollout.spec.metric import MetricSpec

# As the gateway, TorchServe and its handlers call them.
_MODEL_LABELS: Final = ("model", "model_name", "ModelName")
_VERSION_LABELS: Final = ("version", "model_version", "ModelVersion")


class OwnMetric:
    """One ``metric:`` block.

    A series belongs to a version when its own labels for model and version say so; where the block's labels hold
    ``{version}``, they alone decide. A label ``role`` must be that of the cohort.
    """

    def __init__(self, metric: MetricSpec) -> None:
        self.name = metric.key
        self._metric = metric
        self._names_version = any("{version}" in value for value in metric.labels.values())

    def measure(self, increments: Increments, cohorts: Cohorts, elapsed_s: float = 0.0) -> Measurement:
        """Both cohorts over the same window, which took ``elapsed_s``."""

        def side(version: VersionName, roles: Sequence[Role]) -> Sample | None:
            own = increments.only(lambda series: self._belongs(series, cohorts.model, version, roles))
            return self._sample(own, elapsed_s)

        measured = both(self.name, cohorts, side)
        return Measurement(self._metric.name, measured.candidate, measured.stable)

    def _belongs(self, series: Series, model: ModelName, version: VersionName, roles: Sequence[Role]) -> bool:
        labels = dict(series.labels)
        for name, wanted in self._metric.labels.items():
            if labels.get(name) != wanted.replace("{model}", model).replace("{version}", version):
                return False
        if labels.get("role", roles[0].value) not in [role.value for role in roles]:
            return False
        if self._names_version:
            return True
        return _says(labels, _VERSION_LABELS, version) and _says(labels, _MODEL_LABELS, model, or_nothing=True)

    def _sample(self, own: Increments, elapsed_s: float) -> Sample | None:
        metric = self._metric
        if metric.counter is not None and metric.over is not None:
            return Rate(round(own.total(metric.counter, {})), round(own.total(metric.over, {})))
        if metric.counter is not None:
            return Amount(1, own.total(metric.counter, {}), elapsed_s) if elapsed_s > 0 else None
        if metric.histogram is not None:
            return own.histogram(metric.histogram)
        if metric.mean is not None:
            count = own.total(f"{metric.mean}_count", {})
            return Amount(round(count), own.total(f"{metric.mean}_sum", {}), count)
        readings = [value for series, value in own.gauges if series.name == metric.gauge]
        return Reading(1, sum(readings) / len(readings)) if readings else None


def _says(labels: dict[str, str], names: Sequence[str], wanted: str, or_nothing: bool = False) -> bool:
    """Whether the label that goes by one of ``names`` has this value."""
    said = next((labels[name] for name in names if name in labels), None)
    return or_nothing if said is None else said == wanted
