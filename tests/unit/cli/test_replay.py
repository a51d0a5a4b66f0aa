"""``replay`` on the terminal."""

from __future__ import annotations

from tests.unit.api.in_memory import BEGUN, SPEC_TEXT, new_view
from tests.unit.cli.home import Home
from torchserve_rollout.controller.views import DifferenceView


def test_the_same_verdicts_are_said_to_be_so(home: Home) -> None:
    home.rollouts.views.append(new_view())
    result = home.cli("replay", "assistant")
    assert result.code == 0, result.err
    assert "every verdict is as it was" in result.out and "outcome: no alarm fires" in result.out


def test_other_verdicts_are_shown_side_by_side_and_exit_1(home: Home) -> None:
    home.rollouts.views.append(new_view())
    home.rollouts.differences = [DifferenceView(at=BEGUN, judge="old/1", recorded="5 % failed", replayed="all well")]
    result = home.cli("replay")
    assert result.code == 1
    assert "old/1 said: 5 % failed" in result.out and "now: all well" in result.out


def test_another_spec_is_sent_along(home: Home) -> None:
    home.rollouts.views.append(new_view())
    (home.directory / "other.yaml").write_text(SPEC_TEXT)
    result = home.cli("replay", "assistant", "--spec", "other.yaml")
    assert "judged again by another spec" in result.out, result.err
    assert "errors: nothing was measured for it in that rollout" in result.out
