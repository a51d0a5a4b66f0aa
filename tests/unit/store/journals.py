"""Rollouts to put into a journal."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.machine.state import RolloutState
from torchserve_rollout.model import ModelName, RolloutId, VersionName
from torchserve_rollout.spec.schema import RolloutSpec
from torchserve_rollout.store.records import RolloutRecord

BEGUN = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)


def at(seconds: float) -> datetime:
    """Some seconds after the beginning."""
    return BEGUN + timedelta(seconds=seconds)


def new_state(rollout_id: str = "assistant-2.0-a1b2", model: str = "assistant") -> RolloutState:
    return RolloutState(
        rollout_id=RolloutId(rollout_id),
        model=ModelName(model),
        stable=VersionName("1.0"),
        candidate=VersionName("2.0"),
        phase=Phase.PENDING,
        phase_since=BEGUN,
        reason="accepted",
    )


def new_record(rollout_id: str = "assistant-2.0-a1b2", model: str = "assistant", seconds: float = 0) -> RolloutRecord:
    return RolloutRecord(
        spec=RolloutSpec.model_validate({"model": model, "steps": [{"weight": 12.5, "bake": "12.345s"}]}),
        spec_text="model: assistant\n",
        created_at=at(seconds),
        started_by="ada",
        state=new_state(rollout_id, model),
    )
