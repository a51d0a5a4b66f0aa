"""The evidence that still counts, kept short however long a bake is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from torchserve_rollout.analysis.samples import Rate, TickEvidence, accumulate
from torchserve_rollout.machine.judging import baseline_of
from torchserve_rollout.machine.state import RolloutState

_LONGEST = 256
REQUESTS_KEY = "error_rate"


class EvidenceWindow:
    """The ticks of one rollout since the moment from which evidence is needed."""

    def __init__(self, evidence: Iterable[TickEvidence] = ()) -> None:
        self.ticks = tuple(evidence)

    def add(self, tick: TickEvidence, state: RolloutState) -> None:
        """Append what one tick measured, and let go of what no longer counts."""
        oldest = baseline_of(state)
        self.ticks = tuple(each for each in (*self.ticks, tick) if oldest is not None and each.at > oldest)
        if len(self.ticks) > _LONGEST:
            self.ticks = _compacted(self.ticks, state.step_since)

    def candidate_requests(self, state: RolloutState) -> int:
        """Attempts of the candidate since the current weight is in force."""
        if state.step_since is None:
            return 0
        measured = accumulate(self.ticks, state.step_since).get(REQUESTS_KEY)
        sample = measured.candidate if measured else None
        return sample.total if isinstance(sample, Rate) else 0


def _compacted(ticks: Iterable[TickEvidence], since: datetime | None) -> tuple[TickEvidence, ...]:
    """Sum up the ticks on each side of ``since``: every sum the judge takes stays what it was."""
    listed = list(ticks)
    before = [tick for tick in listed if since is None or tick.at <= since]
    after = [tick for tick in listed if since is not None and tick.at > since]
    return tuple(_summed(side) for side in (before, after) if side)


def _summed(ticks: list[TickEvidence]) -> TickEvidence:
    beginning = datetime.min.replace(tzinfo=ticks[0].at.tzinfo)
    return TickEvidence(ticks[-1].at, accumulate(ticks, beginning))
