"""Every signal that some source can measure."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any

from torchserve_rollout.signals import metrics, paired
from torchserve_rollout.signals.source import MetricSignal, PairSignal
from torchserve_rollout.signals.workers import WORKER_SIGNALS

PROBE_SCORE = "probe_score"


@cache
def metric_signals() -> Mapping[str, MetricSignal]:
    """The signals in ``signals/metrics``, by name."""
    signals: list[MetricSignal] = [module.SIGNAL for module in _modules(metrics)]
    return {signal.name: signal for signal in signals}


@cache
def pair_signals() -> Mapping[str, PairSignal]:
    """The signals in ``signals/paired``, by name."""
    signals: list[PairSignal] = [module.SIGNAL for module in _modules(paired)]
    return {signal.name: signal for signal in signals}


def _modules(package: ModuleType) -> Iterator[Any]:
    return (
        importlib.import_module(f"{package.__name__}.{each.name}") for each in pkgutil.iter_modules(package.__path__)
    )


def known_signals() -> frozenset[str]:
    """The names a spec may use."""
    return frozenset(metric_signals()) | frozenset(pair_signals()) | WORKER_SIGNALS | {PROBE_SCORE}
