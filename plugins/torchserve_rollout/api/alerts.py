"""What Alertmanager posts (webhook version 4), as alerts about versions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from torchserve_rollout.machine.alerts import Alert
from torchserve_rollout.model import MODEL_PATTERN, VERSION_PATTERN, ModelName, VersionName
from torchserve_rollout.spec.schema import AlarmAction

_LONGEST_SENTENCE = 500


class _Posted(BaseModel):
    """Alertmanager may add fields; we do not mind."""

    model_config = ConfigDict(extra="ignore")


class PostedAlert(_Posted):
    """One alert."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: datetime = Field(alias="startsAt")
    ends_at: datetime | None = Field(default=None, alias="endsAt")
    fingerprint: str = Field(default="", max_length=64)


class AlertsBody(_Posted):
    """What one webhook call carries."""

    alerts: list[PostedAlert] = Field(max_length=1000)


class AlertsTaken(BaseModel):
    """How many alerts name a model and a version, and why the others were passed over."""

    taken: int
    ignored: list[str]


def sorted_out(posted: Iterable[PostedAlert]) -> tuple[list[Alert], list[str]]:
    """The alerts that are about a version, and why each of the others is not."""
    alerts, ignored = [], []
    for each in posted:
        name = each.labels.get("alertname", "alert")
        model, version = each.labels.get("model", ""), each.labels.get("version", "")
        action = each.labels.get("action", AlarmAction.ROLLBACK.value)
        if not MODEL_PATTERN.match(model) or not VERSION_PATTERN.match(version):
            ignored.append(f"{name}: its labels model and version do not name a version")
        elif action not in {known.value for known in AlarmAction}:
            ignored.append(f"{name}: its label action is {action!r}, not rollback, hold or notify")
        else:
            said = each.annotations.get("summary") or each.annotations.get("description") or "is firing"
            alerts.append(
                Alert(
                    fingerprint=each.fingerprint or f"{name}:{model}:{version}"[:64],
                    model=ModelName(model),
                    version=VersionName(version),
                    name=name[:160],
                    action=AlarmAction(action),
                    sentence=f"alert {name}: {said}"[:_LONGEST_SENTENCE],
                    starts_at=each.starts_at,
                    ends_at=None if each.status == "firing" else each.ends_at or each.starts_at,
                )
            )
    return alerts, ignored
