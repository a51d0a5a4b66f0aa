"""How one answer is scored."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchserve_rollout.analysis.scoring import answer_text, repetition, score
from torchserve_rollout.spec.probe import Expectation


@pytest.mark.parametrize(
    ("text", "expectation", "points"),
    [
        ("The capital is Paris.", {"contains_any": ["paris", "lutetia"]}, 1.0),
        ("The capital is Lyon.", {"contains_any": ["paris", "lutetia"]}, 0.0),
        ("red and blue", {"contains_all": ["red", "blue"]}, 1.0),
        ("red", {"contains_all": ["red", "blue"]}, 0.0),
        ("no idea", {"contains_none": ["sorry"]}, 1.0),
        ("Sorry, no idea", {"contains_none": ["sorry"]}, 0.0),
        ("it is 42", {"matches": r"\b42\b"}, 1.0),
        ("it is 421", {"matches": r"\b42\b"}, 0.0),
        ("   ", {}, 0.0),
        ("short", {"min_chars": 6}, 0.0),
        ("vast " * 30, {"max_repetition": 0.5}, 0.0),
        ("every word in this line is said exactly once", {"max_repetition": 0.5}, 1.0),
    ],
)
def test_an_answer_scores_when_every_condition_holds(text: str, expectation: dict[str, Any], points: float) -> None:
    assert score(text, Expectation.model_validate(expectation)) == points


@given(st.text())
def test_repetition_is_a_share(text: str) -> None:
    assert 0 <= repetition(text) <= 1


@pytest.mark.parametrize(
    ("body", "path", "text"),
    [
        ('{"text": "hello"}', "text", "hello"),
        ('{"choices": [{"message": {"content": "hi"}}]}', "choices.0.message.content", "hi"),
        ('{"other": "x"}', "text", ""),
        ('{"text": 4}', "text", "4"),
        ('"quoted"', "text", "quoted"),
        ("plain words", "text", "plain words"),
        ("42", "text", "42"),
    ],
)
def test_the_text_is_found_in_json_and_in_plain_answers(body: str, path: str, text: str) -> None:
    assert answer_text(body, path) == text
