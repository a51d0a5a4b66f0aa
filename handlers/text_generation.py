"""TorchServe handler for any Hugging Face causal language model (docs/handlers.md).

TorchServe wants exactly one class in this module; everything else lives in its siblings.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers: a worker never asks the network

import torch

from answer_chunks import AnswerChunks
from answer_form import AnswerForm, OwnForm
from answer_quality import is_empty, repetition_ratio
from generation import Answer, TextGenerator
from generation_metrics import GenerationMetrics, Sample
from generation_options import read_options
from generation_request import GenerationRequest, InvalidRequest, check_request, read_body
from openai_form import CHAT_PATH, COMPLETIONS_PATH, OpenAIForm

logger = logging.getLogger(__name__)


class TextGenerationHandler:
    """Answers a batch of requests one after the other, so an answer never depends on its neighbours."""

    def initialize(self, context: Any) -> None:
        """Load the model; the first answer is generated here so that no user waits for the warm-up."""
        began = time.perf_counter()
        self.options = read_options(context.model_yaml_config)
        self.model_name = str(context.manifest["model"]["modelName"])
        self.version = str(context.manifest["model"].get("modelVersion", "1.0"))
        self.metrics = GenerationMetrics(self.version)
        torch.set_num_threads(self.options.torch_threads)
        gpu = context.system_properties.get("gpu_id")
        device = torch.device("cpu" if gpu is None or not torch.cuda.is_available() else f"cuda:{gpu}")
        directory = Path(context.system_properties["model_dir"])
        self.generator = TextGenerator.load(directory, device, self.options.dtype, self.options.quantization)
        warm_up = GenerationRequest(prompt="Hello", max_new_tokens=2)
        self.generator.answer(warm_up, self.generator.encode(warm_up), seed=0)
        logger.info("%s %s ready after %.1f s", self.model_name, self.version, time.perf_counter() - began)

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[str]:
        """One text for each request of the batch; a request that fails spoils only its own answer."""
        return [self.handle_one(item, index, context, is_alone=len(data) == 1) for index, item in enumerate(data)]

    def handle_one(self, item: Mapping[str, Any], index: int, context: Any, *, is_alone: bool) -> str:
        """The answer to one request, or its error with the status set."""
        began = time.perf_counter()
        form = self._form(context, index)
        chunks = AnswerChunks(context, index, form)
        try:
            request = check_request(
                form.values(read_body(item)), self.options.defaults, self.options.max_new_tokens_limit
            )
            tokens = self.generator.encode(request)
            seed = secrets.randbits(48) if request.seed is None else request.seed
            answer = self.generator.answer(request, tokens, seed, chunks.send if request.stream else None)
        except InvalidRequest as invalid:
            context.set_response_status(400, "BadRequestException", index)
            context.set_response_content_type(index, "application/json")
            return form.error(400, "BadRequestException", "; ".join(invalid.problems), in_stream=False)
        except Exception as error:
            # Whatever went wrong inside the model: neighbours in the batch must still get their answers.
            logger.exception("%s %s failed a prompt", self.model_name, self.version)
            self.metrics.failed(context, index)
            if _is_out_of_memory(error):
                raise MemoryError(str(error)) from error
            if chunks.count and is_alone:
                raise  # too late for a status: TorchServe breaks the stream off, and the caller sees that
            context.set_response_status(500, "InternalServerException", index)
            context.set_response_content_type(index, "application/json")
            message = f"{type(error).__name__} while generating; see the worker's log"
            return form.error(500, "InternalServerException", message, in_stream=chunks.count > 0)
        self._measure(context, index, answer, time.perf_counter() - began)
        # For whoever counts without reading answers, as the gateway's access log does.
        context.set_response_header(index, "x-prompt-tokens", str(answer.prompt_tokens))
        context.set_response_header(index, "x-generated-tokens", str(answer.generated_tokens))
        told_seed = seed if request.is_sampled else None
        if request.stream:
            context.set_response_content_type(index, form.stream_type)
            return form.end(answer, told_seed, is_first=not chunks.count)
        context.set_response_content_type(index, "application/json")
        return form.whole(answer, told_seed)

    def _form(self, context: Any, index: int) -> AnswerForm:
        """The API the caller speaks."""
        path = context.get_request_header(index, "url_path")
        if path in (CHAT_PATH, COMPLETIONS_PATH):
            return OpenAIForm(path, context.get_request_id(index), self.model_name, self.version)
        return OwnForm(self.model_name, self.version)

    def _measure(self, context: Any, index: int, answer: Answer, latency_s: float) -> None:
        sample = Sample(
            latency_s=latency_s,
            first_token_s=answer.first_token_s,
            prompt_tokens=answer.prompt_tokens,
            generated_tokens=answer.generated_tokens,
            tokens_per_second=answer.tokens_per_second,
            is_empty=is_empty(answer.text),
            is_repeated=repetition_ratio(answer.text) >= self.options.repetition_threshold,
        )
        self.metrics.answered(context, index, sample)


def _is_out_of_memory(error: Exception) -> bool:
    # torch reports a failed allocation on the CPU as a plain RuntimeError.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
