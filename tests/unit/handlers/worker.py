"""What a TorchServe worker gives a handler, without TorchServe; and a model small enough for unit tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from ts.context import Context, RequestProcessor

from text_generation import TextGenerationHandler

END = "<|endoftext|>"
CHAT_TEMPLATE = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:"
TEXT = "the quick brown fox jumps over the lazy dog and runs away from the small red house by the river "


class RecordedMetrics:
    """Keeps samples as (name, value, labels)."""

    def __init__(self) -> None:
        self.samples: list[tuple[str, float, list[tuple[str, str]]]] = []

    def add_metric(
        self, name: str, value: float, unit: str, index: int, dimensions: list[Any], metric_type: Any
    ) -> None:
        self.samples.append((name, value, [(each.name, each.value) for each in dimensions]))

    def total(self, name: str) -> float:
        return sum(value for each, value, _ in self.samples if each == f"ts_rollout_llm_{name}")


class RecordedSocket:
    """What went to the frontend before the answer."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def sendall(self, message: bytes) -> None:
        self.messages.append(bytes(message))


def write_tiny_model(directory: Path, *, seed: int = 0, has_template: bool = False) -> Path:
    """A GPT-2 with random weights (context of 48 tokens) and a tokenizer made from one sentence."""
    torch.manual_seed(seed)
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator([TEXT], vocab_size=300, special_tokens=[END], show_progress=False)
    make: Callable[..., Any] = PreTrainedTokenizerFast
    tokenizer = make(tokenizer_object=trained._tokenizer, eos_token=END, pad_token=END)
    if has_template:
        tokenizer.chat_template = CHAT_TEMPLATE
    size = len(tokenizer)
    config = GPT2Config(vocab_size=size, n_positions=48, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config)
    # Spread logits, so that the likeliest token does not hang on rounding.
    with torch.no_grad():
        model.transformer.wte.weight.mul_(8)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def context_for(directory: Path, *, version: str = "1.0", options: dict[str, Any] | None = None) -> Context:
    """TorchServe's own context class, as at load."""
    context = Context(
        model_name="tiny",
        model_dir=str(directory),
        manifest={"model": {"modelName": "tiny", "modelVersion": version}},
        batch_size=1,
        gpu=None,
        mms_version="0.12.0",
        metrics=RecordedMetrics(),
        model_yaml_config={"handler": {"dtype": "float32", "torch_threads": 1, **(options or {})}},
    )
    context.cl_socket = RecordedSocket()
    return context


class Worker:
    """A loaded handler. ``ask`` sends one batch and returns the answers; ``statuses`` are those of the last batch."""

    def __init__(self, directory: Path, **parts: Any) -> None:
        self.context = context_for(directory, **parts)
        self.handler = TextGenerationHandler()
        self.handler.initialize(self.context)

    def ask(self, *items: Any) -> list[dict[str, Any]]:
        """Items are bodies (dict, text, bytes) or whole items (dict with "body" or "data")."""
        batch = [
            item if isinstance(item, dict) and {"body", "data"} & item.keys() else {"body": item} for item in items
        ]
        answers = self.ask_raw(batch)
        return [json.loads(answer) for answer in answers]

    def ask_raw(self, batch: list[dict[str, Any]], url_path: str = "") -> list[str]:
        """The answers' texts; ``url_path`` as TorchServe and the gateway hand it on."""
        self.context.request_ids = {index: f"request-{index}" for index in range(len(batch))}
        self.context.request_processor = [RequestProcessor({"url_path": url_path}) for _ in batch]
        answers = self.handler.handle(batch, self.context)
        assert len(answers) == len(batch)
        return answers

    @property
    def statuses(self) -> list[int]:
        return [each.get_response_status_code() for each in self.context.request_processor]

    @property
    def metrics(self) -> RecordedMetrics:
        metrics = self.context.metrics
        assert isinstance(metrics, RecordedMetrics)
        return metrics

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The JSON lines sent before the answer."""
        messages = self.context.cl_socket.messages
        return [json.loads(message[message.rindex(b'{"text"') : message.rindex(b"\n")]) for message in messages]
