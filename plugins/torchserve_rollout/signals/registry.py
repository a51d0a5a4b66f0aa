"""Every signal that some source can measure."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from torchserve_rollout.signals import metrics
from torchserve_rollout.signals.source import MetricSignal
from torchserve_rollout.signals.workers import WORKER_SIGNALS

PROBE_SCORE = "probe_score"


@cache
def metric_signals() -> Mapping[str, MetricSignal]:
    """The signals in ``signals/metrics``, by name."""
    modules = (
        importlib.import_module(f"{metrics.__name__}.{each.name}") for each in pkgutil.iter_modules(metrics.__path__)
    )
    signals: list[MetricSignal] = [module.SIGNAL for module in modules]
    return {signal.name: signal for signal in signals}


def known_signals() -> frozenset[str]:
    """The names a spec may use."""
    return frozenset(metric_signals()) | WORKER_SIGNALS | {PROBE_SCORE}
