"""The probe files a spec names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchserve_rollout.errors import NotFoundError, Problem, RolloutError, SpecError
from torchserve_rollout.signals.registry import PROBE_SCORE
from torchserve_rollout.spec.load import load_probe
from torchserve_rollout.spec.probe import ProbeSpec
from torchserve_rollout.spec.schema import GateSpec, RolloutSpec

ONE_TOKEN: dict[str, Any] = {"prompt": "Hello", "max_new_tokens": 1}
ONE_TOKEN_TIMEOUT_S = 60.0


class ProbeFiles:
    """Reads probe files; a relative path is relative to ``home``, the directory TorchServe is started in."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def load(self, path: str) -> ProbeSpec:
        """One probe file.

        Raises:
            NotFoundError: it cannot be read. SpecError: it is not a probe file.
        """
        try:
            return load_probe((self._home / path).read_text("utf-8"), path)
        except (OSError, UnicodeDecodeError) as error:
            raise NotFoundError(f"{self._home / path}: the probe file cannot be read: {error}") from error

    def gates(self, spec: RolloutSpec) -> list[tuple[GateSpec, ProbeSpec]]:
        """Every gate with its probe."""
        return [(gate, self.load(gate.probe)) for gate in spec.gates]

    def warm_up(self, spec: RolloutSpec) -> tuple[dict[str, Any], float]:
        """Body and timeout in seconds of the request that a version must answer before it sees a user."""
        if spec.prepare.probe is None:
            return ONE_TOKEN, ONE_TOKEN_TIMEOUT_S
        probe = self.load(spec.prepare.probe)
        prompt = probe.prompts[0]
        return {
            **probe.request,
            **(prompt.body if prompt.body is not None else {"prompt": prompt.prompt}),
        }, probe.timeout

    def check(self, spec: RolloutSpec) -> None:
        """Return if every probe file of ``spec`` is there and sound.

        Raises:
            SpecError: carries the problems of all of them.
        """
        problems = []
        for where, path in _named(spec):
            try:
                self.load(path)
            except SpecError as error:
                problems += [
                    Problem(f"{where} ({path}): {each.path}", each.message, each.hint) for each in error.problems
                ]
            except RolloutError as error:
                problems.append(Problem(where, error.message))
        if problems:
            raise SpecError(f"the probe files of {spec.model}", problems)


def _named(spec: RolloutSpec) -> Sequence[tuple[str, str]]:
    named = [(f"gates[{index}].probe", gate.probe) for index, gate in enumerate(spec.gates)]
    named += [
        (f"alarms[{index}].probe", alarm.probe)
        for index, alarm in enumerate(spec.alarms)
        if alarm.signal == PROBE_SCORE and alarm.probe
    ]
    if spec.prepare.probe:
        named.append(("prepare.probe", spec.prepare.probe))
    return named
