"""The HTTP API: its answers, its one error shape, and whom it lets in."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.unit.api.in_memory import SPEC_TEXT, InMemoryRollouts, new_event, new_view
from torchserve_rollout.api.app import create_app
from torchserve_rollout.controller.views import NodeView
from torchserve_rollout.errors import ServerUnreachable

TOKEN = "the-management-key"
BASE_URL = "http://127.0.0.1:8083"


@pytest.fixture
def rollouts() -> InMemoryRollouts:
    return InMemoryRollouts(views=[new_view()], journal=[new_event(1, "started"), new_event(2, "at 5 %")])


@pytest.fixture
def specs_dir(tmp_path: Path) -> Path:
    (tmp_path / "assistant.yaml").write_text(SPEC_TEXT)
    (tmp_path / "secret.txt").write_text("not a spec")
    return tmp_path


@pytest.fixture
def client(rollouts: InMemoryRollouts, specs_dir: Path) -> TestClient:
    app = create_app(rollouts, specs_dir=specs_dir, valid_tokens=lambda: {TOKEN})
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return TestClient(app, base_url=BASE_URL, headers=headers, raise_server_exceptions=False)


def assert_error(answer: Response, status: int, kind: str, *parts: str) -> None:
    body = answer.json()
    assert answer.status_code == status, body
    assert set(body) - {"problems"} == {"code", "type", "message", "hint"}
    assert (body["code"], body["type"]) == (status, kind)
    for part in parts:
        assert part in answer.text


def test_health_needs_no_token(client: TestClient) -> None:
    answer = client.get("/api/v1/health", headers={"Authorization": ""})
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


def test_rollouts_are_listed_newest_first_and_filtered(client: TestClient, rollouts: InMemoryRollouts) -> None:
    rollouts.views.append(new_view(id="other-2", model="other"))
    assert [view["id"] for view in client.get("/api/v1/rollouts").json()] == ["other-2", "assistant-1"]
    assert [view["id"] for view in client.get("/api/v1/rollouts?model=assistant").json()] == ["assistant-1"]
    assert len(client.get("/api/v1/rollouts?limit=1").json()) == 1


def test_a_rollout_is_found_by_id_and_by_model(client: TestClient) -> None:
    by_id = client.get("/api/v1/rollouts/assistant-1")
    assert by_id.json()["candidate"] == "2.0"
    assert client.get("/api/v1/rollouts/assistant").json() == by_id.json()


def test_events_begin_after_the_given_one(client: TestClient) -> None:
    assert [event["seq"] for event in client.get("/api/v1/rollouts/assistant/events").json()] == [1, 2]
    assert [event["seq"] for event in client.get("/api/v1/rollouts/assistant/events?after=1").json()] == [2]


def test_explain_gives_sentence_and_timeline(client: TestClient) -> None:
    body = client.get("/api/v1/rollouts/assistant/explain").json()
    assert body["sentence"].startswith("step 1 of 2")
    assert len(body["timeline"]) == 2


@pytest.mark.parametrize("action", ["pause", "resume", "promote", "abort", "rollback"])
def test_a_command_is_passed_on_with_actor_and_reason(
    client: TestClient, rollouts: InMemoryRollouts, action: str
) -> None:
    body = {"actor": "ada", "reason": "a hunch"}
    assert client.post(f"/api/v1/rollouts/assistant/{action}", json=body).status_code == 200
    assert rollouts.commands == [("assistant-1", action, "ada", "a hunch")]


def test_a_command_needs_no_body(client: TestClient, rollouts: InMemoryRollouts) -> None:
    assert client.post("/api/v1/rollouts/assistant/pause").status_code == 200
    nothing = {"actor": "management-api", "reason": None}
    assert client.post("/api/v1/rollouts/assistant/pause", json=nothing).status_code == 200
    assert rollouts.commands[0] == ("assistant-1", "pause", "api", "")


@pytest.mark.parametrize("spec", ["assistant", "assistant.yaml", SPEC_TEXT, {"model": "assistant", "steps": []}])
def test_a_spec_is_a_file_of_the_shelf_or_given_in_full(specs_dir: Path, spec: object) -> None:
    rollouts = InMemoryRollouts()
    client = TestClient(create_app(rollouts, specs_dir=specs_dir, valid_tokens=None), base_url=BASE_URL)
    if isinstance(spec, dict):
        spec = {**spec, "steps": [{"weight": 5, "bake": "60s"}], "final_bake": "10m"}
    body = {"model": "assistant", "version": "2.0", "spec": spec}
    answer = client.post("/api/v1/rollouts", json=body)
    assert answer.status_code == 201, answer.text
    ((_, _, taken, actor),) = rollouts.started
    assert taken is not None
    assert taken.steps[0].weight == 5
    assert actor == "api"


def test_without_a_spec_the_controller_takes_the_models_own(client: TestClient, rollouts: InMemoryRollouts) -> None:
    assert client.post("/api/v1/rollouts", json={"model": "other", "version": "1.0"}).status_code == 201
    assert rollouts.started == [("other", "1.0", None, "api")]


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", ".hidden", "a\\b", ""])
def test_a_spec_name_never_leaves_the_shelf(client: TestClient, name: str) -> None:
    answer = client.post("/api/v1/rollouts", json={"model": "other", "version": "2.0", "spec": name})
    assert_error(answer, 400, "UsageError", "path parts")


@pytest.mark.parametrize("name", ["nosuch", "secret.txt", "secret"])
def test_an_unknown_spec_is_not_found_and_the_known_ones_are_named(client: TestClient, name: str) -> None:
    answer = client.post("/api/v1/rollouts", json={"model": "other", "version": "2.0", "spec": name})
    assert_error(answer, 404, "NotFoundError", "assistant.yaml")


def test_a_bad_spec_is_answered_with_all_its_problems(client: TestClient) -> None:
    spec = {"model": "other", "steps": [{"weight": 500, "bake": "soon"}], "falover": "x"}
    answer = client.post("/api/v1/rollouts", json={"model": "other", "version": "2.0", "spec": spec})
    assert_error(answer, 400, "SpecError")
    assert {"steps[0].weight", "steps[0].bake", "falover"} <= {problem["path"] for problem in answer.json()["problems"]}
    assert "\n" not in answer.json()["message"]


def test_a_second_rollout_is_refused(client: TestClient) -> None:
    answer = client.post("/api/v1/rollouts", json={"model": "assistant", "version": "3.0", "spec": "assistant"})
    assert_error(answer, 409, "RolloutInProgress")


def test_a_command_to_an_ended_rollout_is_refused(client: TestClient, rollouts: InMemoryRollouts) -> None:
    rollouts.end("SUCCEEDED", "done")
    assert_error(client.post("/api/v1/rollouts/assistant/abort"), 409, "RefusedError", "SUCCEEDED")


def test_what_is_not_there_is_not_found(client: TestClient) -> None:
    assert_error(client.get("/api/v1/rollouts/nobody"), 404, "NotFoundError", "nobody")
    assert_error(client.get("/api/v1/nowhere"), 404, "NotFound", "openapi.json")


def test_a_wrong_method_and_a_bad_request_have_the_same_shape(client: TestClient) -> None:
    assert_error(client.delete("/api/v1/rollouts"), 405, "MethodNotAllowed")
    answer = client.post("/api/v1/rollouts", json={"model": "a/b", "verzion": "2.0"})
    assert_error(answer, 422, "InvalidRequest", "verzion")
    assert {problem["path"] for problem in answer.json()["problems"]} == {"model", "version", "verzion"}
    assert_error(client.post("/api/v1/rollouts", content=b"{not json"), 422, "InvalidRequest")
    assert_error(client.post("/api/v1/rollouts/assistant/explode"), 422, "InvalidRequest", "rollback")
    assert_error(client.get("/api/v1/rollouts?limit=0"), 422, "InvalidRequest", "limit")


def test_a_defect_is_answered_without_its_traceback(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: InMemoryRollouts) -> list[NodeView]:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(InMemoryRollouts, "nodes", broken)
    answer = client.get("/api/v1/nodes")
    assert_error(answer, 500, "InternalError")
    assert "secret detail" not in answer.text


@pytest.mark.parametrize(
    "authorization", ["", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer", f"Bearer {TOKEN}x", "Bearer \u00fc"]
)
def test_without_the_management_token_nothing_opens(client: TestClient, authorization: str) -> None:
    headers = {b"Authorization": authorization.encode("latin-1")}
    for path in ("rollouts", "models", "nodes", "rollouts/assistant"):
        assert_error(client.get(f"/api/v1/{path}", headers=headers), 401, "NotAuthorized")
    answer = client.post("/api/v1/rollouts/assistant/abort", headers=headers)
    assert_error(answer, 401, "NotAuthorized")


def test_while_the_tokens_cannot_be_read_nothing_opens(rollouts: InMemoryRollouts, specs_dir: Path) -> None:
    def unreadable() -> set[str]:
        raise ServerUnreachable("key_file.json: no such file", hint="is TorchServe running?")

    client = TestClient(create_app(rollouts, specs_dir=specs_dir, valid_tokens=unreadable), base_url=BASE_URL)
    answer = client.get("/api/v1/rollouts", headers={"Authorization": f"Bearer {TOKEN}"})
    assert_error(answer, 503, "ServerUnreachable", "key_file.json", "is TorchServe running?")
    assert client.get("/api/v1/health").status_code == 200


def test_where_torchserve_asks_for_no_token_neither_do_we(rollouts: InMemoryRollouts, specs_dir: Path) -> None:
    client = TestClient(create_app(rollouts, specs_dir=specs_dir, valid_tokens=None), base_url=BASE_URL)
    assert client.get("/api/v1/rollouts").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8083", "127.0.0.1.evil.example", "", "[::1", "localhost@evil"]
)
def test_a_foreign_host_name_is_refused_so_dns_rebinding_gets_nowhere(client: TestClient, host: str) -> None:
    assert_error(client.get("/api/v1/health", headers={"Host": host}), 421, "UnknownHost")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1:1", "[::1]:8083"])
def test_the_names_of_loopback_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/v1/health", headers={"Host": host}).status_code == 200


def test_a_configured_host_name_is_answered(rollouts: InMemoryRollouts, specs_dir: Path) -> None:
    app = create_app(rollouts, specs_dir=specs_dir, valid_tokens=None, allowed_hosts=["Controller.internal"])
    client = TestClient(app, base_url="http://controller.internal:8083")
    assert client.get("/api/v1/health").status_code == 200


def test_a_page_of_another_site_may_not_call(client: TestClient) -> None:
    answer = client.get("/api/v1/rollouts", headers={"Origin": "https://evil.example"})
    assert_error(answer, 403, "ForeignOrigin")
    assert "access-control-allow-origin" not in answer.headers


def test_the_openapi_description_lists_every_route(client: TestClient) -> None:
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    assert set(paths) == {
        "/api/v1/health",
        "/api/v1/rollouts",
        "/api/v1/rollouts/{ref}",
        "/api/v1/rollouts/{ref}/events",
        "/api/v1/rollouts/{ref}/explain",
        "/api/v1/rollouts/{ref}/pairs",
        "/api/v1/rollouts/{ref}/replay",
        "/api/v1/rollouts/{ref}/{action}",
        "/api/v1/alerts",
        "/api/v1/models",
        "/api/v1/nodes",
    }
