"""Both cohorts of one signal from one scrape, and what the gateway counted for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add

from torchserve_rollout.analysis.samples import Histogram, Measurement, Rate, Sample
from torchserve_rollout.model import Outcome, Role, VersionName
from torchserve_rollout.signals.scrape import Increments
from torchserve_rollout.signals.source import Cohorts

# Once it has succeeded no policy names the candidate: it serves as the default.
CANDIDATE_ROLES = (Role.CANDIDATE, Role.DEFAULT)
# Failovers and explicit calls are no random sample of the traffic; without a policy stable serves as the default.
STABLE_ROLES = (Role.STABLE, Role.DEFAULT)
Side = Callable[[VersionName, Sequence[Role]], Sample | None]


def both(name: str, cohorts: Cohorts, side: Side) -> Measurement:
    """The measurement of ``side`` for both versions. There is no stable cohort beside a model's first version."""
    stable = None if cohorts.stable is None else side(cohorts.stable, STABLE_ROLES)
    return Measurement(name, candidate=side(cohorts.candidate, CANDIDATE_ROLES), stable=stable)


class Attempts:
    """How many attempts of a version ended how."""

    def __init__(self, increments: Increments, cohorts: Cohorts, version: VersionName, roles: Sequence[Role]) -> None:
        self._of: dict[str, int] = {}
        for role in roles:
            labels = {"model": cohorts.model, "version": version, "role": role.value}
            for outcome, count in increments.by("ts_rollout_attempts_total", "outcome", **labels).items():
                self._of[outcome] = self._of.get(outcome, 0) + count

    def count(self, *outcomes: Outcome) -> int:
        """Those that ended in one of ``outcomes``."""
        return sum(self._of.get(outcome.value, 0) for outcome in outcomes)

    @property
    def charged(self) -> int:
        """Those the version is to blame for."""
        return self.count(*(outcome for outcome in Outcome if outcome.is_charged))

    @property
    def judged(self) -> int:
        """Those that tell anything of the version: neither the house's fault nor the input's, and not given up."""
        return self.charged + self.count(Outcome.OK, Outcome.CLIENT_ERROR)

    @property
    def ended(self) -> int:
        """All but those given up by the caller."""
        return sum(self._of.values()) - self.count(Outcome.CLIENT_GONE)


class AttemptShare:
    """A signal that is the share of the judged attempts with certain outcomes."""

    def __init__(self, name: str, *outcomes: Outcome) -> None:
        self.name = name
        self._outcomes = outcomes

    def measure(self, increments: Increments, cohorts: Cohorts) -> Measurement:
        """Both cohorts over the same window."""

        def share(version: VersionName, roles: Sequence[Role]) -> Rate:
            attempts = Attempts(increments, cohorts, version, roles)
            return Rate(attempts.count(*self._outcomes), attempts.judged)

        return both(self.name, cohorts, share)


class GatewayQuantile:
    """A signal that is a quantile of one of the gateway's histograms; the judge takes it, here is what was counted."""

    def __init__(self, name: str, series: str) -> None:
        self.name = name
        self._series = series

    def measure(self, increments: Increments, cohorts: Cohorts) -> Measurement:
        """Both cohorts over the same window."""

        def histogram(version: VersionName, roles: Sequence[Role]) -> Histogram:
            labels = {"model": cohorts.model, "version": version}
            return reduce(add, (increments.histogram(self._series, **labels, role=role.value) for role in roles))

        return both(self.name, cohorts, histogram)


class HandlerShare:
    """A signal that is the share of the text generation handler's prompts that some counter of it counted."""

    def __init__(self, name: str, series: str) -> None:
        self.name = name
        self._series = series

    def measure(self, increments: Increments, cohorts: Cohorts) -> Measurement:
        """Both cohorts over the same window, whoever asked: the handler does not know who did."""

        def share(version: VersionName, roles: Sequence[Role]) -> Rate:
            labels = {"ModelName": cohorts.model, "ModelVersion": version}
            total = increments.total("ts_rollout_llm_requests_total", labels)
            return Rate(round(increments.total(self._series, labels)), round(total))

        return both(self.name, cohorts, share)
