"""The source that reads ``/metrics``: one scrape a tick, every signal of the spec from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torchserve_rollout.analysis.samples import Measurement
from torchserve_rollout.signals.registry import metric_signals
from torchserve_rollout.signals.scrape import Scraper
from torchserve_rollout.signals.source import Cohorts

ALWAYS = "error_rate"


class MetricSource:
    """Signals off ``/metrics``. ``error_rate`` is always among them: it also counts the candidate's requests."""

    def __init__(self, scraper: Scraper, cohorts: Cohorts, signals: Iterable[str]) -> None:
        known = metric_signals()
        self._scraper = scraper
        self._cohorts = cohorts
        self._signals = [known[name] for name in sorted({ALWAYS, *signals} & known.keys())]

    def collect(self) -> Mapping[str, Measurement]:
        scrape = self._scraper.scrape()
        if error := scrape.error(self._scraper.nodes):
            return {signal.name: Measurement(signal.name, error=error) for signal in self._signals}
        return {signal.name: signal.measure(scrape.increments, self._cohorts) for signal in self._signals}

    def close(self) -> None:
        self._scraper.close()
