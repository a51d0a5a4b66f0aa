"""TorchServe's ``/metrics`` as increments: what each counter grew by since the last look.

A restart sets counters back to zero. Then all of them count from zero, so what they show has happened since: a restart
never looks like a drop, and what was counted before it never comes back as a burst.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import requests
from prometheus_client.parser import text_string_to_metric_families

from torchserve_rollout.analysis.samples import Histogram
from torchserve_rollout.model import NodeName

PREFIX = "ts_rollout_"
_GROWING = ("_total", "_bucket", "_count", "_sum")
TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Series:
    """One line of ``/metrics`` without its value."""

    name: str
    labels: frozenset[tuple[str, str]]

    def has(self, labels: Mapping[str, str]) -> bool:
        """Whether these are among its labels."""
        return self.labels.issuperset(labels.items())


def parse(text: str, prefix: str | tuple[str, ...] = PREFIX) -> dict[Series, float]:
    """The samples whose name begins with ``prefix``, or with one of several.

    Raises:
        ValueError: the text is not in Prometheus' format.
    """
    # Without the TYPE lines the parser leaves names alone; with them it renames TorchServe's counters.
    lines = "".join(f"{line}\n" for line in text.splitlines() if line.startswith(prefix))
    return {
        Series(sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(lines)
        for sample in family.samples
    }


@dataclass(frozen=True, slots=True)
class Increments:
    """What grew by how much between two looks, and what the gauges of all nodes read at the second."""

    values: Mapping[Series, float] = field(default_factory=dict)
    gauges: tuple[tuple[Series, float], ...] = ()

    def total(self, name: str, labels: Mapping[str, str]) -> float:
        """Growth of all series of this name with these labels."""
        return sum(value for _, value in self._of(name, labels))

    def only(self, keep: Callable[[Series], bool]) -> Increments:
        """Those of the series that ``keep`` approves of."""
        kept = {series: value for series, value in self.values.items() if keep(series)}
        return Increments(kept, tuple(each for each in self.gauges if keep(each[0])))

    def _of(self, name: str, labels: Mapping[str, str]) -> Iterator[tuple[Series, float]]:
        return ((series, value) for series, value in self.values.items() if series.name == name and series.has(labels))

    def by(self, name: str, label: str, **labels: str) -> dict[str, int]:
        """Growth of a counter per value of one label."""
        grown: dict[str, int] = defaultdict(int)
        for series, value in self._of(name, labels):
            grown[dict(series.labels)[label]] += round(value)
        return dict(grown)

    def histogram(self, name: str, **labels: str) -> Histogram:
        """Growth of a histogram, not cumulative; empty when it did not grow."""
        cumulative: dict[float, int] = defaultdict(int)
        for series, value in self._of(f"{name}_bucket", labels):
            cumulative[float(dict(series.labels)["le"])] += round(value)
        bounds = tuple(sorted(cumulative))
        totals = [cumulative[bound] for bound in bounds]
        counts = tuple(max(0, now - before) for before, now in zip([0, *totals], totals, strict=False))
        return Histogram(bounds, counts) if any(counts) else Histogram()

    def __add__(self, other: Increments) -> Increments:
        total = dict(self.values)
        for series, value in other.values.items():
            total[series] = total.get(series, 0.0) + value
        return Increments(total, self.gauges + other.gauges)


class Tracker:
    """Remembers one node's last readings and gives the growth since.

    Args:
        counters: names of further series that only grow, though their names do not tell.
    """

    def __init__(self, counters: Collection[str] = ()) -> None:
        self._last: Mapping[Series, float] | None = None
        self._counters = frozenset(counters)

    def advance(self, readings: Mapping[Series, float]) -> Increments:
        """Growth since the last call; nothing the first time, when all there is happened before we looked."""
        last, self._last = self._last, readings
        gauges = tuple(each for each in readings.items() if not self._only_grows(each[0]))
        if last is None:
            return Increments(gauges=gauges)
        growing = {series: value for series, value in readings.items() if self._only_grows(series)}
        if any(value < last.get(series, 0.0) for series, value in growing.items()):
            last = {}  # the counters of one process start anew together
        # With those that stood still: a histogram needs all its buckets.
        return Increments({series: value - last.get(series, 0.0) for series, value in growing.items()}, gauges)

    def _only_grows(self, series: Series) -> bool:
        return series.name.endswith(_GROWING) or series.name in self._counters


@dataclass(frozen=True, slots=True)
class Scrape:
    """One look at all nodes. ``errors`` says which nodes could not be read, and why."""

    increments: Increments
    errors: Mapping[NodeName, str]

    def error(self, nodes: int) -> str:
        """Why there is no measurement at all; empty when some node could be read."""
        return "; ".join(self.errors.values()) if len(self.errors) >= nodes else ""


class Scraper:
    """Reads ``/metrics`` of all nodes at once. One per rollout: each has its own last look.

    Args:
        names: prefixes of further series to read, beside our own.
        counters: which of them only grow, though their names do not tell.
    """

    def __init__(
        self, metrics_urls: Mapping[NodeName, str], names: Iterable[str] = (), counters: Collection[str] = ()
    ) -> None:
        self._urls = dict(metrics_urls)
        self._prefixes = (PREFIX, *sorted(names))
        self._trackers = {name: Tracker(counters) for name in self._urls}
        self._sessions = threading.local()
        self._threads = ThreadPoolExecutor(max_workers=max(1, len(self._urls)), thread_name_prefix="scrape")

    @property
    def nodes(self) -> int:
        """How many nodes are read."""
        return len(self._urls)

    def scrape(self) -> Scrape:
        """Growth since the last call, all nodes together."""
        asked = {name: self._threads.submit(self._read, url) for name, url in self._urls.items()}
        total, errors = Increments(), {}
        for name, answer in asked.items():
            try:
                total += self._trackers[name].advance(answer.result())
            except (requests.RequestException, ValueError) as error:
                errors[name] = f"{self._urls[name]}: {type(error).__name__}: metrics cannot be read"
        return Scrape(total, errors)

    def _read(self, url: str) -> dict[Series, float]:
        if not hasattr(self._sessions, "session"):
            self._sessions.session = requests.Session()
            self._sessions.session.trust_env = False
        session: requests.Session = self._sessions.session
        answer = session.get(url, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return parse(answer.text, self._prefixes)

    def close(self) -> None:
        """Let go of threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
