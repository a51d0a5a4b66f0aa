"""Probes and gates: what scores, what is an error, and that users come first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.torchserve_process import wait_until
from torchserve_rollout.analysis.samples import Measurement, Scores
from torchserve_rollout.errors import ServerUnreachable
from torchserve_rollout.machine.observation import GateResult
from torchserve_rollout.model import ModelName, VersionName
from torchserve_rollout.signals.gates import GateRun
from torchserve_rollout.signals.probes import ProbeSource
from torchserve_rollout.signals.source import Cohorts
from torchserve_rollout.spec.probe import ProbeSpec
from torchserve_rollout.spec.schema import GateSpec

ONE, TWO = VersionName("1.0"), VersionName("2.0")
COHORTS = Cohorts(ModelName("m"), TWO, ONE)
KEY = "probe_score:p.yaml"
PROBE = ProbeSpec.model_validate(
    {
        "name": "sums",
        "request": {"seed": 1},
        "prompts": [{"prompt": "2+2?", "expect": {"contains_any": ["4"]}}, {"prompt": "Capital of France?"}],
    }
)


@dataclass(frozen=True)
class Said:
    status: int
    text: str
    latency_s: float = 0.0


class Versions:
    """Answers as told, and remembers what it was asked and how many at once."""

    def __init__(self, answer: Callable[[VersionName, dict[str, Any]], Said]) -> None:
        self._answer = answer
        self.asked: list[tuple[VersionName, dict[str, Any]]] = []
        self.at_once = 0
        self.most_at_once = 0

    def predict(self, version: VersionName, body: dict[str, Any], timeout_s: float) -> Said:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.asked.append((version, body))
        try:
            return self._answer(version, body)
        finally:
            self.at_once -= 1


def right_and_wrong(version: VersionName, body: dict[str, Any]) -> Said:
    return Said(200, '{"text": "It is 4."}' if version == ONE else '{"text": "It is 5."}')


def collected(source: ProbeSource, passes: int) -> tuple[Scores, Scores]:
    """Both cohorts once each has been asked every prompt `passes` times."""
    candidate, stable = Scores(), Scores()
    wanted = passes * len(PROBE.prompts)

    def is_enough() -> bool:
        nonlocal candidate, stable
        measured = source.collect().get(KEY)
        if measured is not None:
            assert isinstance(measured.candidate, Scores) and isinstance(measured.stable, Scores)
            candidate, stable = candidate + measured.candidate, stable + measured.stable
        return candidate.n >= wanted and stable.n >= wanted

    wait_until(is_enough, 20, f"{wanted} scores of each version")
    return candidate, stable


def first_measurement(source: ProbeSource) -> Measurement:
    measured = wait_until(lambda: source.collect().get(KEY), 10, "a measurement")
    assert measured is not None
    return measured


def only_result(run: GateRun) -> GateResult:
    results = wait_until(lambda: run.results, 20, "the gate")
    assert results is not None
    (result,) = results
    return result


def test_both_versions_get_the_same_prompts_one_at_a_time() -> None:
    versions = Versions(right_and_wrong)
    source = ProbeSource(KEY, PROBE, COHORTS, versions.predict, pass_pause_s=0)
    candidate, stable = collected(source, passes=3)
    source.close()

    assert stable.total == stable.n
    assert 0.25 <= candidate.total / candidate.n <= 0.75, "one prompt of two is answered wrongly"
    assert versions.most_at_once == 1
    assert versions.asked[0][1] == {"seed": 1, "prompt": "2+2?"}


def test_a_failed_or_missing_answer_scores_nothing() -> None:
    source = ProbeSource(
        KEY, PROBE, COHORTS, Versions(lambda version, _: Said(0 if version == TWO else 503, "")).predict, 0
    )
    candidate, stable = collected(source, passes=1)
    source.close()
    assert (candidate.total, stable.total) == (0, 0)


def test_a_server_that_is_away_is_an_error_and_no_bad_score() -> None:
    def away(version: VersionName, body: dict[str, Any]) -> Said:
        raise ServerUnreachable("nobody there")

    source = ProbeSource(KEY, PROBE, COHORTS, Versions(away).predict, pass_pause_s=0)
    measured = first_measurement(source)
    source.close()
    assert (measured.error, measured.candidate, measured.stable) == ("nobody there", None, None)


def test_a_version_without_workers_is_an_error_and_no_bad_score() -> None:
    text = '{"code": 503, "type": "ServiceUnavailableException", "message": "no worker"}'
    source = ProbeSource(KEY, PROBE, COHORTS, Versions(lambda *_: Said(503, text)).predict, pass_pause_s=0)
    measured = first_measurement(source)
    source.close()
    assert "no worker" in measured.error


def test_a_slow_version_is_left_alone_as_long_as_it_took() -> None:
    slow = Versions(lambda *_: Said(200, "4", latency_s=2.0))
    source = ProbeSource(KEY, PROBE, COHORTS, slow.predict, pass_pause_s=0)
    wait_until(lambda: source.collect(), 5, "the first score")
    begun = time.monotonic()
    wait_until(lambda: len(slow.asked) >= 2, 5, "the second request")
    source.close()
    assert time.monotonic() - begun > 1.5


def test_a_gate_gives_the_mean_score_of_its_prompts() -> None:
    gate = GateSpec(probe="p.yaml", min_score=0.9)
    run = GateRun([(gate, PROBE)], TWO, Versions(right_and_wrong).predict)
    result = only_result(run)
    assert (result.score, result.prompts, result.is_passed) == (0.5, 2, False)


def test_a_gate_that_cannot_ask_is_tried_again() -> None:
    calls = threading.Event()

    def once_away(version: VersionName, body: dict[str, Any]) -> Said:
        if not calls.is_set():
            calls.set()
            raise ServerUnreachable("restarting")
        return Said(200, "4")

    gate = GateSpec(probe="p.yaml", min_score=1.0)
    run = GateRun([(gate, PROBE)], TWO, Versions(once_away).predict)
    result = only_result(run)
    assert result.is_passed


def test_no_gates_are_done_at_once() -> None:
    run = GateRun([], TWO, Versions(right_and_wrong).predict)
    wait_until(lambda: run.results is not None, 5, "nothing to run")
    assert run.results == ()
