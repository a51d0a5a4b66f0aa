"""How good one answer to a probe's prompt is."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from torchserve_rollout.spec.probe import Expectation

_NGRAM = 3


def score(text: str, expect: Expectation) -> float:
    """1.0 when every given condition holds, else 0.0. Matching ignores case."""
    lowered = text.casefold()

    def holds(part: str) -> bool:
        return part.casefold() in lowered

    conditions = (
        len(text.strip()) >= expect.min_chars,
        not expect.contains_any or any(map(holds, expect.contains_any)),
        all(map(holds, expect.contains_all)),
        not any(map(holds, expect.contains_none)),
        expect.matches is None or re.search(expect.matches, text, re.IGNORECASE | re.DOTALL) is not None,
        expect.max_repetition is None or repetition(text) <= expect.max_repetition,
    )
    return float(all(conditions))


def repetition(text: str) -> float:
    """Share of the word triples that stood in the text before: 0 for prose, near 1 for a stuck model."""
    words = re.findall(r"\w+", text.casefold())
    triples = list(zip(*(words[start:] for start in range(_NGRAM)), strict=False))
    return 1 - len(set(triples)) / len(triples) if triples else 0.0


def answer_text(body: str, answer_path: str) -> str:
    """The text in an answer: what stands at the dotted ``answer_path`` of a JSON object, else the body as it is.

    A JSON object that has nothing there says nothing: the text is empty.
    """
    try:
        content = json.loads(body)
    except ValueError:
        return body
    if isinstance(content, str):
        return content
    if not isinstance(content, (dict, list)):
        return body
    found = _at(content, answer_path.split("."))
    return found if isinstance(found, str) else ("" if found is None else json.dumps(found))


def _at(content: Any, path: Sequence[str]) -> Any:
    for step in path:
        if isinstance(content, dict):
            content = content.get(step)
        elif isinstance(content, list) and step.isdigit() and int(step) < len(content):
            content = content[int(step)]
        else:
            return None
    return content
