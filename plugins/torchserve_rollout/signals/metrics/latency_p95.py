"""``latency_p95``: seconds from dispatch to the last byte of an attempt, as a histogram."""

from __future__ import annotations

from torchserve_rollout.analysis.samples import Histogram, Measurement
from torchserve_rollout.model import Role, VersionName
from torchserve_rollout.signals.scrape import Increments
from torchserve_rollout.signals.source import Cohorts


class LatencyP95:
    """The quantile is taken by the judge; here is only what was counted."""

    name = "latency_p95"

    def measure(self, increments: Increments, cohorts: Cohorts) -> Measurement:
        def histogram(version: VersionName, role: Role) -> Histogram:
            return increments.histogram(
                "ts_rollout_attempt_latency_seconds", model=cohorts.model, version=version, role=role.value
            )

        return Measurement(
            self.name,
            candidate=histogram(cohorts.candidate, Role.CANDIDATE),
            stable=None if cohorts.stable is None else histogram(cohorts.stable, Role.STABLE),
        )


SIGNAL = LatencyP95()
