"""``failover_rate``: attempts of the candidate that stable was asked to answer, for whatever reason."""

from __future__ import annotations

from collections.abc import Sequence

from torchserve_rollout.analysis.samples import Measurement, Rate
from torchserve_rollout.model import Role, VersionName
from torchserve_rollout.signals.scrape import Increments
from torchserve_rollout.signals.sides import Attempts, both
from torchserve_rollout.signals.source import Cohorts


class FailoverRate:
    """Stable has nobody to fail over to: its rate is 0."""

    name = "failover_rate"

    def measure(self, increments: Increments, cohorts: Cohorts) -> Measurement:
        """Both cohorts over the same window."""

        def rate(version: VersionName, roles: Sequence[Role]) -> Rate:
            ended = Attempts(increments, cohorts, version, roles).ended
            labels = {"model": cohorts.model, "version": version}
            replayed = round(increments.total("ts_rollout_failovers_total", labels))
            # The two counters are read a moment apart.
            return Rate(replayed, max(replayed, ended))

        return both(self.name, cohorts, rate)


SIGNAL = FailoverRate()
