"""YAML text → :class:`RolloutSpec` or :class:`ProbeSpec`. Strict, and all problems at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from torchserve_rollout.errors import Problem, SpecError
from torchserve_rollout.spec.checks import only_probe, probe_problems, rollout_problems
from torchserve_rollout.spec.probe import ProbeSpec
from torchserve_rollout.spec.problems import problems_of
from torchserve_rollout.spec.schema import RolloutSpec
from torchserve_rollout.spec.signals import CATALOGUE, KNOWN_SIGNALS
from torchserve_rollout.spec.yaml_text import read_mapping

_M = TypeVar("_M", bound=BaseModel)


def load_spec(text: str, source: str, known_signals: frozenset[str] = KNOWN_SIGNALS) -> RolloutSpec:
    """A rollout spec from YAML. ``source`` names the file in every message.

    ``known_signals`` are the signals that some source can measure; an alarm on any other is refused.

    Raises:
        SpecError: carries every problem of the file.
    """
    return parse_spec(read_mapping(text, source), source, known_signals)


def parse_spec(data: Mapping[str, Any], source: str, known_signals: frozenset[str] = KNOWN_SIGNALS) -> RolloutSpec:
    """A rollout spec from plain data, such as the body of an API call or a stored spec.

    Raises:
        SpecError: carries every problem of the data.
    """
    spec, problems = _validate(RolloutSpec, data)
    problems += [p for p in rollout_problems(data, known_signals) if p.path not in {other.path for other in problems}]
    if spec is None or problems:
        raise SpecError(source, problems)
    return _with_implied_probe(spec, only_probe(data))


def _with_implied_probe(spec: RolloutSpec, probe: str | None) -> RolloutSpec:
    """Alarms that need a probe and name none watch the probe of the gates."""
    alarms = tuple(
        alarm.model_copy(update={"probe": probe})
        if alarm.probe is None and alarm.signal in CATALOGUE and CATALOGUE[alarm.signal].needs_probe
        else alarm
        for alarm in spec.alarms
    )
    return spec.model_copy(update={"alarms": alarms})


def load_probe(text: str, source: str) -> ProbeSpec:
    """A probe file from YAML.

    Raises:
        SpecError: carries every problem of the file.
    """
    data = read_mapping(text, source)
    probe, problems = _validate(ProbeSpec, data)
    problems += probe_problems(data)
    if probe is None or problems:
        raise SpecError(source, problems)
    return probe


def _validate(model: type[_M], data: Mapping[str, Any]) -> tuple[_M | None, list[Problem]]:
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, problems_of(error, model)
