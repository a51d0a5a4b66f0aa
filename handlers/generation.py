"""From a request to an answer: tokens in, tokens out, with the time of the first one and the text as it grows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, StoppingCriteria
from transformers.generation.streamers import BaseStreamer

from generation_request import GenerationRequest, InvalidRequest
from quantization import quantize

# What a tokenizer decodes an unfinished UTF-8 sequence to.
_UNFINISHED = "\ufffd"

OnText = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said. ``finish_reason``: ``stop`` (it ended by itself or at a stop string) or ``length``."""

    text: str
    finish_reason: str
    prompt_tokens: int
    generated_tokens: int
    first_token_s: float
    decode_s: float

    @property
    def tokens_per_second(self) -> float:
        """Decode speed after the first token; 0 for a single token."""
        later = self.generated_tokens - 1
        return later / self.decode_s if later > 0 and self.decode_s > 0 else 0.0


class AnswerStream(BaseStreamer):
    """Follows a generation token by token: times, text so far, stop strings.

    Text goes to ``on_text`` once it is final: never half a character, never the beginning of a stop string.
    """

    def __init__(self, tokenizer: Any, stop: tuple[str, ...], on_text: OnText | None) -> None:
        self._tokenizer = tokenizer
        self._stop = stop
        self._on_text = on_text
        self._is_prompt_seen = False
        self._tokens: list[int] = []
        self._sent = 0
        self._began = time.perf_counter()
        self.first_token_s = 0.0
        self.text = ""
        self.is_stopped = False

    @property
    def generated_tokens(self) -> int:
        return len(self._tokens)

    @property
    def decode_s(self) -> float:
        """Seconds since the first token."""
        return time.perf_counter() - self._began - self.first_token_s

    def put(self, value: torch.Tensor) -> None:
        """Called by ``generate``: first with the prompt, then with each token."""
        if not self._is_prompt_seen:
            self._is_prompt_seen = True
            return
        if not self._tokens:
            self.first_token_s = time.perf_counter() - self._began
        self._tokens.extend(value.flatten().tolist())
        if self._stop or self._on_text:
            self._read()

    def end(self) -> None:
        """Called by ``generate`` after the last token."""
        self._read()
        if not self.is_stopped:
            self._send(len(self.text))

    def _read(self) -> None:
        self.text = self._tokenizer.decode(self._tokens, skip_special_tokens=True)
        found = [at for at in (self.text.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self.text = self.text[: min(found)]
            self.is_stopped = True
            self._send(len(self.text))
            return
        self._send(len(self.text) - self._held_back())

    def _held_back(self) -> int:
        """Characters at the end that later tokens may still change, or complete to a stop string."""
        if self.text.endswith(_UNFINISHED):
            return len(self.text) - len(self.text.rstrip(_UNFINISHED))
        longest = max((len(stop) for stop in self._stop), default=1) - 1
        for length in range(min(longest, len(self.text)), 0, -1):
            if any(stop.startswith(self.text[-length:]) for stop in self._stop):
                return length
        return 0

    def _send(self, end: int) -> None:
        if self._on_text and end > self._sent:
            self._on_text(self.text[self._sent : end])
            self._sent = end


class StopAtStream(StoppingCriteria):
    """Ends a generation once its stream has met a stop string."""

    def __init__(self, stream: AnswerStream) -> None:
        self._stream = stream

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._stream.is_stopped, device=input_ids.device, dtype=torch.bool)


class TextGenerator:
    """A causal language model of a Hugging Face directory, ready to answer."""

    def __init__(self, model: Any, tokenizer: Any, device: torch.device) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._device = device
        self._context_tokens: int | None = getattr(model.config, "max_position_embeddings", None)
        ends = model.generation_config.eos_token_id
        self._end_tokens = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
        if not self._end_tokens and tokenizer.eos_token_id is not None:
            self._end_tokens = [tokenizer.eos_token_id]

    @classmethod
    def load(cls, directory: Path, device: torch.device, dtype: str, quantization: str) -> TextGenerator:
        """Weights and tokenizer of ``directory``; never from the network.

        Raises:
            ValueError: quantization is asked for on a device that is no CPU.
        """
        if quantization != "none" and device.type != "cpu":
            raise ValueError(f"quantization {quantization} runs on the CPU only, not on {device}")
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        model: Any = AutoModelForCausalLM.from_pretrained(directory, local_files_only=True, dtype=getattr(torch, dtype))
        return cls(quantize(model.eval(), quantization).to(device), tokenizer, device)

    def encode(self, request: GenerationRequest) -> torch.Tensor:
        """The prompt's tokens, shape (1, prompt tokens), through the tokenizer's chat template if it has one.

        Raises:
            InvalidRequest: the model knows no conversations, or the prompt does not fit.
        """
        has_template = bool(getattr(self._tokenizer, "chat_template", None))
        if request.messages is not None and not has_template:
            raise InvalidRequest(["messages: this model has no chat template; send prompt"])
        if has_template:
            turns = request.messages or ({"role": "user", "content": request.prompt},)
            conversation = [turn if isinstance(turn, dict) else turn.model_dump() for turn in turns]
            encoded = self._tokenizer.apply_chat_template(
                conversation, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
        else:
            encoded = self._tokenizer(request.prompt, return_tensors="pt")
        tokens: torch.Tensor = encoded["input_ids"]
        count = tokens.shape[1]
        if count == 0:
            raise InvalidRequest(["prompt: it has no tokens"])
        if self._context_tokens is not None and count >= self._context_tokens:
            raise InvalidRequest([f"prompt: {count} tokens leave no room in a context of {self._context_tokens}"])
        return tokens.to(self._device)

    def answer(
        self, request: GenerationRequest, tokens: torch.Tensor, seed: int, on_text: OnText | None = None
    ) -> Answer:
        """Generate. ``on_text`` gets the text piece by piece; the pieces together are the answer's text."""
        stream = AnswerStream(self._tokenizer, request.stop, on_text)
        room = request.max_new_tokens
        if self._context_tokens is not None:
            room = min(room, self._context_tokens - tokens.shape[1])
        sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if request.is_sampled:
            torch.manual_seed(seed)
            sampling = {
                "do_sample": True,
                "temperature": request.temperature,
                "top_p": request.top_p,
                "top_k": request.top_k,
            }
        with torch.inference_mode():
            result = self._model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=room,
                repetition_penalty=request.repetition_penalty,
                eos_token_id=self._end_tokens or None,
                pad_token_id=self._end_tokens[0] if self._end_tokens else 0,
                streamer=stream,
                stopping_criteria=[StopAtStream(stream)],
                **sampling,
            )
        ended = stream.is_stopped or int(result[0, -1]) in self._end_tokens
        return Answer(
            text=stream.text,
            finish_reason="stop" if ended else "length",
            prompt_tokens=tokens.shape[1],
            generated_tokens=stream.generated_tokens,
            first_token_s=stream.first_token_s,
            decode_s=stream.decode_s,
        )
