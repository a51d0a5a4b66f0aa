"""Frozen types to JSON and back, for the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, get_args

from pydantic import TypeAdapter

from torchserve_rollout.analysis.samples import Measurement, Sample, TickEvidence
from torchserve_rollout.analysis.verdict import AlarmVerdict
from torchserve_rollout.machine.state import RolloutState

Json = dict[str, Any]

_STATE = TypeAdapter(RolloutState)
_SAMPLES = {kind.__name__: kind for kind in get_args(Sample)}


def state_to_json(state: RolloutState) -> Json:
    """Every field of the state."""
    content = _STATE.dump_python(state, mode="json")
    for name in ("pause_reasons", "probed", "uncut"):
        content[name] = sorted(content[name])  # sets have no order; equal states shall have equal texts
    return dict(content)


def state_from_json(content: Mapping[str, Any]) -> RolloutState:
    """The state as it was written; a field that came later has its default."""
    return _STATE.validate_python(dict(content))


def evidence_to_json(evidence: TickEvidence) -> Json:
    """Measurements by key; the time has a column of its own."""
    return {key: _measurement_to_json(each) for key, each in sorted(evidence.measurements.items())}


def evidence_from_json(at: datetime, content: Mapping[str, Any]) -> TickEvidence:
    """The evidence as it was written."""
    return TickEvidence(at, {key: _measurement_from_json(each) for key, each in content.items()})


def alarm_to_json(alarm: AlarmVerdict) -> Json:
    """One alarm as it was judged."""
    return {
        "name": alarm.alarm,
        "signal": alarm.signal,
        "verdict": alarm.verdict.name,
        "candidate": alarm.candidate,
        "stable": alarm.stable,
        "candidate_n": alarm.candidate_n,
        "stable_n": alarm.stable_n,
        "rule": alarm.rule,
        "sentence": alarm.sentence,
        "severity": alarm.severity,
        "is_dry_run": alarm.is_dry_run,
        "candidate_interval": alarm.candidate_interval,
        "stable_interval": alarm.stable_interval,
    }


def _measurement_to_json(measurement: Measurement) -> Json:
    return {
        "signal": measurement.signal,
        "candidate": _sample_to_json(measurement.candidate),
        "stable": _sample_to_json(measurement.stable),
        "error": measurement.error,
    }


def _measurement_from_json(content: Mapping[str, Any]) -> Measurement:
    return Measurement(
        signal=content["signal"],
        candidate=_sample_from_json(content["candidate"]),
        stable=_sample_from_json(content["stable"]),
        error=content["error"],
    )


def _sample_to_json(sample: Sample | None) -> Json | None:
    return None if sample is None else {"kind": type(sample).__name__, **_finite(asdict(sample))}


def _sample_from_json(content: Mapping[str, Any] | None) -> Sample | None:
    if content is None:
        return None
    fields = {
        name: tuple(float("inf") if each is None else each for each in value) if isinstance(value, list) else value
        for name, value in content.items()
        if name != "kind"
    }
    sample: Sample = _SAMPLES[content["kind"]](**fields)
    return sample


def _finite(fields: Json) -> Json:
    """JSON has no infinity: the last bound of a histogram becomes null."""
    return {
        name: [None if each == float("inf") else each for each in value] if isinstance(value, tuple) else value
        for name, value in fields.items()
    }
