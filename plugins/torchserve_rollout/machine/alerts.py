"""Alarms that are judged elsewhere: an alert that somebody's Alertmanager says is firing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from torchserve_rollout.model import ModelName, VersionName
from torchserve_rollout.spec.schema import AlarmAction


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert about one version. ``fingerprint`` is the same each time it is told; ``ends_at`` None: it fires."""

    fingerprint: str
    model: ModelName
    version: VersionName
    name: str
    action: AlarmAction
    sentence: str
    starts_at: datetime
    ends_at: datetime | None = None
