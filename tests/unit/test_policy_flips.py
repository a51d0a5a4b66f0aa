"""The check of the policy flips notices what it is there to notice."""

from __future__ import annotations

import pytest

from tests.policy_flips import Asked, Flips

# 1.0 from 0 to 10, 2.0 from 10 to 20, 3.0 from then on; each was confirmed one second after it was sent.
FLIPS = Flips(policies=[(0.0, "1.0"), (10.0, "2.0"), (20.0, "3.0")], confirmed_s=[1.0, 11.0, 21.0])


@pytest.mark.parametrize(
    ("begin_s", "end_s", "allowed"),
    [
        (2, 3, {"1.0"}),
        (2, 10.5, {"1.0", "2.0"}),
        (10.5, 10.6, {"1.0", "2.0"}),
        (11.5, 12, {"2.0"}),
        (2, 30, {"1.0", "2.0", "3.0"}),
        (99, 100, {"3.0"}),
    ],
)
def test_a_version_is_allowed_while_its_policy_may_have_been_in_force(
    begin_s: float, end_s: float, allowed: set[str]
) -> None:
    assert FLIPS.allowed(Asked(begin_s, end_s, 200, "1.0")) == allowed


def test_the_wrong_version_and_the_wrong_status_are_found() -> None:
    wrong, failed, right = Asked(12, 13, 200, "1.0"), Asked(12, 13, 503, "2.0"), Asked(12, 13, 200, "2.0")
    flips = Flips(FLIPS.policies, FLIPS.confirmed_s, [wrong, failed, right])
    assert (flips.misrouted, flips.failed, flips.telling) == ([wrong], [failed], 3)
