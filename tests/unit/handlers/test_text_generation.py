"""The text generation handler on a real, tiny model, with TorchServe's own context and no TorchServe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.handlers.worker import Worker
from torchserve_rollout.packaging.bundle import config_path

PROMPT = "the quick brown"


def test_an_answer_says_what_was_generated_and_by_which_version(worker: Worker) -> None:
    (answer,) = worker.ask({"prompt": PROMPT, "max_new_tokens": 5})
    assert answer.keys() == {
        "text",
        "finish_reason",
        "prompt_tokens",
        "generated_tokens",
        "model_name",
        "model_version",
    }
    assert (answer["model_name"], answer["model_version"]) == ("tiny", "1.0")
    assert answer["generated_tokens"] == 5 or answer["finish_reason"] == "stop"
    assert worker.statuses == [200]


def test_every_form_of_a_request_means_the_same(worker: Worker) -> None:
    as_json = f'{{"prompt": "{PROMPT}", "max_new_tokens": 4}}'
    forms: list[dict[str, Any]] = [
        {"body": {"prompt": PROMPT, "max_new_tokens": 4}},
        {"data": {"prompt": PROMPT, "max_new_tokens": 4}},
        {"body": as_json.encode()},
        {"body": as_json},
        {"prompt": PROMPT.encode(), "max_new_tokens": b"4"},  # a form
        {as_json: b""},  # curl -d '{...}' says it sends a form
    ]
    answers = worker.ask_raw(forms)
    assert worker.statuses == [200] * len(forms)
    assert len(set(answers)) == 1


def test_plain_text_is_the_prompt(worker: Worker) -> None:
    (plain,) = worker.ask(PROMPT.encode())
    (json_form,) = worker.ask({"prompt": PROMPT})
    assert plain == json_form


def test_one_bad_request_spoils_no_other_of_its_batch(worker: Worker) -> None:
    good, bad, other = worker.ask({"prompt": PROMPT}, {"promt": PROMPT}, {"prompt": "dog", "max_new_tokens": 2})
    assert worker.statuses == [200, 400, 200]
    assert bad["type"] == "BadRequestException"
    assert good == worker.ask({"prompt": PROMPT})[0]
    assert other == worker.ask({"prompt": "dog", "max_new_tokens": 2})[0]


def test_a_prompt_that_breaks_the_model_fails_alone_and_is_counted(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = worker.handler.generator.answer

    def broken(request: Any, *rest: Any) -> Any:
        if request.prompt == "break":
            raise RuntimeError("a shape does not fit")
        return answer(request, *rest)

    monkeypatch.setattr(worker.handler.generator, "answer", broken)
    good, bad = worker.ask({"prompt": PROMPT}, {"prompt": "break"})
    assert worker.statuses == [200, 500]
    assert bad["message"] == "RuntimeError while generating; see the worker's log"
    assert good["text"]
    assert (worker.metrics.total("requests_total"), worker.metrics.total("failures_total")) == (2, 1)


def test_running_out_of_memory_is_left_to_torchserve(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers 507 to a MemoryError, and the gateway knows that outcome."""

    def starved(*_: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(worker.handler.generator, "answer", starved)
    with pytest.raises(MemoryError):
        worker.ask({"prompt": PROMPT})


def test_all_problems_of_a_request_are_named_at_once(worker: Worker) -> None:
    (answer,) = worker.ask(
        {"messages": [], "temperature": -1, "top_p": 2, "seed": "x", "stop": [""], "colour": 1, "max_new_tokens": 9999}
    )
    assert worker.statuses == [400]
    for name in (
        "messages",
        "temperature",
        "top_p",
        "seed",
        "stop.0",
        "colour",
        "max_new_tokens: 9999 is over the limit",
    ):
        assert name in answer["message"], name


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({}, "give either prompt or messages"),
        ({"prompt": "a", "messages": [{"role": "user", "content": "b"}]}, "give either prompt or messages"),
        ({"prompt": ""}, "prompt"),
        (b"", "prompt"),
        ([1, 2], "must be a JSON object or text"),
        (b"{broken", "looks like JSON and is not"),
        (b"\xff\xfe", "no UTF-8"),
        ({"prompt": "a", "temperature": float("nan")}, "temperature"),
        ({"prompt": "a", "max_new_tokens": True}, "max_new_tokens"),
        ({"prompt": "a", "max_new_tokens": 0}, "max_new_tokens"),
        ({"prompt": "a", "max_new_tokens": None}, "max_new_tokens"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": "fox " * 200}, "leave no room in a context of 48"),
        ({"messages": [{"role": "user", "content": "hello"}]}, "no chat template; send prompt"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_400(worker: Worker, body: Any, complaint: str) -> None:
    (answer,) = worker.ask(body)
    assert worker.statuses == [400]
    assert complaint in answer["message"]
    assert worker.metrics.samples == []


def test_a_conversation_goes_through_the_chat_template(chat_model_directory: Path) -> None:
    worker = Worker(chat_model_directory)
    by_prompt, by_messages, longer = worker.ask(
        {"prompt": "hello"},
        {"messages": [{"role": "user", "content": "hello"}]},
        {
            "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}],
            "max_new_tokens": 2,
        },
    )
    assert by_prompt == by_messages
    assert longer["prompt_tokens"] > by_messages["prompt_tokens"]


def test_the_same_seed_gives_the_same_answer_wherever_it_stands_in_a_batch(worker: Worker) -> None:
    request = {"prompt": PROMPT, "temperature": 1.5, "seed": 7, "max_new_tokens": 12}
    (alone,) = worker.ask(request)
    among = worker.ask({**request, "seed": 8}, request, {"prompt": "dog"})
    assert alone == among[1]
    assert alone["seed"] == 7
    assert among[0]["text"] != alone["text"]


def test_an_answer_without_a_seed_tells_the_seed_that_repeats_it(worker: Worker) -> None:
    request = {"prompt": PROMPT, "temperature": 2.0, "max_new_tokens": 12}
    (first,) = worker.ask(request)
    (again,) = worker.ask({**request, "seed": first["seed"]})
    assert first == again


def test_generation_ends_before_a_stop_string(worker: Worker) -> None:
    (whole,) = worker.ask({"prompt": PROMPT, "max_new_tokens": 16})
    stop = whole["text"][3:6]
    (cut,) = worker.ask({"prompt": PROMPT, "max_new_tokens": 16, "stop": stop})
    assert cut["text"] == whole["text"][: whole["text"].index(stop)]
    assert cut["finish_reason"] == "stop"
    assert cut["generated_tokens"] <= whole["generated_tokens"]


def test_an_answer_stays_within_the_context(worker: Worker) -> None:
    (answer,) = worker.ask({"prompt": PROMPT, "max_new_tokens": 500, "repetition_penalty": 1.3})
    assert answer["prompt_tokens"] + answer["generated_tokens"] <= 48


@pytest.mark.parametrize("stop", [[], ["q"], ["ox j", "zy"]])
def test_a_streamed_answer_is_the_same_text_in_pieces(worker: Worker, stop: list[str]) -> None:
    request = {"prompt": PROMPT, "max_new_tokens": 20, "stop": stop}
    (whole,) = worker.ask(request)
    (last,) = worker.ask({**request, "stream": True})
    assert "".join(chunk["text"] for chunk in worker.chunks) == whole["text"]
    assert last == {**whole, "text": "", "done": True}
    assert worker.context.get_response_content_type(0) == "application/x-ndjson"


def test_streams_of_one_batch_do_not_mix(worker: Worker) -> None:
    whole = worker.ask({"prompt": PROMPT, "max_new_tokens": 6}, {"prompt": "dog", "max_new_tokens": 6})
    worker.ask({"prompt": PROMPT, "max_new_tokens": 6, "stream": True}, {"prompt": "dog", "max_new_tokens": 6})
    messages = worker.context.cl_socket.messages
    assert all(b"request-0" in message and b"request-1" not in message for message in messages)
    assert "".join(chunk["text"] for chunk in worker.chunks) == whole[0]["text"]


def test_every_answer_is_measured_under_its_version(model_directory: Path) -> None:
    worker = Worker(model_directory, version="2.7")
    first, second = worker.ask({"prompt": PROMPT, "max_new_tokens": 6}, {"prompt": "dog", "max_new_tokens": 3})
    metrics = worker.metrics
    assert metrics.total("requests_total") == 2
    assert metrics.total("failures_total") == 0
    assert metrics.total("prompt_tokens_total") == first["prompt_tokens"] + second["prompt_tokens"]
    assert metrics.total("generated_tokens_total") == first["generated_tokens"] + second["generated_tokens"]
    assert 0 < metrics.total("first_token_seconds") <= metrics.total("latency_seconds")
    assert all(labels == [("ModelVersion", "2.7")] for _, _, labels in metrics.samples)


def test_every_series_is_declared_for_torchserve_with_the_labels_in_order(worker: Worker) -> None:
    worker.ask({"prompt": PROMPT, "max_new_tokens": 6})
    declared = yaml.safe_load((config_path() / "metrics.yaml").read_text("utf-8"))["model_metrics"]
    ours = {series["name"]: series["dimensions"] for kind in ("counter", "histogram") for series in declared[kind]}
    assert {name for name, _, _ in worker.metrics.samples} == ours.keys()
    assert all(dimensions == ["ModelVersion", "ModelName", "Level"] for dimensions in ours.values())


def test_repeated_and_empty_answers_are_counted(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = worker.handler.generator.answer
    texts = iter(["no, " * 30, " \n", "a fine answer"])

    def scripted(*arguments: Any) -> Any:
        return replace(answer(*arguments), text=next(texts))

    monkeypatch.setattr(worker.handler.generator, "answer", scripted)
    worker.ask({"prompt": "a"}, {"prompt": "b"}, {"prompt": "c"})
    assert worker.metrics.total("repeated_answers_total") == 1
    assert worker.metrics.total("empty_answers_total") == 1


def test_the_versions_defaults_fill_in_what_a_request_leaves_out(model_directory: Path) -> None:
    worker = Worker(model_directory, options={"defaults": {"max_new_tokens": 3}, "max_new_tokens_limit": 4})
    default, more, too_much = worker.ask(
        {"prompt": PROMPT}, {"prompt": PROMPT, "max_new_tokens": 4}, {"prompt": PROMPT, "max_new_tokens": 5}
    )
    assert default["generated_tokens"] <= 3 < 4 <= more["generated_tokens"] + 1
    assert "over the limit of this version, 4" in too_much["message"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"dtype": "float16"}, "handler.dtype"),
        ({"quantization": "int3"}, "handler.quantization"),
        ({"torch_threads": 0, "typo": 1}, "handler.torch_threads.*handler.typo"),
        ({"defaults": {"max_new_tokens": 9}, "max_new_tokens_limit": 8}, "over handler.max_new_tokens_limit"),
    ],
)
def test_options_that_make_no_sense_fail_the_load(
    model_directory: Path, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Worker(model_directory, options=options)
