"""The evidence that still counts, kept short however long a bake is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby

from torchserve_rollout.analysis.samples import Pairs, Rate, TickEvidence, accumulate
from torchserve_rollout.machine.judging import baseline_of, judged_since, stretch_after_success
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.spec.schema import RolloutSpec

_LONGEST = 256
REQUESTS_KEY = "error_rate"
COPIES_KEY = "mirror_error_rate"


class EvidenceWindow:
    """The ticks of one rollout since the moment from which evidence is needed.

    Args:
        spec: ticks younger than the longest ``window`` of its alarms are kept one by one.
    """

    def __init__(self, spec: RolloutSpec, evidence: Iterable[TickEvidence] = ()) -> None:
        self._closed = tuple(evidence)
        self._open: TickEvidence | None = None
        self._spec = spec
        self._longest = timedelta(seconds=_longest_window_s(spec))

    @property
    def ticks(self) -> tuple[TickEvidence, ...]:
        """What still counts, oldest first."""
        return self._closed if self._open is None else (*self._closed, self._open)

    def add(self, tick: TickEvidence, state: RolloutState) -> None:
        """Append what one tick measured, and let go of what no longer counts."""
        oldest = baseline_of(state)
        self._closed = tuple(each for each in (*self._closed, tick) if oldest is not None and each.at > oldest)
        self._open = None
        if len(self._closed) > _LONGEST:
            self._closed = _compacted(self._closed, self._moments(state, tick.at), tick.at - self._longest)

    def gather(self, tick: TickEvidence) -> TickEvidence:
        """Sum up ``tick`` with what came since the last :meth:`add`; until the next one the sum counts as one tick."""
        self._open = tick if self._open is None else summed([self._open, tick])
        return self._open

    def _moments(self, state: RolloutState, now: datetime) -> list[datetime]:
        """From which moments on the judge takes sums."""
        stretch = stretch_after_success(state, now)
        begun = (state.step_since, state.baseline_since, stretch.begun if stretch else None)
        moments = {*begun, *(judged_since(each, self._spec) for each in begun)}
        return sorted(moment for moment in moments if moment is not None)

    def candidate_requests(self, state: RolloutState) -> int:
        """Attempts of the candidate since the current weight is in force; at weight 0 pairs of mirrored ones too."""
        if state.step_since is None:
            return 0
        measured = accumulate(self.ticks, state.step_since)
        keys = (REQUESTS_KEY, COPIES_KEY) if state.weight_pct == 0 else (REQUESTS_KEY,)
        samples = [measured[key].candidate for key in keys if key in measured]
        return sum(sample.n for sample in samples if isinstance(sample, Rate | Pairs))


def _longest_window_s(spec: RolloutSpec) -> float:
    """The longest ``window`` of the spec's alarms."""
    return max((alarm.window for alarm in spec.alarms if alarm.window is not None), default=0.0)


def _compacted(ticks: Iterable[TickEvidence], moments: list[datetime], young: datetime) -> tuple[TickEvidence, ...]:
    """Sum up the old ticks between two moments each: every sum the judge takes stays what it was."""
    listed = list(ticks)
    old = [tick for tick in listed if tick.at <= young]
    between = groupby(old, key=lambda tick: sum(tick.at > moment for moment in moments))
    return (*(_compact(list(group)) for _, group in between), *listed[len(old) :])


def summed(ticks: Sequence[TickEvidence]) -> TickEvidence:
    """All of ``ticks`` as one, at the time of the last. Stored as one tick, it is one block when read again."""
    tick = _compact(ticks)
    return replace(tick, measurements={key: replace(each, blocks=()) for key, each in tick.measurements.items()})


def _compact(ticks: Sequence[TickEvidence]) -> TickEvidence:
    """The sum of ``ticks``, with the blocks they were made of."""
    beginning = datetime.min.replace(tzinfo=ticks[0].at.tzinfo)
    return TickEvidence(ticks[-1].at, accumulate(ticks, beginning))
