"""``mirror_slower_rate``: which version took at least a tenth longer for the same request. Sampled as pairs.

Nearer latencies are a draw: a copy is sent a moment after the request itself and shares the machine with it.
"""

from __future__ import annotations

from typing import Final

from torchserve_rollout.analysis.samples import Pairs
from torchserve_rollout.model import MirrorPair, Outcome

_DRAW: Final = 1.1


class MirrorSlowerRate:
    """Of requests that both answered."""

    name = "mirror_slower_rate"

    def tally(self, pair: MirrorPair) -> Pairs:
        """What one pair adds."""
        if not pair.primary.outcome is pair.shadow.outcome is Outcome.OK:
            return Pairs()
        of_stable_s, of_candidate_s = pair.primary.latency_s, pair.shadow.latency_s
        return Pairs(1, int(of_candidate_s >= _DRAW * of_stable_s), int(of_stable_s >= _DRAW * of_candidate_s))


SIGNAL = MirrorSlowerRate()
