"""``no_capacity_rate``: attempts that met a full queue or no worker, out of all that ended."""

from __future__ import annotations

from collections.abc import Sequence

from torchserve_rollout.analysis.samples import Measurement, Rate
from torchserve_rollout.model import Outcome, Role, VersionName
from torchserve_rollout.signals.scrape import Increments
from torchserve_rollout.signals.sides import Attempts, both
from torchserve_rollout.signals.source import Cohorts


class NoCapacityRate:
    """Nobody's fault for ``error_rate``; here it tells of a candidate with too few workers or a slow one."""

    name = "no_capacity_rate"

    def measure(self, increments: Increments, cohorts: Cohorts) -> Measurement:
        """Both cohorts over the same window."""

        def rate(version: VersionName, roles: Sequence[Role]) -> Rate:
            attempts = Attempts(increments, cohorts, version, roles)
            return Rate(attempts.count(Outcome.NO_CAPACITY), attempts.ended)

        return both(self.name, cohorts, rate)


SIGNAL = NoCapacityRate()
