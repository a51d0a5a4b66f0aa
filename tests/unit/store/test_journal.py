"""The journal on a real SQLite file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.unit.store.journals import at, new_record, new_state
from torchserve_rollout.analysis.samples import Histogram, Measurement, Rate, Scores, TickEvidence
from torchserve_rollout.analysis.verdict import AlarmVerdict, Verdict
from torchserve_rollout.errors import NotFoundError, RolloutInProgress
from torchserve_rollout.machine.phases import PauseReason, Phase
from torchserve_rollout.machine.state import Command, CommandKind
from torchserve_rollout.model import ModelName, NodeName, RolloutId, VersionName
from torchserve_rollout.store.codec import state_to_json
from torchserve_rollout.store.database import open_database
from torchserve_rollout.store.journal import Journal
from torchserve_rollout.store.records import CompletedVersion, EventKind, NewEvent, TickRecord
from torchserve_rollout.store.state import fold

ASSISTANT = ModelName("assistant")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'journal.db'}")


@pytest.fixture
def journal(engine: Engine) -> Journal:
    return Journal(engine)


def decided(seconds: float, **changes: object) -> TickRecord:
    state = new_state().evolve(**changes)
    event = NewEvent(EventKind.DECIDED, f"now {state.phase}", data={"state": state_to_json(state)})
    return TickRecord(at(seconds), state, (event,))


def test_a_rollout_reads_back_as_it_was_written(journal: Journal) -> None:
    record = new_record()
    journal.create(record, "accepted by ada")
    assert journal.rollout("assistant-2.0-a1b2") == replace(record, sentence="accepted by ada")
    assert journal.rollout("assistant") == journal.rollout("assistant-2.0-a1b2")


def test_an_unknown_rollout_is_not_found(journal: Journal) -> None:
    with pytest.raises(NotFoundError, match="no rollout"):
        journal.rollout("nobody")


def test_a_second_rollout_of_the_same_model_is_refused_until_the_first_has_ended(journal: Journal) -> None:
    journal.create(new_record(), "accepted")
    with pytest.raises(RolloutInProgress, match=r"assistant-2\.0-a1b2"):
        journal.create(new_record("assistant-3.0-c3d4"), "accepted")
    journal.create(new_record("other-2.0-e5f6", model="other"), "accepted")

    journal.write(decided(5, phase=Phase.ABORTED))
    journal.create(new_record("assistant-3.0-c3d4", seconds=9), "accepted")
    assert [each.id for each in journal.rollouts("assistant")] == ["assistant-3.0-c3d4", "assistant-2.0-a1b2"]
    assert journal.rollout("assistant").id == "assistant-3.0-c3d4"


def test_of_many_callers_at_once_exactly_one_starts(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    outcomes: list[str] = []

    def start(number: int) -> None:
        try:
            Journal(open_database(url)).create(new_record(f"assistant-2.0-{number}"), "accepted")
            outcomes.append("started")
        except RolloutInProgress:
            outcomes.append("refused")

    run_together(start, 8)
    assert sorted(outcomes) == ["refused"] * 7 + ["started"]


def test_the_fold_of_the_events_is_the_state_of_the_row(journal: Journal) -> None:
    journal.create(new_record(), "accepted")
    last = decided(
        7,
        phase=Phase.PROGRESSING,
        step_index=1,
        step_since=at(6.5),
        weight_pct=12.5,
        epoch=3,
        pause_reasons=frozenset({PauseReason.OPERATOR, PauseReason.ALARM}),
        probed=frozenset({NodeName("b"), NodeName("a")}),
    )
    journal.write(decided(3, phase=Phase.PREPARING))
    journal.write(last)
    assert fold(journal.events("assistant-2.0-a1b2")) == last.state == journal.rollout("assistant").state


def test_events_are_read_on_from_where_the_reader_stands(journal: Journal) -> None:
    journal.create(new_record(), "accepted")
    first = journal.events("assistant-2.0-a1b2")[-1]
    journal.write(decided(3, phase=Phase.PREPARING))
    assert [each.sentence for each in journal.events("assistant-2.0-a1b2", first.seq)] == ["now PREPARING"]


def test_a_command_waits_until_a_tick_takes_it(journal: Journal) -> None:
    journal.create(new_record(), "accepted")
    wish = Command(CommandKind.PAUSE, "ada", "lunch", at(1))
    journal.put_command("assistant-2.0-a1b2", wish)

    (pending,) = journal.pending_commands("assistant-2.0-a1b2")
    assert pending.command == wish
    taken = decided(2)
    journal.write(TickRecord(taken.at, taken.state, taken.events, taken_commands=(pending.id,)))
    assert journal.pending_commands("assistant-2.0-a1b2") == []


def test_evidence_of_every_kind_reads_back_and_can_be_cut_at_a_time(journal: Journal) -> None:
    journal.create(new_record(), "accepted")
    both = TickEvidence(
        at(2),
        {
            "error_rate": Measurement("error_rate", Rate(1, 20), Rate(0, 380)),
            "latency_p95": Measurement(
                "latency_p95", Histogram((0.1, 1.0, float("inf")), (3, 1, 0)), Histogram((), ())
            ),
            "probe_score:p.yaml": Measurement("probe_score", Scores.of([1.0, 0.5]), None),
            "broken": Measurement("broken", error="no answer"),
        },
    )
    for seconds, evidence in ((1, TickEvidence(at(1), {})), (2, both)):
        tick = decided(seconds)
        journal.write(TickRecord(tick.at, tick.state, evidence=evidence))
    assert journal.evidence("assistant-2.0-a1b2", since=at(1)) == [both]


def test_verdicts_read_back(journal: Journal) -> None:
    journal.create(new_record(), "accepted")
    verdict = AlarmVerdict("errors", "error_rate", Verdict.FAIL, 0.5, None, 40, 0, "max 1 %", "half of it failed")
    journal.write(TickRecord(at(1), new_state(), alarms=(verdict,)))
    assert journal.rollout("assistant").alarms == (verdict,)


def test_the_last_completed_version_is_home(journal: Journal) -> None:
    assert journal.last_completed(ASSISTANT) is None
    found = CompletedVersion(ASSISTANT, VersionName("1.0"), 2, at(0), RolloutId("assistant-2.0-a1b2"))
    journal.create(new_record(), "accepted", adopted=found)
    assert journal.last_completed(ASSISTANT) == found

    done = CompletedVersion(ASSISTANT, VersionName("2.0"), 2, at(9), RolloutId("assistant-2.0-a1b2"))
    tick = decided(9, phase=Phase.SUCCEEDED)
    journal.write(TickRecord(tick.at, tick.state, tick.events, completed=done))
    assert journal.homes() == [done]


def test_epochs_go_on_where_earlier_rollouts_ended(journal: Journal) -> None:
    assert journal.highest_epoch(ASSISTANT) == 0
    journal.create(new_record(), "accepted")
    journal.write(decided(1, epoch=7, phase=Phase.ABORTED))
    assert journal.highest_epoch(ASSISTANT) == 7


def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    Journal(open_database(url)).create(new_record(), "accepted")

    def write(number: int) -> None:
        journal = Journal(open_database(url))
        for _ in range(10):
            journal.append(at(number), new_state(), [NewEvent(EventKind.DONE, f"writer {number}")])

    run_together(write, 6)
    assert len(Journal(open_database(url)).events("assistant-2.0-a1b2")) == 1 + 6 * 10


def run_together(work: Callable[[int], None], count: int) -> None:
    """Run `work(0..count-1)`, each in a thread; re-raise the first error."""
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
