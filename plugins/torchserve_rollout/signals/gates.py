"""Gates: probes the candidate must pass before any user request reaches it. They run in the background."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from torchserve_rollout.errors import RolloutError
from torchserve_rollout.machine.observation import GateResult
from torchserve_rollout.model import VersionName
from torchserve_rollout.signals.probes import Predict, ask
from torchserve_rollout.spec.probe import ProbeSpec
from torchserve_rollout.spec.schema import GateSpec

_ATTEMPTS = 3
_RETRY_PAUSE_S = 2.0


class GateRun:
    """One run of all gates against one version; asks for nothing twice and never blocks the tick."""

    def __init__(self, gates: Sequence[tuple[GateSpec, ProbeSpec]], version: VersionName, predict: Predict) -> None:
        self._gates = gates
        self._version = version
        self._predict = predict
        self._stop = threading.Event()
        self._results: tuple[GateResult, ...] | None = None
        self._thread = threading.Thread(target=self._run, name=f"gates {version}", daemon=True)
        self._thread.start()

    @property
    def results(self) -> tuple[GateResult, ...] | None:
        """One result per gate, in the spec's order; None until all have run."""
        return self._results

    def close(self) -> None:
        """End the run; its results no longer matter."""
        self._stop.set()

    def _run(self) -> None:
        results = [self._gate(gate, probe) for gate, probe in self._gates]
        if not self._stop.is_set():
            self._results = tuple(results)

    def _gate(self, gate: GateSpec, probe: ProbeSpec) -> GateResult:
        error = ""
        for _ in range(_ATTEMPTS):
            try:
                points = self._points(probe)
                mean = sum(points) / max(1, len(points))
                return GateResult(gate.probe, mean, gate.min_score, len(points))
            except RolloutError as unreachable:
                error = unreachable.message
            if self._stop.wait(_RETRY_PAUSE_S):
                break
        return GateResult(gate.probe, 0.0, gate.min_score, 0, error=error)

    def _points(self, probe: ProbeSpec) -> list[float]:
        points = []
        for prompt in probe.prompts:
            if self._stop.is_set():
                break
            points.append(ask(self._predict, self._version, probe, prompt)[0])
        return points
