"""``watch``: lines in a pipe, a screen on a terminal, and a controller that goes away and comes back."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from datetime import datetime, timedelta

import pytest

from tests.torchserve_process import wait_until
from tests.unit.api.in_memory import BEGUN, ERRORS_ALARM, InMemoryRollouts, new_event, new_view
from tests.unit.cli.home import Home
from torchserve_rollout.cli.following import PATIENCE_S, Snapshot, snapshots
from torchserve_rollout.controller.views import EventView, RolloutView
from torchserve_rollout.errors import RolloutError, ServerUnreachable


class HandClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now(self) -> datetime:
        return BEGUN + timedelta(seconds=self.passed_s)

    def monotonic_s(self) -> float:
        return self.passed_s

    def sleep(self, seconds: float) -> None:
        self.passed_s += seconds


class Flaky:
    """A source that answers ``answers`` times, is away ``away`` times, and then sees the rollout ended."""

    def __init__(self, rollouts: InMemoryRollouts, *, answers: int, away: int) -> None:
        self.rollouts = rollouts
        self.answers = answers
        self.away = away

    def rollout(self, ref: str) -> RolloutView:
        if self.answers > 0:
            self.answers -= 1
        elif self.away > 0:
            self.away -= 1
            raise ServerUnreachable("the controller does not answer")
        else:
            self.rollouts.end("ROLLED_BACK", "an alarm fired")
        return self.rollouts.get(ref)

    def events(self, ref: str, after_seq: int = 0) -> list[EventView]:
        return list(self.rollouts.events(ref, after_seq))


@pytest.fixture
def rollouts() -> InMemoryRollouts:
    return InMemoryRollouts(views=[new_view()], journal=[new_event(1, "accepted"), new_event(2, "at 5 %")])


def follow(
    source: Flaky, clock: HandClock, timeout_s: float | None = None, patience_s: float = PATIENCE_S
) -> list[Snapshot]:
    return list(snapshots(source, "assistant", clock, sleep=clock.sleep, timeout_s=timeout_s, patience_s=patience_s))


def test_every_event_is_seen_once_and_the_last_look_has_the_exit_code(rollouts: InMemoryRollouts) -> None:
    seen = follow(Flaky(rollouts, answers=4, away=0), HandClock())
    assert [event.seq for snapshot in seen for event in snapshot.new_events] == [1, 2]
    assert [snapshot.view.exit_code for snapshot in seen] == [None, None, None, 3]


def test_a_controller_that_goes_away_is_waited_for_and_its_return_is_told(rollouts: InMemoryRollouts) -> None:
    seen = follow(Flaky(rollouts, answers=2, away=5), HandClock())
    notes = [snapshot.note for snapshot in seen if snapshot.note]
    assert notes[0] == "the controller does not answer; trying for 2m more"
    assert notes[-1] == "the controller is back after 5s"
    assert seen[-1].view.exit_code == 3


def test_a_controller_that_stays_away_ends_the_watch(rollouts: InMemoryRollouts) -> None:
    clock = HandClock()
    with pytest.raises(ServerUnreachable):
        follow(Flaky(rollouts, answers=2, away=10_000), clock, patience_s=30.0)
    assert 30 <= clock.passed_s <= 32


def test_a_controller_that_never_answered_is_not_waited_for(rollouts: InMemoryRollouts) -> None:
    clock = HandClock()
    with pytest.raises(ServerUnreachable):
        follow(Flaky(rollouts, answers=0, away=1), clock)
    assert clock.passed_s == 0


def test_the_timeout_says_where_the_rollout_stands(rollouts: InMemoryRollouts) -> None:
    with pytest.raises(RolloutError, match="still PROGRESSING after 5s: step 1 of 2"):
        follow(Flaky(rollouts, answers=100, away=0), HandClock(), timeout_s=5.0)


@pytest.mark.parametrize(("after_success", "end"), [(False, "SUCCEEDED"), (True, "ROLLED_BACK")])
def test_after_success_it_can_be_watched_until_the_prior_version_is_let_go(after_success: bool, end: str) -> None:
    clock, rollouts = HandClock(), InMemoryRollouts([new_view()])
    rollouts.end("SUCCEEDED", "baked")
    rollouts.move(warm_until=BEGUN + timedelta(hours=1))

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.passed_s == 5:
            rollouts.move(phase="ROLLING_BACK", exit_code=None, warm_until=None)
        if clock.passed_s == 8:
            rollouts.end("ROLLED_BACK", "after its success: errors fired")

    source = Flaky(rollouts, answers=1000, away=0)
    seen = list(snapshots(source, "assistant", clock, after_success=after_success, sleep=sleep))
    assert seen[-1].view.phase == end
    assert clock.passed_s == (8 if after_success else 0)


def test_in_a_pipe_the_timeline_is_plain_lines(home: Home, rollouts: InMemoryRollouts) -> None:
    home.rollouts.views, home.rollouts.journal = rollouts.views, rollouts.journal
    home.rollouts.end("ABORTED", "errors fired")
    done = home.cli("watch")
    assert done.out.splitlines() == [
        "12:00:01  2.0          5 %  –            accepted",
        "12:00:02  2.0          5 %  –            at 5 %",
        "assistant-1 ABORTED: errors fired",
    ]
    assert done.err == ""


def test_with_json_each_line_is_an_object_and_the_last_is_the_rollout(home: Home, rollouts: InMemoryRollouts) -> None:
    home.rollouts.views, home.rollouts.journal = rollouts.views, rollouts.journal
    home.rollouts.end("HELD", "stable is sick")
    done = home.cli("watch", "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["event"]["seq"] for line in lines[:-1]] == [1, 2]
    assert lines[-1]["rollout"]["phase"] == "HELD"
    assert done.code == 4


def test_a_real_watch_survives_a_restart_of_the_controller(home: Home, rollouts: InMemoryRollouts) -> None:
    home.rollouts.views, home.rollouts.journal = rollouts.views, rollouts.journal
    line, environment = home.command("watch", "assistant")
    out, err = home.directory / "out", home.directory / "err"
    with out.open("w") as out_file, err.open("w") as err_file:
        process = subprocess.Popen(line, cwd=home.directory, env=environment, stdout=out_file, stderr=err_file)
        try:
            wait_until(lambda: "at 5 %" in out.read_text(), 30, "the first events")
            home.stop()
            wait_until(lambda: "trying for" in err.read_text(), 30, "the remark that the controller is away")
            home.rollouts.end("SUCCEEDED", "baked")
            home.serve()
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
    assert "is back after" in err.read_text()
    assert out.read_text().splitlines()[-1] == "assistant-1 SUCCEEDED: baked"


def test_on_a_terminal_the_screen_shows_weight_alarms_and_timeline(home: Home, rollouts: InMemoryRollouts) -> None:
    home.rollouts.views, home.rollouts.journal = rollouts.views, rollouts.journal
    home.rollouts.move(alarms=[ERRORS_ALARM])
    home.rollouts.end("ABORTED", "errors fired")
    text = _on_a_terminal(home, "watch", "assistant")
    for part in ("assistant 1.0 → 2.0", "ABORTED", "━", "error_rate at most", "0.42", "at 5 %", "errors fired"):
        assert part in text, text


def _on_a_terminal(home: Home, *arguments: str) -> str:
    line, environment = home.command(*arguments)
    environment |= {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(line, cwd=home.directory, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    chunks = []
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux answers EIO once the other end is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(ours)
    assert process.wait(30) == 3
    return b"".join(chunks).decode()
