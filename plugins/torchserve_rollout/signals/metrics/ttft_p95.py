"""``ttft_p95``: seconds from dispatch to the first byte, which for a streamed answer is the first token."""

from __future__ import annotations

from torchserve_rollout.signals.sides import GatewayQuantile

SIGNAL = GatewayQuantile("ttft_p95", "ts_rollout_first_byte_seconds")
