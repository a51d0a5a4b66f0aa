"""Mirrored requests: pairs of answers, fetched from every gateway in the background, counted, and a few kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from operator import add
from typing import Final

from torchserve_rollout.analysis.samples import Measurement, Pairs
from torchserve_rollout.errors import RolloutError
from torchserve_rollout.model import Mirrored, MirrorPage, MirrorPair, NodeName, SampledPair
from torchserve_rollout.signals.registry import pair_signals
from torchserve_rollout.signals.source import Cohorts

PAGE: Final = 256
INTERVAL_S: Final = 0.5
ALWAYS: Final = "mirror_error_rate"
# Of one collection; the journal keeps a few more.
_ODD_KEPT: Final = 8
_EVEN_KEPT: Final = 2
_DISAGREEMENT: Final = "mirror_disagreement"

Read = Callable[[int, int], MirrorPage]
"""``(after, limit)``: one page of one gateway's pairs. Raises RolloutError."""


Keep = Callable[[Mirrored], None]


class MirrorSource:
    """Signals of mirrored requests. ``mirror_error_rate`` is always among them: it also counts the pairs.

    A gateway keeps its latest pairs whether anybody reads them or not. Here each is counted once: what was there before
    the first look is not ours, and after that the sequence of the last pair seen is where the next page begins. It
    grows over restarts of the gateway; where it does not, because a clock was set back, all the gateway has is new.

    Args:
        readers: the gateways by node.
        signals: the names that the spec's alarms use; those of other sources are left alone.
        keep: told of what came in, in the thread that collects.
    """

    def __init__(
        self,
        cohorts: Cohorts,
        readers: Mapping[NodeName, Read],
        signals: Iterable[str],
        keep: Keep,
        interval_s: float = INTERVAL_S,
    ) -> None:
        known = pair_signals()
        self._cohorts = cohorts
        self._signals = [known[name] for name in sorted({ALWAYS, *signals} & known.keys())]
        self._watches_bodies = _DISAGREEMENT in set(signals)
        self._keep = keep
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._pairs: list[tuple[NodeName, MirrorPair]] = []
        self._lost = 0
        self._errors: dict[NodeName, str] = {}
        self._nodes = len(readers)
        self._stop = threading.Event()
        # One thread a node: a gateway that hangs keeps no other waiting.
        for node, read in readers.items():
            thread = threading.Thread(target=self._follow, args=(node, read), name=f"mirror {node}", daemon=True)
            thread.start()

    def collect(self) -> Mapping[str, Measurement]:
        """The pairs since the last call as one sample a signal; an error while no gateway can be read."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
            lost, self._lost = self._lost, 0
            errors = list(self._errors.values())
        if not pairs and errors and len(errors) >= self._nodes:
            return {signal.name: Measurement(signal.name, error="; ".join(errors)) for signal in self._signals}
        if pairs or lost:
            self._keep(Mirrored(len(pairs), lost, tuple(self._sample(pairs))))
        if not pairs:
            return {}
        return {
            signal.name: Measurement(signal.name, reduce(add, (signal.tally(pair) for _, pair in pairs)))
            for signal in self._signals
        }

    def close(self) -> None:
        """Read no more."""
        self._stop.set()

    def _sample(self, pairs: Sequence[tuple[NodeName, MirrorPair]]) -> list[SampledPair]:
        """The latest few, those on which the versions differ first of all; oldest first."""
        sampled = [SampledPair(node, pair, self._is_odd(pair)) for node, pair in pairs]
        odd = [each for each in sampled if each.is_odd]
        even = [each for each in sampled if not each.is_odd]
        return [*even[-_EVEN_KEPT:], *odd[-_ODD_KEPT:]]

    def _is_odd(self, pair: MirrorPair) -> bool:
        counted = pair_signals()[ALWAYS].tally(pair)
        return (isinstance(counted, Pairs) and counted.odd > 0) or (self._watches_bodies and not pair.is_same_body)

    def _follow(self, node: NodeName, read: Read) -> None:
        after: int | None = None
        while not self._stop.is_set():
            try:
                after, is_more = self._advance(node, read, after)
                error = ""
            except RolloutError as away:
                is_more, error = False, away.message
            with self._lock:
                self._errors.pop(node, None)
                if error:
                    self._errors[node] = error
            if not is_more:
                self._stop.wait(self._interval_s)

    def _advance(self, node: NodeName, read: Read, after: int | None) -> tuple[int, bool]:
        """Take one page in; where the next begins, and whether there is more of it already."""
        if after is None:
            return read(0, 1).newest, False
        page = read(after, PAGE)
        if not page.pairs and 0 < page.newest < after:
            page = read(0, PAGE)
        ours = [(node, pair) for pair in page.pairs if self._is_ours(pair)]
        with self._lock:
            self._pairs += ours
            self._lost += page.lost
        return (page.pairs[-1].sequence if page.pairs else after), len(page.pairs) == PAGE

    def _is_ours(self, pair: MirrorPair) -> bool:
        versions = (pair.primary.version, pair.shadow.version)
        return versions == (self._cohorts.stable, self._cohorts.candidate) and not pair.primary.is_failover
