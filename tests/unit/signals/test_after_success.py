"""What is measured of a version that has succeeded: it serves as the default, and probes are gentler than ever."""

from __future__ import annotations

import pytest

from tests.torchserve_process import wait_until
from tests.unit.signals.test_probes import COHORTS, KEY, ONE, PROBE, TWO, Said, Versions
from torchserve_rollout.analysis.samples import Rate
from torchserve_rollout.model import NodeName, VersionName
from torchserve_rollout.signals.measured import MetricSource
from torchserve_rollout.signals.probes import ProbeSource
from torchserve_rollout.signals.scrape import Increments, Scrape, Scraper, Series


class Pages(Scraper):
    """``/metrics`` as told, one look after the other."""

    def __init__(self, *looks: Scrape) -> None:
        super().__init__({NodeName("a"): "http://a/metrics", NodeName("b"): "http://b/metrics"})
        self._looks = list(looks)

    def scrape(self) -> Scrape:
        return self._looks.pop(0)


def series(name: str, **labels: str) -> Series:
    return Series(name, frozenset({("model", "m"), *labels.items()}))


def test_without_a_policy_the_candidate_is_measured_as_the_default() -> None:
    attempts = {
        series("ts_rollout_attempts_total", version="2.0", role="default", outcome="ok"): 90.0,
        series("ts_rollout_attempts_total", version="2.0", role="default", outcome="model_error"): 10.0,
        series("ts_rollout_attempts_total", version="2.0", role="explicit", outcome="ok"): 500.0,
    }
    source = MetricSource(Pages(Scrape(Increments(attempts), {})), COHORTS, ["error_rate"])
    measured = source.collect()["error_rate"]
    source.close()
    assert (measured.candidate, measured.stable) == (Rate(10, 100), Rate(0, 0))


@pytest.mark.parametrize(("version", "count"), [(ONE, 5), (TWO, 0)])
def test_requests_in_flight_are_told_only_when_every_node_could_be_asked(version: VersionName, count: int) -> None:
    gauges = tuple((series("ts_rollout_in_flight", version="1.0"), float(n)) for n in (2, 3))
    looks = Scrape(Increments(gauges=gauges), {}), Scrape(Increments(gauges=gauges[:1]), {NodeName("b"): "away"})
    source = MetricSource(Pages(*looks), COHORTS, ["error_rate"])
    assert source.in_flight(version) is None, "nobody was asked yet"
    source.collect()
    assert source.in_flight(version) == count
    source.collect()
    assert source.in_flight(version) is None
    source.close()


def test_probes_rest_as_many_times_as_long_as_they_are_told() -> None:
    versions = Versions(lambda version, body: Said(200, "4", latency_s=60.0))
    source = ProbeSource(KEY, PROBE, COHORTS, versions.predict)
    source.rests = 9
    wait_until(lambda: bool(versions.asked), 10, "the first probe")
    source.close()
    assert source._ask(TWO, PROBE.prompts[0]) == 45.0
