"""What ``doctor`` found, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass

from torchserve_rollout.model import Word


class Health(Word):
    """``warning`` does not fail the doctor: it works, but not as it should."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``todo`` is what to do about it; empty when it is well."""

    name: str
    health: Health
    sentence: str
    todo: str = ""


def ok(name: str, sentence: str) -> Finding:
    """All is well."""
    return Finding(name, Health.OK, sentence)


def warning(name: str, sentence: str, todo: str) -> Finding:
    """Works, but not as it should."""
    return Finding(name, Health.WARNING, sentence, todo)


def bad(name: str, sentence: str, todo: str) -> Finding:
    """Does not work."""
    return Finding(name, Health.BAD, sentence, todo)
