"""Alertmanager's webhook: which alerts are taken, and who may bring them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.unit.api.in_memory import InMemoryRollouts
from torchserve_rollout.api.app import create_app
from torchserve_rollout.spec.schema import AlarmAction

FIRING: dict[str, Any] = {
    "status": "firing",
    "labels": {"alertname": "Errors", "model": "assistant", "version": "2.0", "severity": "page"},
    "annotations": {"summary": "5 % fail"},
    "startsAt": "2026-01-01T00:00:00.123Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus",
    "fingerprint": "abc",
}
ROLLOUTS = InMemoryRollouts()


@pytest.fixture
def rollouts() -> InMemoryRollouts:
    return InMemoryRollouts()


def client(rollouts: InMemoryRollouts, token: str) -> TestClient:
    app = create_app(rollouts, specs_dir=Path(), valid_tokens=lambda: {"management"}, alert_tokens=lambda: {"alerts"})
    return TestClient(app, base_url="http://127.0.0.1", headers={"Authorization": f"Bearer {token}"})


def post(rollouts: InMemoryRollouts, *alerts: dict[str, Any], bearer: str = "alerts") -> Any:
    body = {"version": "4", "status": "firing", "receiver": "x", "alerts": list(alerts)}
    return client(rollouts, bearer).post("/api/v1/alerts", json=body)


def test_a_firing_alert_about_a_version_is_taken(rollouts: InMemoryRollouts) -> None:
    assert post(rollouts, FIRING).json() == {"taken": 1, "ignored": []}
    (alert,) = rollouts.alerts
    assert (alert.model, alert.version, alert.name, alert.ends_at) == ("assistant", "2.0", "Errors", None)
    assert (alert.sentence, alert.action) == ("alert Errors: 5 % fail", AlarmAction.ROLLBACK)


def test_a_resolved_alert_has_an_end(rollouts: InMemoryRollouts) -> None:
    post(rollouts, FIRING | {"status": "resolved", "endsAt": "2026-01-01T00:10:00Z"})
    assert rollouts.alerts[0].ends_at is not None


def test_the_label_action_says_what_to_do(rollouts: InMemoryRollouts) -> None:
    post(rollouts, FIRING | {"labels": FIRING["labels"] | {"action": "hold"}})
    assert rollouts.alerts[0].action is AlarmAction.HOLD


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"alertname": "Disk"}, "Disk: its labels model and version do not name a version"),
        ({"alertname": "E", "model": "../x", "version": "1"}, "E: its labels model and version do not name a version"),
        ({"alertname": "E", "model": "m", "version": "1", "action": "x"}, "E: its label action is 'x', not rollback"),
    ],
)
def test_other_alerts_are_passed_over_with_the_reason(
    rollouts: InMemoryRollouts, labels: dict[str, str], said: str
) -> None:
    answer = post(rollouts, FIRING | {"labels": labels}, FIRING).json()
    assert answer["taken"] == 1 and answer["ignored"][0].startswith(said)


def test_its_token_opens_this_route_and_no_other(rollouts: InMemoryRollouts) -> None:
    assert post(rollouts, FIRING, bearer="management").status_code == 200
    assert post(rollouts, FIRING, bearer="other").status_code == 401
    assert client(rollouts, "alerts").get("/api/v1/rollouts").status_code == 401


def test_what_alertmanager_would_not_send_is_refused(rollouts: InMemoryRollouts) -> None:
    assert client(rollouts, "alerts").post("/api/v1/alerts", json={"alerts": [{"status": "firing"}]}).status_code == 422
