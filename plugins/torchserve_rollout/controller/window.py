"""The evidence that still counts, kept short however long a bake is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from torchserve_rollout.analysis.samples import Rate, TickEvidence, accumulate
from torchserve_rollout.machine.judging import baseline_of
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.spec.schema import RolloutSpec

_LONGEST = 256
REQUESTS_KEY = "error_rate"


class EvidenceWindow:
    """The ticks of one rollout since the moment from which evidence is needed.

    Args:
        longest_s: the longest ``window`` of an alarm; younger ticks are kept one by one.
    """

    def __init__(self, evidence: Iterable[TickEvidence] = (), longest_s: float = 0.0) -> None:
        self.ticks = tuple(evidence)
        self._longest = timedelta(seconds=longest_s)

    def add(self, tick: TickEvidence, state: RolloutState) -> None:
        """Append what one tick measured, and let go of what no longer counts."""
        oldest = baseline_of(state)
        self.ticks = tuple(each for each in (*self.ticks, tick) if oldest is not None and each.at > oldest)
        if len(self.ticks) > _LONGEST:
            self.ticks = _compacted(self.ticks, state.step_since, tick.at - self._longest)

    def candidate_requests(self, state: RolloutState) -> int:
        """Attempts of the candidate since the current weight is in force."""
        if state.step_since is None:
            return 0
        measured = accumulate(self.ticks, state.step_since).get(REQUESTS_KEY)
        sample = measured.candidate if measured else None
        return sample.total if isinstance(sample, Rate) else 0


def longest_window_s(spec: RolloutSpec) -> float:
    """The longest ``window`` of the spec's alarms."""
    return max((alarm.window for alarm in spec.alarms if alarm.window is not None), default=0.0)


def _compacted(ticks: Iterable[TickEvidence], since: datetime | None, young: datetime) -> tuple[TickEvidence, ...]:
    """Sum up the old ticks on each side of ``since``: every sum the judge takes stays what it was."""
    listed = list(ticks)
    old = [tick for tick in listed if tick.at <= young]
    before = [tick for tick in old if since is None or tick.at <= since]
    after = [tick for tick in old if since is not None and tick.at > since]
    return (*(_summed(side) for side in (before, after) if side), *listed[len(old) :])


def _summed(ticks: list[TickEvidence]) -> TickEvidence:
    beginning = datetime.min.replace(tzinfo=ticks[0].at.tzinfo)
    return TickEvidence(ticks[-1].at, accumulate(ticks, beginning))
