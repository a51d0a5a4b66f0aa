"""What a source of measurements is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torchserve_rollout.analysis.samples import Measurement, Pairs, Rate
from torchserve_rollout.model import MirrorPair, ModelName, VersionName
from torchserve_rollout.signals.scrape import Increments


@dataclass(frozen=True, slots=True)
class Cohorts:
    """Who is compared with whom. ``stable`` is None for a model's first version."""

    model: ModelName
    candidate: VersionName
    stable: VersionName | None


class Source(Protocol):
    """Measures one or more signals of one rollout."""

    def collect(self) -> Mapping[str, Measurement]:
        """What came in since the last call, by signal key. A key that is missing had nothing new."""
        ...

    def close(self) -> None:
        """End what runs in the background."""
        ...


class PairSignal(Protocol):
    """A signal of mirrored requests; a file in ``signals/paired`` with a module-level ``SIGNAL``."""

    @property
    def name(self) -> str:
        """As the spec names it."""
        ...

    def tally(self, pair: MirrorPair) -> Pairs | Rate:
        """What one pair adds; an empty sample where it says nothing."""
        ...


class MetricSignal(Protocol):
    """A signal that can be read off ``/metrics``; a file in ``signals/metrics`` with a module-level ``SIGNAL``."""

    @property
    def name(self) -> str:
        """As the spec names it."""
        ...

    def measure(self, increments: Increments, cohorts: Cohorts) -> Measurement:
        """Both cohorts over the same window."""
        ...
