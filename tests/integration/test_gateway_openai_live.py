"""OpenAI's own client against the gateway, with a small GPT-2 behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from tests.archives import write_archive
from tests.torchserve_process import TorchServeProcess, wait_until
from tests.unit.handlers.worker import write_tiny_model
from torchserve_rollout.packaging.entry import archive_url
from torchserve_rollout.packaging.request import PackageRequest
from torchserve_rollout.packaging.store import Catalogue

MODEL = "tiny"
MESSAGES: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "the quick brown fox"}]
BROKEN_STREAM = """
import os, time
from ts.handler_utils.utils import send_intermediate_predict_response

def handle(data, context):
    if data is None:
        return None
    context.set_response_content_type(0, "text/event-stream")
    if not data[0]["body"].get("stream"):
        raise ValueError("no")
    part = '{"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "a"}}]}'
    send_intermediate_predict_response(["data: " + part + "\\n\\n"], context.request_ids, "ok", 200, context)
    time.sleep(0.3)
    os._exit(3)
"""


@pytest.fixture(scope="module")
def server(plugins_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TorchServeProcess]:
    folder = tmp_path_factory.mktemp("openai")
    catalogue = Catalogue(folder / "model-store")
    for number, version in enumerate(("1.0", "2.0")):
        catalogue.package(
            PackageRequest(
                model=MODEL,
                version=version,
                handler="text_generation",
                weights=write_tiny_model(folder / version, seed=number, has_template=True),
                config={"handler": {"dtype": "float32", "torch_threads": 1}},
            )
        )
    with TorchServeProcess(
        plugins_path=plugins_path,
        model_store=folder / "model-store",
        properties={"rollout_access_log": "true"},
    ) as running:
        for version in ("1.0", "2.0"):
            running.register(archive_url(catalogue.get(MODEL, version)))
        running.register(write_archive(running.model_store, "broken", "1.0", BROKEN_STREAM))
        yield running


@pytest.fixture
def client(server: TorchServeProcess) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=server.url(server.ports.gateway, "/v1"), api_key=server.tokens.inference, max_retries=0, timeout=30
    ) as client:
        yield client


def all_traffic_to(server: TorchServeProcess, version: str) -> None:
    described = server.management("GET", f"/traffic/{MODEL}")
    epoch = 1 + (described.json()["epoch"] if described.status_code == 200 else 0)
    weights = {} if version == "1.0" else {"weights": f"{version}:100"}
    assert server.management("PUT", f"/traffic/{MODEL}", epoch=epoch, stable="1.0", lease_s=600, **weights).ok


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_chat_obeys_the_traffic_policy(server: TorchServeProcess, client: OpenAI, version: str) -> None:
    all_traffic_to(server, version)
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES, max_tokens=8)
    answer = raw.parse()
    assert raw.headers["x-model-version"] == version
    assert (answer.model, answer.system_fingerprint) == (MODEL, version)
    assert answer.choices[0].message.content
    assert answer.usage is not None and answer.usage.completion_tokens <= 8


@pytest.mark.parametrize(
    ("model", "headers"),
    [(f"{MODEL}:2.0", {}), (MODEL, {"x-model-version": "2.0"})],
    ids=["behind the model", "in a header"],
)
def test_a_version_can_be_named(server: TorchServeProcess, client: OpenAI, model: str, headers: dict[str, str]) -> None:
    all_traffic_to(server, "1.0")
    answer = client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=2, extra_headers=headers)
    assert answer.system_fingerprint == "2.0"


def test_a_stream_comes_chunk_by_chunk_and_says_the_same(server: TorchServeProcess, client: OpenAI) -> None:
    all_traffic_to(server, "2.0")
    whole = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=12)
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=MESSAGES, max_tokens=12, stream=True, stream_options={"include_usage": True}
        )
    )
    *parts, last = chunks
    text = "".join(part.choices[0].delta.content or "" for part in parts)
    assert len(parts) > 2
    assert text == whole.choices[0].message.content
    assert parts[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert last.usage == whole.usage


def test_a_completion_is_answered_and_streamed(server: TorchServeProcess, client: OpenAI) -> None:
    all_traffic_to(server, "1.0")
    whole = client.completions.create(model=MODEL, prompt="the quick", max_tokens=8, temperature=0)
    parts = client.completions.create(model=MODEL, prompt="the quick", max_tokens=8, stream=True)
    assert "".join(part.choices[0].text for part in parts) == whole.choices[0].text


def test_the_models_are_listed(client: OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {MODEL, "broken"}
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


def test_errors_are_those_the_client_knows(server: TorchServeProcess, client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="nobody", messages=MESSAGES)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model=f"{MODEL}:9", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError, match="n: only 1"):
        client.chat.completions.create(model=MODEL, messages=MESSAGES, n=2)
    with pytest.raises(openai.AuthenticationError) as refused:
        client.with_options(api_key="wrong").chat.completions.create(model=MODEL, messages=MESSAGES)
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(openai.InternalServerError) as failed:
        client.chat.completions.create(model="broken", messages=MESSAGES)
    assert failed.value.type == "server_error"


def test_a_stream_that_breaks_raises_in_the_client(client: OpenAI) -> None:
    received: list[str] = []
    with pytest.raises(openai.APIError, match=r"Worker died\."):
        for part in client.chat.completions.create(model="broken", messages=MESSAGES, stream=True):
            received.append(part.choices[0].delta.content or "")
    assert received == ["a"]


def test_every_request_is_a_line_of_the_access_log(server: TorchServeProcess, client: OpenAI) -> None:
    all_traffic_to(server, "2.0")
    log = server.logs / "rollout_access.log"
    answer = client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=4)
    list(client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=4, stream=True))
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="broken", messages=MESSAGES)

    def three_lines() -> list[dict[str, object]]:
        """From that of the first request on; none until all are there."""
        written, _, _ = log.read_text().rpartition("\n")
        lines = [json.loads(line) for line in written.splitlines()]
        ids = ["chatcmpl-" + line["request_id"] for line in lines]
        found = lines[ids.index(answer.id) :] if answer.id in ids else []
        return found if len(found) == 3 else []

    whole, stream, failed = wait_until(three_lines, 10, "the lines of three requests")
    assert answer.usage is not None
    for line in (whole, stream):
        told = {key: line[key] for key in ("model", "version", "role", "outcome", "status", "attempts")}
        assert told == {
            "model": MODEL, "version": "2.0", "role": "candidate", "outcome": "ok", "status": 200, "attempts": 1
        }  # fmt: skip
        assert 0 < float(str(line["latency_s"])) < 30
        assert line["prompt_tokens"] == answer.usage.prompt_tokens
        assert line["generated_tokens"] == answer.usage.completion_tokens
    assert (failed["model"], failed["role"], failed["outcome"], failed["status"]) == (
        "broken", "default", "model_error", 503
    )  # fmt: skip
    assert "prompt_tokens" not in failed
