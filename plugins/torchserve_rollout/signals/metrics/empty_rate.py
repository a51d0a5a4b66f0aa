"""``empty_rate``: answers of the text generation handler without text."""

from __future__ import annotations

from torchserve_rollout.signals.sides import HandlerShare

SIGNAL = HandlerShare("empty_rate", "ts_rollout_llm_empty_answers_total")
