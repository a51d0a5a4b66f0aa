"""Pydantic's findings in the words of the person who wrote the file."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from torchserve_rollout.errors import Problem
from torchserve_rollout.spec.base import Frozen
from torchserve_rollout.spec.yaml_text import plain_name

Location = tuple[int | str, ...]


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """One problem for each finding, in the order of the file's schema."""
    return [_problem(dict(finding), model) for finding in error.errors(include_url=False)]


def path_of(location: Iterable[int | str]) -> str:
    """``("steps", 1, "weight")`` as ``steps[1].weight``."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f"{'.' if path else ''}{part}"
    return path


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint: the known word that was probably meant, or all of them."""
    listed = sorted(known)
    close = difflib.get_close_matches(word, listed, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(listed)}"


def _problem(finding: Mapping[str, Any], model: type[BaseModel]) -> Problem:
    location: Location = finding["loc"]
    kind: str = finding["type"]
    if kind == "extra_forbidden":
        owner = _model_at(model, location[:-1])
        known = owner.keys() if owner and issubclass(owner, Frozen) else ()
        return Problem(path_of(location), "unknown key", nearest(str(location[-1]), known))
    if kind == "missing":
        return Problem(path_of(location), "is required")
    value, context = finding["input"], finding.get("ctx", {})
    if kind in ("enum", "literal_error"):
        allowed = [word.strip(" '") for word in str(context["expected"]).replace(" or ", ",").split(",")]
        return Problem(path_of(location), f"{value!r} does not exist here", f"choose {' or '.join(allowed)}")
    if kind == "string_type" and isinstance(value, int | float):
        return Problem(path_of(location), f"must be text, not {plain_name(value)}", "put it in quotes")
    write = _SENTENCES.get(kind)
    return Problem(path_of(location), write(value, context) if write else str(finding["msg"]))


_Sentence = Callable[[Any, Mapping[str, Any]], str]


def _must_be(what: str) -> _Sentence:
    return lambda value, context: f"must be {what}, not {plain_name(value)}"


def _bound(words: str, key: str) -> _Sentence:
    return lambda value, context: f"must be {words} {context[key]:g}, not {value}"


_SENTENCES: Mapping[str, _Sentence] = {
    "string_type": _must_be("text"),
    "int_type": _must_be("a whole number"),
    "int_from_float": _must_be("a whole number"),
    "float_type": _must_be("a number"),
    "finite_number": _must_be("a finite number"),
    "bool_type": _must_be("true or false"),
    "dict_type": _must_be("keys with values"),
    "tuple_type": _must_be("a list"),
    "model_type": _must_be("keys with values"),
    "model_attributes_type": _must_be("keys with values"),
    "greater_than": _bound("more than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("less than", "lt"),
    "less_than_equal": _bound("at most", "le"),
    "too_short": lambda value, context: f"needs at least {context['min_length']}",
    "value_error": lambda value, context: str(context["error"]),
}


def _model_at(model: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel] | None:
    """The model that describes what stands at ``location``."""
    found: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, int):
            continue  # an item of a list is described by the list's field
        field = found.model_fields.get(part) if found else None
        found = _model_in(field.annotation) if field else None
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation if issubclass(annotation, BaseModel) else None
    if get_origin(annotation) in (tuple, list, Union, types.UnionType, typing.Annotated):
        return next(filter(None, map(_model_in, get_args(annotation))), None)
    return None
