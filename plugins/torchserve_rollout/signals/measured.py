"""The source that reads ``/metrics``: one scrape a tick, every signal of the spec from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from torchserve_rollout.analysis.samples import Measurement
from torchserve_rollout.model import VersionName
from torchserve_rollout.signals.own_metric import OwnMetric
from torchserve_rollout.signals.registry import metric_signals
from torchserve_rollout.signals.scrape import Increments, Scraper, Series
from torchserve_rollout.signals.source import Cohorts
from torchserve_rollout.spec.metric import MetricSpec

ALWAYS = "error_rate"
_IN_FLIGHT = "ts_rollout_in_flight"


class MetricSource:
    """Signals off ``/metrics``. ``error_rate`` is always among them: it also counts the candidate's requests.

    Args:
        own: the series that the spec itself made signals of; ``scraper`` reads them.
        elapsed_s: gives seconds that only grow; for what is counted per second.
    """

    def __init__(
        self,
        scraper: Scraper,
        cohorts: Cohorts,
        signals: Iterable[str],
        own: Iterable[MetricSpec] = (),
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        known = metric_signals()
        self._scraper = scraper
        self._cohorts = cohorts
        self._signals = [known[name] for name in sorted({ALWAYS, *signals} & known.keys())]
        self._own = [OwnMetric(metric) for metric in own]
        self._elapsed_s = elapsed_s
        self._last_s: float | None = None
        self._gauges: tuple[tuple[Series, float], ...] | None = None

    def collect(self) -> Mapping[str, Measurement]:
        scrape = self._scraper.scrape()
        # Of half of the nodes no number can be told.
        self._gauges = scrape.increments.gauges if not scrape.errors else None
        if error := scrape.error(self._scraper.nodes):
            return {each.name: Measurement(each.name, error=error) for each in (*self._signals, *self._own)}
        now_s = self._elapsed_s()
        passed_s, self._last_s = 0.0 if self._last_s is None else now_s - self._last_s, now_s
        grown = scrape.increments
        return {signal.name: signal.measure(grown, self._cohorts) for signal in self._signals} | {
            own.name: own.measure(grown, self._cohorts, passed_s) for own in self._own
        }

    def measured_on(self, increments: Increments) -> dict[str, Measurement]:
        """The signals on what somebody else has counted; none of the spec's own series are among that."""
        return {signal.name: signal.measure(increments, self._cohorts) for signal in self._signals}

    def in_flight(self, version: VersionName) -> int | None:
        """Requests that ``version`` had not answered at the last look; None when nobody could be asked."""
        if self._gauges is None:
            return None
        labels = {"model": self._cohorts.model, "version": version}
        return round(sum(n for series, n in self._gauges if series.name == _IN_FLIGHT and series.has(labels)))

    def close(self) -> None:
        self._scraper.close()
