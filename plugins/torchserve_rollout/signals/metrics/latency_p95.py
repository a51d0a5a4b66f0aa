"""``latency_p95``: seconds from dispatch to the last byte of an attempt."""

from __future__ import annotations

from torchserve_rollout.signals.sides import GatewayQuantile

SIGNAL = GatewayQuantile("latency_p95", "ts_rollout_attempt_latency_seconds")
