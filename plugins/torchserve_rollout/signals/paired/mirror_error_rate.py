"""``mirror_error_rate``: on whose side alone a mirrored request failed. Sampled as pairs.

Refusing (4xx) what the other version answered is a failure here: the input is the same. Pairs with a side that says
nothing of its version (no capacity, a caller who left) are not counted.
"""

from __future__ import annotations

from torchserve_rollout.analysis.samples import Pairs
from torchserve_rollout.model import MirrorHalf, MirrorPair, Outcome


def tells(half: MirrorHalf) -> bool:
    """Whether the outcome says anything of the version."""
    return half.outcome.is_charged or half.outcome in (Outcome.OK, Outcome.CLIENT_ERROR)


class MirrorErrorRate:
    """What one answered and the other did not."""

    name = "mirror_error_rate"

    def tally(self, pair: MirrorPair) -> Pairs:
        """What one pair adds."""
        if not (tells(pair.primary) and tells(pair.shadow)):
            return Pairs()
        of_stable, of_candidate = (half.outcome is not Outcome.OK for half in (pair.primary, pair.shadow))
        return Pairs(1, int(of_candidate and not of_stable), int(of_stable and not of_candidate))


SIGNAL = MirrorErrorRate()
