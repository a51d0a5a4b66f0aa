"""Alerts as they were last told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from torchserve_rollout.machine.alerts import Alert
from torchserve_rollout.model import ModelName, VersionName
from torchserve_rollout.spec.schema import AlarmAction
from torchserve_rollout.store.alerts import AlertBook
from torchserve_rollout.store.database import open_database

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)
MODEL, VERSION = ModelName("m"), VersionName("2.0")
ALERT = Alert("abc", MODEL, VERSION, "Errors", AlarmAction.ROLLBACK, "alert Errors: 5 % fail", NOON)


def test_an_alert_fires_from_its_telling_to_its_end(tmp_path: Path) -> None:
    book = AlertBook(open_database(f"sqlite:///{tmp_path / 'journal.db'}"))
    book.take([ALERT], NOON + SECOND)
    assert book.firing(MODEL, VERSION, NOON) == (ALERT,)
    assert book.firing(MODEL, VersionName("1.0"), NOON) == ()
    assert book.firing(MODEL, VERSION, NOON + SECOND) == (), "it was told before that rollout began"
    book.take([ALERT], NOON + 5 * SECOND)
    assert book.firing(MODEL, VERSION, NOON + SECOND) == (ALERT,), "told again"
    book.take([replace(ALERT, ends_at=NOON + 6 * SECOND)], NOON + 7 * SECOND)
    assert book.firing(MODEL, VERSION, NOON) == ()
