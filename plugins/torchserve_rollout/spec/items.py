"""The parts of a written spec that are valid by themselves, so that one mistake does not hide another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

_Part = TypeVar("_Part", bound=BaseModel)


def valid_items(data: Mapping[str, Any], key: str, model: type[_Part]) -> Iterator[tuple[int, _Part]]:
    """The items of the list at ``key`` that are valid, each with its place."""
    items = data.get(key)
    for index, item in enumerate(items if isinstance(items, list | tuple) else ()):
        part = valid_part(model, item)
        if part is not None:
            yield index, part


def valid_part(model: type[_Part], value: object) -> _Part | None:
    """The part if it is valid by itself; what is wrong with it otherwise is the schema's to tell."""
    if not isinstance(value, Mapping):
        return None
    try:
        return model.model_validate(value)
    except ValidationError:
        return None
