"""OpenAI's completions and chat completions, as far as a text generation model can speak them (docs/handlers.md)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from generation import Answer
from generation_request import InvalidRequest

# The gateway passes its routes on as the header url_path, in the way of TorchServe's own
# /predictions/{model}/{version}/v1/chat/completions.
CHAT_PATH = "v1/chat/completions"
COMPLETIONS_PATH = "v1/completions"

_RENAMED = {"max_tokens": "max_new_tokens", "max_completion_tokens": "max_new_tokens"}
_SAME = frozenset({"temperature", "top_p", "top_k", "repetition_penalty", "seed", "stop", "stream"})
_IGNORED = frozenset(
    {"model", "stream_options", "user", "metadata", "store", "service_tier", "prompt_cache_key", "safety_identifier"}
)
# What clients send although it changes nothing here: the value that means "as usual".
_AS_USUAL: dict[str, Any] = {
    "n": 1,
    "best_of": 1,
    "echo": False,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logprobs": False,
    "logit_bias": {},
    "suffix": "",
    "tools": [],
    "response_format": {"type": "text"},
}


class OpenAIForm:
    """One request in OpenAI's words. ``values`` comes first: it learns from the body what the answer must name."""

    stream_type = "text/event-stream"

    def __init__(self, url_path: str, request_id: str, model: str, version: str) -> None:
        self._is_chat = url_path == CHAT_PATH
        self._id = f"{'chatcmpl' if self._is_chat else 'cmpl'}-{request_id}"
        self._created = int(time.time())
        self._model = model
        self._version = version
        self._has_usage = False

    def values(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """OpenAI's parameters in the handler's words; their values are checked where those of all requests are.

        Raises:
            InvalidRequest: parameters that are not known or cannot be obeyed, all at once.
        """
        options = body.get("stream_options")
        self._has_usage = isinstance(options, Mapping) and options.get("include_usage") is True
        values: dict[str, Any] = {}
        problems: list[str] = []
        content = "messages" if self._is_chat else "prompt"
        for name, value in body.items():
            if name in _IGNORED or value is None:
                continue
            if name == content:
                values[name] = _messages(value) if self._is_chat else _prompt(value)
            elif name in _SAME or name in _RENAMED:
                values[_RENAMED.get(name, name)] = value
            elif name not in _AS_USUAL:
                problems.append(f"{name}: is not supported")
            elif value != _AS_USUAL[name]:
                problems.append(f"{name}: only {json.dumps(_AS_USUAL[name])} is supported")
        if content not in values:
            problems.append(f"{content}: is required")
        if problems:
            raise InvalidRequest(problems)
        return values

    def whole(self, answer: Answer, seed: int | None) -> str:
        """One JSON object with the token counts."""
        text = answer.text
        content = {"message": {"role": "assistant", "content": text}} if self._is_chat else {"text": text}
        return _json({**self._object(content, answer.finish_reason), "usage": _usage(answer)})

    def part(self, text: str, *, is_first: bool) -> str:
        """One event."""
        return _event(self._chunk(text, None, is_first=is_first))

    def end(self, answer: Answer, seed: int | None, *, is_first: bool) -> str:
        """Why it ended, the token counts if asked for, and OpenAI's end mark."""
        last = self._chunk("", answer.finish_reason, is_first=is_first)
        events = [_event(last)]
        if self._has_usage:
            events.append(_event({**last, "choices": [], "usage": _usage(answer)}))
        return "".join(events) + "data: [DONE]\n\n"

    def error(self, status: int, kind: str, message: str, *, in_stream: bool) -> str:
        """OpenAI's shape of an error; clients raise it, from within a stream too."""
        error_type = "invalid_request_error" if status < 500 else "server_error"
        body = {"error": {"message": message, "type": error_type, "param": None, "code": None}}
        return _event(body) if in_stream else _json(body)

    def _chunk(self, text: str, finish_reason: str | None, *, is_first: bool) -> dict[str, Any]:
        if not self._is_chat:
            return self._object({"text": text}, finish_reason)
        content = {"content": text} if text or is_first else {}
        delta = {"role": "assistant", **content} if is_first else content
        return self._object({"delta": delta}, finish_reason)

    def _object(self, content: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
        kind = "text_completion"
        if self._is_chat:
            kind = "chat.completion.chunk" if "delta" in content else "chat.completion"
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "system_fingerprint": self._version,
            "choices": [{"index": 0, **content, "logprobs": None, "finish_reason": finish_reason}],
        }


def _prompt(value: Any) -> Any:
    """One text, or a list of one text; anything else is left to the check of all requests to refuse."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _messages(value: Any) -> Any:
    return [_message(each) for each in value] if isinstance(value, list) else value


def _message(message: Any) -> Any:
    """OpenAI's newer forms of a turn in the older one: `developer` is `system`, a list of texts is a text."""
    if not isinstance(message, Mapping):
        return message
    turn = {key: value for key, value in message.items() if key != "name" and value is not None}
    if turn.get("role") == "developer":
        turn["role"] = "system"
    parts = turn.get("content")
    if isinstance(parts, list) and all(isinstance(each, Mapping) and each.get("type") == "text" for each in parts):
        turn["content"] = "".join(str(each.get("text", "")) for each in parts)
    return turn


def _usage(answer: Answer) -> dict[str, int]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.generated_tokens,
        "total_tokens": answer.prompt_tokens + answer.generated_tokens,
    }


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False)


def _event(content: Mapping[str, Any]) -> str:
    return f"data: {_json(content)}\n\n"
