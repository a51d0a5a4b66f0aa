"""Signals that some server is asked for, in the background: a slow one never delays a tick."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from torchserve_rollout.analysis.samples import Measurement, Reading
from torchserve_rollout.errors import RolloutError
from torchserve_rollout.model import VersionName
from torchserve_rollout.signals.endpoint import number_at
from torchserve_rollout.signals.prometheus import Access, Prometheus
from torchserve_rollout.signals.source import Cohorts
from torchserve_rollout.spec.metric import MetricSpec

Ask = Callable[[VersionName], float]
"""The number for one version. Raises RolloutError when there is none."""


class AskedSource:
    """Asks at once and then every ``interval`` of the metric; each answer is one reading.

    Args:
        is_compared: whether stable's number is needed too.
    """

    def __init__(self, metric: MetricSpec, cohorts: Cohorts, ask: Ask, is_compared: bool) -> None:
        self._key = metric.key
        self._interval_s = metric.interval
        self._cohorts = cohorts
        self._ask = ask
        self._stable = cohorts.stable if is_compared else None
        self._lock = threading.Lock()
        self._last: Measurement | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"ask {metric.name[:40]}", daemon=True)
        self._thread.start()

    def collect(self) -> Mapping[str, Measurement]:
        """The latest answer, if it came since the last call."""
        with self._lock:
            last, self._last = self._last, None
        return {} if last is None else {self._key: last}

    def close(self) -> None:
        """Ask no more."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            measured = self._measure()
            with self._lock:
                self._last = measured
            self._stop.wait(self._interval_s)

    def _measure(self) -> Measurement:
        try:
            candidate = Reading(1, self._ask(self._cohorts.candidate))
            stable = None if self._stable is None else Reading(1, self._ask(self._stable))
        except RolloutError as error:
            return Measurement(self._key, error=error.message)
        return Measurement(self._key, candidate, stable)


def asker(metric: MetricSpec, cohorts: Cohorts, prometheus: Prometheus | None) -> Ask:
    """Who answers for ``metric``."""

    def ask(version: VersionName) -> float:
        def filled(text: str) -> str:
            return text.replace("{model}", cohorts.model).replace("{version}", version)

        if metric.http is not None:
            return number_at(filled(metric.http), metric.path, Access())
        if prometheus is None:
            raise RolloutError("no Prometheus server is configured: set rollout_prometheus in config.properties")
        return prometheus.value(filled(metric.prometheus or ""))

    return ask
