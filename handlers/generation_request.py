"""What a caller may ask of a text generation model, and how it is read from the forms TorchServe delivers it in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

_TEXT_FIELDS = frozenset({"prompt", "stop"})
_BODY_FIELDS = ("body", "data")


class InvalidRequest(ValueError):
    """A request that cannot be answered. ``problems`` holds everything wrong with it, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Strict(BaseModel):
    """Unknown keys are errors, nothing is converted silently, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _as_tuple(value: object) -> object:
    """One text or a list of them."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


NonEmpty = Annotated[str, Field(min_length=1)]
StopStrings = Annotated[tuple[NonEmpty, ...], BeforeValidator(_as_tuple), Field(max_length=8)]


class SamplingParameters(Strict):
    """How the next token is chosen. ``temperature`` 0 means always the likeliest one; ``top_k`` 0 means all of them."""

    max_new_tokens: Annotated[int, Field(ge=1)] = 64
    temperature: Annotated[float, Field(ge=0, le=5)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    repetition_penalty: Annotated[float, Field(ge=0.1, le=10)] = 1.0
    stop: StopStrings = ()

    @property
    def is_sampled(self) -> bool:
        """Whether chance plays a part."""
        return self.temperature > 0


class Message(Strict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class GenerationRequest(SamplingParameters):
    """One request: a ``prompt`` or ``messages``, never both.

    The same ``seed`` gives the same answer on the same machine; without one the handler draws a seed and tells it.
    """

    prompt: NonEmpty | None = None
    messages: Annotated[tuple[Message, ...], BeforeValidator(_as_tuple), Field(min_length=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    stream: bool = False


def check_request(
    asked: Mapping[str, Any], defaults: SamplingParameters, max_new_tokens_limit: int
) -> GenerationRequest:
    """What was ``asked`` for, with the version's defaults for what it leaves out.

    Raises:
        InvalidRequest: carries all problems.
    """
    values = {**defaults.model_dump(), **asked}
    problems: list[str] = []
    try:
        request = GenerationRequest.model_validate(values)
    except ValidationError as error:
        problems += [explain(detail) for detail in error.errors()]
    if (values.get("prompt") is None) == (values.get("messages") is None):
        problems.append("give either prompt or messages")
    tokens = values["max_new_tokens"]
    if type(tokens) is int and tokens > max_new_tokens_limit:
        problems.append(f"max_new_tokens: {tokens} is over the limit of this version, {max_new_tokens_limit}")
    if problems:
        raise InvalidRequest(problems)
    return request


def read_body(item: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in one item: a JSON object, plain text (the prompt), or form fields.

    Raises:
        InvalidRequest: the body is none of these.
    """
    for name in _BODY_FIELDS:
        if name in item:
            return _body_values(item[name])
    if len(item) == 1:
        ((name, value),) = item.items()
        if name.lstrip().startswith("{"):  # curl -d '{…}' without a content type says it is a form
            return _json_object(name + (f"={_text(value)}" if value else ""))
    return {name: _field_value(name, value) for name, value in item.items()}


def explain(detail: Mapping[str, Any]) -> str:
    """One of pydantic's error details as a sentence: ``stop.0: String should have at least 1 character``."""
    where = ".".join(str(part) for part in detail["loc"])
    return f"{where}: {detail['msg']}" if where else str(detail["msg"])


def _body_values(body: Any) -> dict[str, Any]:
    if isinstance(body, Mapping):
        return dict(body)
    if isinstance(body, list) or body is None:
        raise InvalidRequest([f"the body must be a JSON object or text, not {type(body).__name__}"])
    text = _text(body)
    return _json_object(text) if text.lstrip().startswith("{") else {"prompt": text}


def _json_object(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except ValueError as error:
        problem = f"the body looks like JSON and is not: {error}; send Content-Type: application/json"
        raise InvalidRequest([problem]) from None
    return dict(values)


def _field_value(name: str, value: Any) -> Any:
    """A form field is always text: prompts stay text, numbers, flags and lists are read as JSON."""
    text = _text(value)
    if name in _TEXT_FIELDS:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(value: Any) -> str:
    if not isinstance(value, bytes | bytearray):
        return str(value)
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest(["the body is no UTF-8 text"]) from None
