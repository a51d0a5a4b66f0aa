"""YAML as we read it: one document, one mapping, no key twice, plain data only."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import yaml

from torchserve_rollout.errors import Problem, SpecError


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that appears twice, where YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} appears twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_mapping(text: str, source: str) -> Mapping[str, Any]:
    """The one mapping that ``text`` holds.

    Raises:
        SpecError: not YAML, a key twice, several documents, or no mapping; with the line.
    """
    try:
        documents = list(yaml.load_all(text, Loader=_StrictLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SpecError(source, [Problem(where, error.problem or "is not YAML")]) from None
    except yaml.YAMLError as error:
        raise SpecError(source, [Problem("", f"is not YAML: {error}")]) from None
    except RecursionError:
        raise SpecError(source, [Problem("", "is nested too deeply")]) from None
    except ValueError as error:  # an impossible date or number, such as 2026-02-31
        raise SpecError(source, [Problem("", f"holds a value that cannot be read: {error}")]) from None
    if len(documents) > 1:
        raise SpecError(source, [Problem("", f"holds {len(documents)} documents, one is allowed", "remove the '---'")])
    document = documents[0] if documents else None
    if document is None:
        raise SpecError(source, [Problem("", "is empty")])
    if not isinstance(document, Mapping):
        raise SpecError(source, [Problem("", f"must be keys with values, not {plain_name(document)}")])
    return document


def plain_name(value: object) -> str:
    """What a value is, in the words of somebody who writes YAML."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, Mapping):
        return "keys with values"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a {type(value).__name__}"
