"""What an answer looks like on the wire. One form for each API the handler speaks; this module holds its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from generation import Answer


class AnswerForm(Protocol):
    """Reads the body of one request and writes its answer."""

    stream_type: str
    """Content type of a stream."""

    def values(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body in the handler's own words; raises InvalidRequest."""

    def whole(self, answer: Answer, seed: int | None) -> str:
        """An answer that does not stream; ``seed`` is given where chance played a part."""

    def part(self, text: str, *, is_first: bool) -> str:
        """A piece of a stream."""

    def end(self, answer: Answer, seed: int | None, *, is_first: bool) -> str:
        """The last piece; ``is_first`` if no other went out before."""

    def error(self, status: int, kind: str, message: str, *, in_stream: bool) -> str:
        """An error instead of an answer, or within a stream."""


class OwnForm:
    """JSON as docs/handlers.md has it; JSON lines while streaming."""

    stream_type = "application/x-ndjson"

    def __init__(self, model: str, version: str) -> None:
        self._names = {"model_name": model, "model_version": version}

    def values(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body is in these words already."""
        return body

    def whole(self, answer: Answer, seed: int | None) -> str:
        """One JSON object."""
        return _json(self._content(answer, seed))

    def part(self, text: str, *, is_first: bool) -> str:
        """One line: ``{"text": "…"}``."""
        return _json({"text": text}) + "\n"

    def end(self, answer: Answer, seed: int | None, *, is_first: bool) -> str:
        """The answer without its text, which went out in pieces."""
        return _json({**self._content(answer, seed), "text": "", "done": True}) + "\n"

    def error(self, status: int, kind: str, message: str, *, in_stream: bool) -> str:
        """TorchServe's own shape."""
        return _json({"code": status, "type": kind, "message": message})

    def _content(self, answer: Answer, seed: int | None) -> dict[str, Any]:
        body = {
            "text": answer.text,
            "finish_reason": answer.finish_reason,
            "prompt_tokens": answer.prompt_tokens,
            "generated_tokens": answer.generated_tokens,
            **self._names,
        }
        return body if seed is None else {**body, "seed": seed}


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False)
