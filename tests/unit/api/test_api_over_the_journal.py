"""The HTTP API over the controller's own rollouts and a real SQLite journal; TorchServe is away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.unit.store.journals import at, new_record
from torchserve_rollout.api.app import create_app
from torchserve_rollout.controller.probe_files import ProbeFiles
from torchserve_rollout.controller.rollouts import Rollouts
from torchserve_rollout.machine.phases import Phase
from torchserve_rollout.packaging.store import Catalogue
from torchserve_rollout.settings import Settings
from torchserve_rollout.store.database import open_database
from torchserve_rollout.store.journal import Journal
from torchserve_rollout.store.records import EventKind, NewEvent, TickRecord
from torchserve_rollout.torchserve.fleet import Fleet, node_from_settings

SPEC = {"model": "assistant", "steps": [{"weight": 5, "bake": "60s"}]}


class FixedClock:
    """It is always half past."""

    def now(self) -> datetime:
        return at(1800)

    def monotonic_s(self) -> float:
        return 1800.0


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal(open_database(f"sqlite:///{tmp_path / 'journal.db'}"))
    made.create(new_record(), "ada started it")
    return made


@pytest.fixture
def client(journal: Journal, tmp_path: Path) -> Iterator[TestClient]:
    settings = Settings(home=tmp_path, management_url="http://127.0.0.1:9", is_token_required=False)
    catalogue = Catalogue(tmp_path / "model-store")
    fleet = Fleet([node_from_settings(settings)], lambda model, version: catalogue.get(model, version).path.name)
    rollouts = Rollouts(
        journal, fleet, catalogue, ProbeFiles(tmp_path), tmp_path / "specs", FixedClock(), wake=lambda: None
    )
    yield TestClient(
        create_app(rollouts, specs_dir=tmp_path / "specs", valid_tokens=None, clock=FixedClock()),
        base_url="http://127.0.0.1:8083",
    )
    fleet.close()


def test_a_rollout_of_the_journal_is_shown_with_its_events(client: TestClient) -> None:
    (listed,) = client.get("/api/v1/rollouts").json()
    assert (listed["id"], listed["phase"], listed["started_by"]) == ("assistant-2.0-a1b2", "PENDING", "ada")
    assert client.get("/api/v1/rollouts/assistant").json() == listed
    (event,) = client.get("/api/v1/rollouts/assistant/events").json()
    assert event["sentence"] == "ada started it"
    assert client.get(f"/api/v1/rollouts/assistant/events?after={event['seq']}").json() == []
    assert client.get("/api/v1/rollouts/assistant/explain").json()["timeline"] == [event]


def test_a_command_reaches_the_inbox(client: TestClient, journal: Journal) -> None:
    body = {"actor": "ada", "reason": "a hunch"}
    assert client.post("/api/v1/rollouts/assistant/abort", json=body).status_code == 200
    (pending,) = journal.pending_commands("assistant-2.0-a1b2")
    assert (pending.command.kind, pending.command.actor, pending.command.reason) == ("abort", "ada", "a hunch")


def test_an_ended_rollout_refuses_commands_and_has_an_exit_code(client: TestClient, journal: Journal) -> None:
    ended = replace(new_record().state, phase=Phase.ABORTED, phase_since=at(60), reason="errors fired")
    journal.write(TickRecord(at(60), ended, (NewEvent(EventKind.DECIDED, "errors fired"),)))
    assert client.get("/api/v1/rollouts/assistant").json()["exit_code"] == 3
    answer = client.post("/api/v1/rollouts/assistant/promote")
    assert (answer.status_code, answer.json()["type"]) == (409, "RefusedError")


def test_a_start_without_torchserve_changes_nothing(client: TestClient) -> None:
    answer = client.post(
        "/api/v1/rollouts", json={"model": "other", "version": "2.0", "spec": {**SPEC, "model": "other"}}
    )
    assert (answer.status_code, answer.json()["type"]) == (503, "ServerUnreachable")
    assert len(client.get("/api/v1/rollouts").json()) == 1


def test_what_is_unknown_is_not_found(client: TestClient) -> None:
    for path in ("", "/events", "/explain"):
        assert client.get(f"/api/v1/rollouts/nobody{path}").status_code == 404
    assert client.post("/api/v1/rollouts/nobody/abort").status_code == 404


def test_nodes_say_why_they_are_away_and_models_still_answers(client: TestClient) -> None:
    (node,) = client.get("/api/v1/nodes").json()
    assert not node["is_reachable"]
    assert "127.0.0.1:9" in node["error"]
    assert client.get("/api/v1/models").json() == []
