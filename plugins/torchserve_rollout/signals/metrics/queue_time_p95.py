"""``queue_time_p95``: seconds from dispatch until a worker took the request."""

from __future__ import annotations

from torchserve_rollout.signals.sides import GatewayQuantile

SIGNAL = GatewayQuantile("queue_time_p95", "ts_rollout_queue_seconds")
