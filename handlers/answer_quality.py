"""What is plainly wrong with an answer, without knowing the right one."""

from __future__ import annotations

WORDS_PER_GRAM = 3
_MIN_WORDS = 8  # shorter answers repeat words for good reasons


def is_empty(text: str) -> bool:
    """Nothing but white space."""
    return not text.strip()


def repetition_ratio(text: str) -> float:
    """Share of word triples that occurred before in the text: 0 for fresh text, towards 1 for "no, no, no, no, …"."""
    words = text.lower().split()
    if len(words) < _MIN_WORDS:
        return 0.0
    grams = [tuple(words[at : at + WORDS_PER_GRAM]) for at in range(len(words) - WORDS_PER_GRAM + 1)]
    return 1.0 - len(set(grams)) / len(grams)
