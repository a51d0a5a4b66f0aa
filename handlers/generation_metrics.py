"""The handler's series on TorchServe's /metrics, labelled with the version (docs/reference/metrics.md).

TorchServe drops, without a word, every sample whose series is not in config/metrics.yaml or whose labels come in
another order than there: ModelVersion, ModelName, Level. It adds the last two itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ts.metrics.dimension import Dimension
from ts.metrics.metric_type_enum import MetricTypes

PREFIX = "ts_rollout_llm_"


@dataclass(frozen=True, slots=True)
class Sample:
    """One answered prompt."""

    latency_s: float
    first_token_s: float
    prompt_tokens: int
    generated_tokens: int
    tokens_per_second: float
    is_empty: bool
    is_repeated: bool


class GenerationMetrics:
    """Emits the samples of one version."""

    def __init__(self, version: str) -> None:
        self._version = version

    def answered(self, context: Any, index: int, sample: Sample) -> None:
        """Count one answered prompt; ``index`` is its place in the batch."""
        self._count(context, index, "requests_total", 1)
        self._count(context, index, "prompt_tokens_total", sample.prompt_tokens)
        self._count(context, index, "generated_tokens_total", sample.generated_tokens)
        self._observe(context, index, "latency_seconds", sample.latency_s, "s")
        if sample.generated_tokens:
            self._observe(context, index, "first_token_seconds", sample.first_token_s, "s")
        if sample.tokens_per_second:
            self._observe(context, index, "tokens_per_second", sample.tokens_per_second, "tokens per second")
        # Zeros too: a series that is there and 0 differs from one that nobody emits.
        self._count(context, index, "failures_total", 0)
        self._count(context, index, "empty_answers_total", int(sample.is_empty))
        self._count(context, index, "repeated_answers_total", int(sample.is_repeated))

    def failed(self, context: Any, index: int) -> None:
        """Count one prompt the handler failed."""
        self._count(context, index, "requests_total", 1)
        self._count(context, index, "failures_total", 1)

    def _count(self, context: Any, index: int, name: str, value: int) -> None:
        self._emit(context, index, name, value, "count", MetricTypes.COUNTER)

    def _observe(self, context: Any, index: int, name: str, value: float, unit: str) -> None:
        # TorchServe's parser knows no "+": 1e+20 would be dropped. Six decimals never need one.
        self._emit(context, index, name, round(value, 6), unit, MetricTypes.HISTOGRAM)

    def _emit(self, context: Any, index: int, name: str, value: float, unit: str, metric_type: MetricTypes) -> None:
        # A fresh list each time: TorchServe appends its own dimensions to the one it is given.
        dimensions = [Dimension("ModelVersion", self._version)]
        context.metrics.add_metric(PREFIX + name, value, unit, index, dimensions, metric_type)
