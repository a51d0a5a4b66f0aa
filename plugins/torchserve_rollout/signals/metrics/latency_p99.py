"""``latency_p99``: seconds from dispatch to the last byte of an attempt."""

from __future__ import annotations

from torchserve_rollout.signals.sides import GatewayQuantile

SIGNAL = GatewayQuantile("latency_p99", "ts_rollout_attempt_latency_seconds")
