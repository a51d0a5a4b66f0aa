"""``probe_score``: the prompts of a probe file, sent to candidate and stable while the rollout runs, and scored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torchserve_rollout.analysis.samples import Measurement, Scores
from torchserve_rollout.analysis.scoring import answer_text, score
from torchserve_rollout.errors import RolloutError, ServerUnreachable
from torchserve_rollout.model import VersionName
from torchserve_rollout.signals.registry import PROBE_SCORE
from torchserve_rollout.signals.source import Cohorts
from torchserve_rollout.spec.probe import ProbeSpec, PromptSpec

PASS_PAUSE_S = 1.0
# After each request the runner rests at least as long as the request took: at most half of one worker's time is ours.
_LONGEST_REST_S = 5.0


class Answer(Protocol):
    """What a version said. ``status`` is 0 when no answer came in time."""

    @property
    def status(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def latency_s(self) -> float: ...


Predict = Callable[[VersionName, dict[str, Any], float], Answer]
"""``(version, body, timeout_s)``: one request to this very version. Raises ServerUnreachable."""


def ask(predict: Predict, version: VersionName, probe: ProbeSpec, prompt: PromptSpec) -> tuple[float, Answer]:
    """The score of one prompt on one version, and its answer. A failed or missing answer scores 0.

    Raises:
        ServerUnreachable: the version was not there to be asked: no server, not registered, no worker.
    """
    body = {**probe.request, **(prompt.body if prompt.body is not None else {"prompt": prompt.prompt})}
    answer = predict(version, body, probe.timeout)
    if answer.status == 404 or (answer.status == 503 and "ServiceUnavailableException" in answer.text):
        raise ServerUnreachable(f"version {version} cannot be asked: {answer.text.strip()[:200]}")
    if not 200 <= answer.status < 300:
        return 0.0, answer
    return score(answer_text(answer.text, probe.answer_path), prompt.expect), answer


class ProbeSource:
    """Asks in the background, one request at a time, candidate and stable in turn, with rests between.

    Args:
        key: the measurement's key, ``probe_score:<path>``.
    """

    def __init__(
        self, key: str, probe: ProbeSpec, cohorts: Cohorts, predict: Predict, pass_pause_s: float = PASS_PAUSE_S
    ) -> None:
        self._key = key
        self._probe = probe
        self._cohorts = cohorts
        self._predict = predict
        self._pass_pause_s = pass_pause_s
        self.rests = 1
        """After each request it rests this many times as long as the request took."""
        self._lock = threading.Lock()
        self._scores: dict[VersionName, Scores] = {}
        self._error = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"probe {cohorts.model}", daemon=True)
        self._thread.start()

    def collect(self) -> Mapping[str, Measurement]:
        with self._lock:
            scores, self._scores = self._scores, {}
            error, self._error = self._error, ""
        if not scores:
            return {self._key: Measurement(PROBE_SCORE, error=error)} if error else {}
        stable = self._cohorts.stable
        return {
            self._key: Measurement(
                PROBE_SCORE,
                candidate=scores.get(self._cohorts.candidate, Scores()),
                stable=None if stable is None else scores.get(stable, Scores()),
            )
        }

    def close(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        versions = [self._cohorts.candidate, *([self._cohorts.stable] if self._cohorts.stable else [])]
        while not self._stop.is_set():
            for prompt in self._probe.prompts:
                for version in versions:
                    if self._stop.wait(self._ask(version, prompt)):
                        return
            versions.reverse()  # neither version is always the one that warms the caches
            self._stop.wait(self._pass_pause_s)

    def _ask(self, version: VersionName, prompt: PromptSpec) -> float:
        """Ask and note the score; how long to rest afterwards."""
        try:
            points, answer = ask(self._predict, version, self._probe, prompt)
        except RolloutError as error:
            with self._lock:
                self._error = error.message
            return _LONGEST_REST_S / 5
        with self._lock:
            self._scores[version] = self._scores.get(version, Scores()) + Scores.of([points])
        return min(answer.latency_s, _LONGEST_REST_S) * self.rests
