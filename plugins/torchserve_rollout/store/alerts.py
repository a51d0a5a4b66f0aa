"""Which alerts fire about which version, as Alertmanager last told."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, insert, select

from torchserve_rollout.machine.alerts import Alert
from torchserve_rollout.model import ModelName, VersionName
from torchserve_rollout.spec.schema import AlarmAction
from torchserve_rollout.store import tables


class AlertBook:
    """All alerts of one journal. Thread-safe: every call is a transaction of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def take(self, alerts: Iterable[Alert], at: datetime) -> None:
        """Note what was told at ``at``; a later word on the same alert replaces the earlier one."""
        with self._engine.begin() as connection:
            for alert in alerts:
                _replace(connection, alert, at)

    def firing(self, model: ModelName, version: VersionName, since: datetime) -> tuple[Alert, ...]:
        """Those about ``version`` that fire and were told of after ``since``: nobody resolves an alert for ever."""
        table = tables.alerts
        query = (
            select(table)
            .where(table.c.model == model, table.c.version == version)
            .where(table.c.ends_at.is_(None), table.c.told_at > since)
            .order_by(table.c.starts_at, table.c.fingerprint)
        )
        with self._engine.connect() as connection:
            return tuple(
                Alert(
                    fingerprint=row.fingerprint,
                    model=ModelName(row.model),
                    version=VersionName(row.version),
                    name=row.name,
                    action=AlarmAction(row.action),
                    sentence=row.sentence,
                    starts_at=row.starts_at,
                )
                for row in connection.execute(query)
            )


def _replace(connection: Connection, alert: Alert, at: datetime) -> None:
    connection.execute(delete(tables.alerts).where(tables.alerts.c.fingerprint == alert.fingerprint))
    connection.execute(
        insert(tables.alerts).values(
            fingerprint=alert.fingerprint,
            model=alert.model,
            version=alert.version,
            name=alert.name,
            action=alert.action.value,
            sentence=alert.sentence,
            starts_at=alert.starts_at,
            ends_at=alert.ends_at,
            told_at=at,
        )
    )
