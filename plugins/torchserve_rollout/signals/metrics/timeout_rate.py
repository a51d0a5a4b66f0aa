"""``timeout_rate``: attempts that missed their deadline. They are part of ``error_rate`` too."""

from __future__ import annotations

from torchserve_rollout.model import Outcome
from torchserve_rollout.signals.sides import AttemptShare

SIGNAL = AttemptShare("timeout_rate", Outcome.TIMEOUT)
