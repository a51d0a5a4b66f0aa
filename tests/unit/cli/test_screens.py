"""What a person sees, to the letter."""

from __future__ import annotations

import io
from datetime import timedelta

from rich.console import Console, RenderableType

from tests.unit.api.in_memory import BEGUN, ERRORS_ALARM, ODD_PAIR, new_event, new_view
from torchserve_rollout.cli import screens
from torchserve_rollout.cli.findings import bad, ok, warning
from torchserve_rollout.controller.views import BaselineView, ExplanationView, NodeView, PairsView, VersionView


def shown(renderable: RenderableType, width: int = 120) -> list[str]:
    """The lines of ``renderable`` on a terminal without colours, without trailing blanks."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(renderable, soft_wrap=False)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines() if line.strip()]


def test_a_timeline_line_has_time_version_weight_verdict_and_sentence() -> None:
    event = new_event(7, "step 1: 5 % of the requests go to 2.0", verdict="PASS")
    assert shown(screens.timeline_line(event, "2.0")) == [
        "12:00:07  2.0          5 %  PASS         step 1: 5 % of the requests go to 2.0"
    ]


def test_a_timeline_line_without_verdict_has_a_dash() -> None:
    assert shown(screens.timeline_line(new_event(0, "accepted", weight_pct=0.5), "2.0")) == [
        "12:00:00  2.0        0.5 %  –            accepted"
    ]


def test_the_headline_says_where_a_rollout_stands() -> None:
    assert shown(screens.headline(new_view())) == ["assistant 1.0 → 2.0  PROGRESSING  step 1 of 2  5 %"]
    first = new_view(stable=None, steps=0, step=0, weight_pct=100.0, pause_reasons=["operator", "alarm"])
    assert shown(screens.headline(first)) == ["assistant nothing → 2.0  PROGRESSING  100 %  paused by alarm, operator"]


def test_explain_begins_with_the_sentence_and_shows_both_sides() -> None:
    ended = new_view(phase="ABORTED", is_terminal=True, weight_pct=0.0, reason="errors fired", alarms=[ERRORS_ALARM])
    view = ExplanationView(
        rollout=ended,
        sentence="Aborted because 42 % of the requests failed on 2.0.",
        deciding_alarm=ERRORS_ALARM,
        decided_at=BEGUN + timedelta(seconds=9),
        timeline=[new_event(9, "errors fired", verdict="FAIL")],
    )
    assert shown(screens.explanation(view)) == [
        "assistant 1.0 → 2.0  ABORTED  step 1 of 2  0 %",
        "Aborted because 42 % of the requests failed on 2.0.",
        "alarm     errors",
        "signal    error_rate",
        "observed  candidate 0.42, stable 0.001",
        "surely    candidate 0.24 to 0.61, stable at least 0.0001",
        "rule      error_rate at most 1 % worse than stable",
        "samples   candidate 100, stable 1900",
        "decided   2026-03-01 12:00:09 UTC",
        "timeline (UTC)",
        "12:00:09  2.0          5 %  FAIL         errors fired",
    ]


def test_alarms_show_the_observed_value_of_both_sides_and_dashes_without_data() -> None:
    no_data = ERRORS_ALARM.model_copy(
        update={"name": "slow", "verdict": "INCONCLUSIVE", "candidate": None, "stable": None}
    )
    text = shown(screens.alarms_table([ERRORS_ALARM, no_data]))
    assert text[0].split() == ["alarm", "verdict", "candidate", "stable", "samples", "rule"]
    assert text[2].split()[:7] == ["errors", "FAIL", "0.42", "0.001", "100", "/", "1900"]
    assert text[3].split()[:4] == ["slow", "INCONCLUSIVE", "–", "–"]


def test_status_shows_nodes_and_one_line_a_model() -> None:
    nodes = [
        NodeView(node="local", is_reachable=True, error=""),
        NodeView(node="far", is_reachable=False, error="no answer"),
    ]
    version = VersionView(
        model="assistant",
        version="1.0",
        digest="abc",
        size_bytes=1,
        packaged_at=BEGUN,
        archive="assistant-1.0.mar",
        is_registered=True,
        is_default=True,
        ready_workers=1,
    )
    quiet = version.model_copy(update={"model": "quiet", "version": "7"})
    text = shown(screens.status_screen([new_view(pause_reasons=["operator"])], [version, quiet], nodes), width=160)
    assert any(line.split() == ["local", "answers"] for line in text)
    assert any(line.split() == ["far", "no", "answer"] for line in text)
    (assistant,) = (line for line in text if line.startswith("assistant"))
    assert assistant.split()[:7] == ["assistant", "1.0", "1.0", "2.0", "5", "%", "PROGRESSING"]
    assert "(paused)" in assistant
    assert "2026-03-01 12:00:00" in assistant
    (other,) = (line for line in text if line.startswith("quiet"))
    assert "no rollout yet" in other


def test_pairs_show_both_answers_and_what_a_model_says_moves_no_cursor() -> None:
    even = ODD_PAIR.model_copy(
        update={"is_odd": False, "request_id": "r-8", "candidate": ODD_PAIR.stable.model_copy(update={"body": None})}
    )
    view = PairsView(id="assistant-1", seen=900, lost=7, pairs=[even, ODD_PAIR])
    title, _, _, odd, other = shown(screens.pairs_screen(view), width=200)
    assert title == "assistant-1: 900 mirrored requests; 7 more were not fetched in time"
    assert odd.split()[:9] == ["12:00:00", "r-7", "200", "ok", "250ms", "503", "model_error", "10ms", "four"]
    assert odd.endswith("…") and "\x1b" not in odd
    assert other.split() == ["12:00:00", "r-8", "200", "ok", "250ms", "200", "ok", "250ms", "four", "–"]


def test_words_of_others_are_never_read_as_markup() -> None:
    event = new_event(1, "failed: [bold]x[/bold] [red]")
    assert shown(screens.timeline_line(event, "2.0"))[0].endswith("failed: [bold]x[/bold] [red]")
    view = new_view(reason="[/nonsense] broke")
    assert any("[/nonsense] broke" in line for line in shown(screens.status_screen([view], [], []), width=160))
    assert any("[/nonsense] broke" in line for line in shown(screens.history_table([view]), width=240))


def test_findings_say_what_to_do_only_where_something_is_wrong() -> None:
    text = shown(
        screens.findings_list([ok("java", "17"), warning("disk", "2 GB", "make room"), bad("jar", "none", "build it")])
    )
    assert text == [
        "ok      java  17",
        "warning disk  2 GB",
        "              → make room",
        "bad     jar   none",
        "              → build it",
        "1 of 3 checks failed",
    ]


def test_bounds_that_are_measured_against_stable_are_shown_wherever_a_rollout_is() -> None:
    eased = BaselineView(alarm="slow", value=3.1, asked="latency_p95 at most 2s", allowed="latency_p95 at most 3.41s")
    view = new_view(baselines=[eased])
    said = "assistant slow: latency_p95 at most 3.41s, as stable had 3.1 before the start"
    explained = ExplanationView(rollout=view, sentence="", deciding_alarm=None, decided_at=None, timeline=[])
    for screen in (
        screens.status_screen([view], [], []),
        screens.live_screen(view, [], now=BEGUN, note="", rows=5),
        screens.explanation(explained),
    ):
        assert said in [line.rstrip() for line in shown(screen, width=120)]
    ended = view.model_copy(update={"is_terminal": True})
    assert said not in [line.rstrip() for line in shown(screens.status_screen([ended], [], []), width=120)]
