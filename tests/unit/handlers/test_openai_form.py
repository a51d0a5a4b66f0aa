"""The text generation handler as OpenAI's clients see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from openai_form import CHAT_PATH, COMPLETIONS_PATH
from tests.unit.handlers.worker import Worker

MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def worker(chat_model_directory: Path) -> Worker:
    return Worker(chat_model_directory)


def ask(worker: Worker, path: str, **body: Any) -> dict[str, Any]:
    (answer,) = worker.ask_raw([{"body": {"model": "tiny", **body}}], path)
    parsed: dict[str, Any] = json.loads(answer)
    return parsed


def events(worker: Worker, path: str, **body: Any) -> list[dict[str, Any]]:
    """All of a stream's events but its end mark."""
    worker.context.cl_socket.messages.clear()
    (last,) = worker.ask_raw([{"body": {"model": "tiny", "stream": True, **body}}], path)
    pieces = [
        message[message.rindex(b"data: ") : message.rindex(b"\n\n")] for message in worker.context.cl_socket.messages
    ]
    lines = [piece.decode() for piece in pieces] + last.strip().split("\n\n")
    assert lines.pop() == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_chat_is_answered_as_the_handlers_own_api_answers_it(worker: Worker) -> None:
    answer = ask(worker, CHAT_PATH, messages=MESSAGES, max_tokens=6)
    (own,) = worker.ask({"messages": MESSAGES, "max_new_tokens": 6})
    (choice,) = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": own["text"]}
    assert choice["finish_reason"] == own["finish_reason"]
    assert answer["usage"]["prompt_tokens"] == own["prompt_tokens"]
    assert answer["usage"]["completion_tokens"] == own["generated_tokens"]
    assert answer["usage"]["total_tokens"] == own["prompt_tokens"] + own["generated_tokens"]
    assert (answer["object"], answer["model"], answer["system_fingerprint"]) == ("chat.completion", "tiny", "1.0")
    assert answer["id"] == "chatcmpl-request-0"


def test_a_completion_takes_one_text_or_a_list_of_one(worker: Worker) -> None:
    first = ask(worker, COMPLETIONS_PATH, prompt="hello", max_tokens=6)
    second = ask(worker, COMPLETIONS_PATH, prompt=["hello"], max_tokens=6)
    assert first["object"] == "text_completion"
    assert first["choices"] == second["choices"]


@pytest.mark.parametrize("path", [CHAT_PATH, COMPLETIONS_PATH])
def test_a_stream_is_the_same_text_in_events(worker: Worker, path: str) -> None:
    body = {"messages": MESSAGES} if path == CHAT_PATH else {"prompt": "hello"}
    whole = ask(worker, path, **body, max_tokens=8)
    *parts, usage = events(worker, path, **body, max_tokens=8, stream_options={"include_usage": True})
    choices = [part["choices"][0] for part in parts]
    assert [choice["finish_reason"] for choice in choices[:-1]] == [None] * (len(choices) - 1)
    assert choices[-1]["finish_reason"] == whole["choices"][0]["finish_reason"]
    if path == CHAT_PATH:
        assert choices[0]["delta"]["role"] == "assistant"
        assert (
            "".join(choice["delta"].get("content", "") for choice in choices)
            == (whole["choices"][0]["message"]["content"])
        )
        assert {part["object"] for part in parts} == {"chat.completion.chunk"}
    else:
        assert "".join(choice["text"] for choice in choices) == whole["choices"][0]["text"]
    assert (usage["choices"], usage["usage"]) == ([], whole["usage"])
    assert worker.context.get_response_content_type(0) == "text/event-stream"


def test_without_being_asked_a_stream_counts_no_tokens(worker: Worker) -> None:
    assert all("usage" not in event for event in events(worker, CHAT_PATH, messages=MESSAGES, max_tokens=3))


def test_newer_forms_of_a_turn_mean_the_same(worker: Worker) -> None:
    older = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello there"}]
    newer = [
        {"role": "developer", "content": "be brief"},
        {
            "role": "user",
            "name": "me",
            "content": [{"type": "text", "text": "hello "}, {"type": "text", "text": "there"}],
        },
    ]
    answers = [ask(worker, CHAT_PATH, messages=messages, max_completion_tokens=4) for messages in (older, newer)]
    assert answers[0]["choices"] == answers[1]["choices"]


def test_what_clients_send_as_usual_is_taken(worker: Worker) -> None:
    answer = ask(
        worker, CHAT_PATH, messages=MESSAGES, max_tokens=2, n=1, user="me", presence_penalty=0.0, tools=None, stop=None
    )
    assert answer["choices"]


def test_what_cannot_be_obeyed_is_refused_all_at_once(worker: Worker) -> None:
    answer = ask(worker, CHAT_PATH, n=2, tools=[{"type": "function"}], colour="red")
    assert worker.statuses == [400]
    assert answer["error"]["type"] == "invalid_request_error"
    for problem in ("n: only 1", "tools: only []", "colour: is not supported", "messages: is required"):
        assert problem in answer["error"]["message"]


@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2], []])
def test_several_prompts_or_tokens_are_refused(worker: Worker, prompt: Any) -> None:
    assert "prompt" in ask(worker, COMPLETIONS_PATH, prompt=prompt)["error"]["message"]
    assert worker.statuses == [400]


def test_a_failing_model_answers_in_the_same_shape(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("a shape does not fit")

    monkeypatch.setattr(worker.handler.generator, "answer", broken)
    answer = ask(worker, CHAT_PATH, messages=MESSAGES)
    assert worker.statuses == [500]
    assert answer["error"]["type"] == "server_error"
    assert "RuntimeError" in answer["error"]["message"]
