"""Whatever the candidate does, at whatever weight, no user's request fails, and the metrics say what happened.

The table of faults is in ``faults.py``. A stream that has begun is the exception: the user is told that it broke.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.faults import FAULTS, MODEL, STABLE, USERS, Candidate, Counts, Fault, package
from tests.torchserve_process import TorchServeProcess, wait_until
from tests.traffic import Answer

# Asked after the fault struck. At 1 % the chance that the candidate gets none of them is 0.99 ** 2100 < 1e-9.
REQUESTS = {1: 2100, 50: 120, 100: 80}
# And so many attempts of the candidate must have failed, so that the cell shows what it is there for.
FAILURES = 5
# Nothing takes the candidate out: its failures go on, and stable answers for it as often as it takes.
NEVER_TAKEN_OUT = {"breaker_consecutive": 0, "breaker_window_failures": 0, "replay_budget": 100}


@pytest.fixture(scope="module")
def server(plugins_path: Path) -> Iterator[TorchServeProcess]:
    """One TorchServe for the whole matrix; stable serves."""
    leak_detection = "-Xmx768m -Dio.netty.leakDetection.level=paranoid"
    with TorchServeProcess(plugins_path=plugins_path, vmargs=leak_detection) as running:
        running.register(package(running, STABLE, running.directory / "well.json"))
        yield running
        assert "LEAK:" not in running.log()


@pytest.fixture(scope="module", params=FAULTS, ids=lambda fault: f"a candidate that {fault.name}")
def candidate(server: TorchServeProcess, request: pytest.FixtureRequest) -> Iterator[Candidate]:
    """A candidate with one fault, for all weights."""
    fault: Fault = request.param
    made = Candidate(server, fault, first_epoch=1000 * (1 + FAULTS.index(fault)))
    yield made
    made.remove()


@pytest.mark.parametrize("weight", [1, 50, 100])
def test_no_users_request_fails_and_every_attempt_is_counted_for_what_it_was(candidate: Candidate, weight: int) -> None:
    fault, version = candidate.fault, candidate.version
    candidate.serve()
    before = candidate.counts()
    candidate.policy(weight, **NEVER_TAKEN_OUT)
    with candidate.traffic() as traffic:
        strike_under(traffic.log.answers, candidate)
        enough = len(traffic.log.answers) + REQUESTS[weight]
        wait_until(
            lambda: len(traffic.log.answers) >= enough and failures(candidate, before) >= FAILURES, 90, "failures"
        )
    answers = traffic.log.answers
    counted = candidate.counts() - before

    # What users saw.
    broken = [answer for answer in answers if answer.is_broken]
    assert [answer for answer in traffic.log.failed if not answer.is_broken] == []
    assert fault.breaks_streams or not broken
    assert [answer for answer in answers if not is_told_truly(answer, version)] == []
    assert [answer for answer in broken if not is_told_broken(answer)] == []

    # What was counted: each of the candidate's attempts …
    attempts = counted.attempts("candidate", version)
    failed = {outcome: count for outcome, count in attempts.items() if outcome != "ok"}
    assert fault.counted_as[0] in failed and failed.keys() <= set(fault.counted_as)
    assert attempts.get("stream_broken", 0) == len(broken)
    assert attempts.get("ok", 0) == sum(answer.version == version for answer in answers) - len(broken)
    # … each of stable's in its place …
    replayed = {outcome: count for outcome, count in failed.items() if outcome != "stream_broken"}
    assert counted.failovers(version) == replayed
    assert counted.attempts("failover", STABLE).get("ok", 0) == sum(replayed.values()) == traffic.log.failovers
    # … and each request once.
    stables = counted.attempts("stable", STABLE)
    assert sum(attempts.values()) + stables.get("ok", 0) == len(answers)
    assert stables.keys() <= ({"ok"} if weight < 100 else set())
    assert counted.answers(version).get("200", 0) + counted.answers(STABLE).get("200", 0) == len(answers)


def test_a_policy_with_the_defaults_takes_it_out(candidate: Candidate) -> None:
    fault, version = candidate.fault, candidate.version
    candidate.serve()
    before = candidate.counts()
    candidate.policy(100)
    with candidate.traffic() as traffic:
        strike_under(traffic.log.answers, candidate)
        wait_until(lambda: version in candidate.shown()["breakers_open"], 30, "the breaker to open")
    with candidate.traffic(count=50) as afterwards:
        afterwards.finish()

    shown = candidate.shown()
    assert shown["breakers_open"][version]["reason"].startswith(fault.stopped_by)
    assert shown["effective_weights"] == {STABLE: 100.0, version: 0.0}
    assert (candidate.counts() - before).trips(version) == 1
    assert candidate.server.metric("ts_rollout_breaker_open", model=MODEL, version=version) == 1
    broken = [answer for answer in traffic.log.answers if answer.is_broken]
    assert traffic.log.failed == broken
    # One for each failure that the breaker waits for, and those that were under way when it opened.
    assert len(broken) < 5 + USERS if fault.breaks_streams else not broken
    assert {(answer.status, answer.version, answer.is_failover) for answer in afterwards.log.answers} == {
        (200, STABLE, False)
    }


def strike_under(answers: list[Answer], candidate: Candidate) -> None:
    """Let the fault strike while users are being answered by the candidate."""
    if not candidate.fault.is_born_bad:
        wait_until(lambda: any(answer.version == candidate.version for answer in answers[:]), 60, "its first answer")
        candidate.fault.strike(candidate)


def failures(candidate: Candidate, before: Counts) -> int:
    """Attempts of the candidate that went wrong since ``before``."""
    counted = (candidate.counts() - before).attempts("candidate", candidate.version)
    return sum(counted.values()) - counted.get("ok", 0)


def is_told_truly(answer: Answer, candidate: str) -> bool:
    """The version of the answer's header is the one that wrote the answer, and one that may answer."""
    allowed = {STABLE} if answer.is_failover else {STABLE, candidate}
    first = json.loads(answer.text.splitlines()[0])
    return answer.version in allowed and first["version"] == answer.version


def is_told_broken(answer: Answer) -> bool:
    """The last line a user got says that the answer is not whole."""
    last = json.loads(answer.text.splitlines()[-1])
    return bool(last["type"] == "StreamBrokenException" and last["message"])
