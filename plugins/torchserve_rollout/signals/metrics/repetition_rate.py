"""``repetition_rate``: answers of the text generation handler that repeat themselves."""

from __future__ import annotations

from torchserve_rollout.signals.sides import HandlerShare

SIGNAL = HandlerShare("repetition_rate", "ts_rollout_llm_repeated_answers_total")
