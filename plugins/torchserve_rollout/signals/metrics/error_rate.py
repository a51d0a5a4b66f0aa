"""``error_rate``: attempts charged to the version, out of those it answered or is to blame for.

``bad_input`` (failed on both versions), ``no_capacity`` (the house's fault) and ``client_gone`` are in neither number.
"""

from __future__ import annotations

from torchserve_rollout.analysis.samples import Measurement, Rate
from torchserve_rollout.model import ModelName, Outcome, Role, VersionName
from torchserve_rollout.signals.scrape import Increments
from torchserve_rollout.signals.source import Cohorts


class ErrorRate:
    """Failovers and explicit calls are in neither cohort: they are no random sample of the traffic."""

    name = "error_rate"

    def measure(self, increments: Increments, cohorts: Cohorts) -> Measurement:
        def rate(version: VersionName, role: Role) -> Rate:
            return _rate(increments, cohorts.model, version, role)

        return Measurement(
            self.name,
            candidate=rate(cohorts.candidate, Role.CANDIDATE),
            stable=None if cohorts.stable is None else rate(cohorts.stable, Role.STABLE),
        )


def _rate(increments: Increments, model: ModelName, version: VersionName, role: Role) -> Rate:
    counts = increments.by("ts_rollout_attempts_total", "outcome", model=model, version=version, role=role.value)
    charged = sum(count for outcome, count in counts.items() if Outcome(outcome).is_charged)
    fine = counts.get(Outcome.OK, 0) + counts.get(Outcome.CLIENT_ERROR, 0)
    return Rate(charged, charged + fine)


SIGNAL = ErrorRate()
