"""``error_rate``: attempts charged to the version, out of those it answered or is to blame for.

``bad_input`` (failed on both versions), ``no_capacity`` (the house's fault) and ``client_gone`` are in neither number.
"""

from __future__ import annotations

from torchserve_rollout.model import Outcome
from torchserve_rollout.signals.sides import AttemptShare

SIGNAL = AttemptShare("error_rate", *(outcome for outcome in Outcome if outcome.is_charged))
