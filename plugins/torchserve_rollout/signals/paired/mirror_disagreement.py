"""``mirror_disagreement``: mirrored requests that both versions answered, but not with the same bytes: a rate.

For versions that must say the same: another engine, a refactored handler. Compared is what the gateway keeps of a body,
its first 16 KiB.
"""

from __future__ import annotations

from torchserve_rollout.analysis.samples import Rate
from torchserve_rollout.model import MirrorPair, Outcome


class MirrorDisagreement:
    """There is one share for both versions, so only ``max`` makes sense of it."""

    name = "mirror_disagreement"

    def tally(self, pair: MirrorPair) -> Rate:
        """What one pair adds."""
        if not pair.primary.outcome is pair.shadow.outcome is Outcome.OK:
            return Rate()
        return Rate(int(not pair.is_same_body), 1)


SIGNAL = MirrorDisagreement()
