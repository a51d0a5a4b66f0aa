"""``client_error_rate``: answers that blame the caller. A candidate that answers 400 to everything is broken too."""

from __future__ import annotations

from torchserve_rollout.model import Outcome
from torchserve_rollout.signals.sides import AttemptShare

SIGNAL = AttemptShare("client_error_rate", Outcome.CLIENT_ERROR)
