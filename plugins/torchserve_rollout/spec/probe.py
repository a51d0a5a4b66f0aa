"""A probe file: prompts with what a good answer looks like. Scored 0–1 per prompt; pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from torchserve_rollout.spec.base import Count, DurationS, Frozen, Number


class Expectation(Frozen):
    """All given conditions must hold for score 1; otherwise 0. Matching ignores case."""

    contains_any: tuple[str, ...] = ()
    contains_all: tuple[str, ...] = ()
    contains_none: tuple[str, ...] = ()
    matches: str | None = None
    min_chars: Annotated[Count, Field(ge=0)] = 1
    max_repetition: Annotated[Number, Field(ge=0, le=1)] | None = None


class PromptSpec(Frozen):
    """One prompt. ``body`` is sent instead of ``{"prompt": prompt}`` when given."""

    prompt: str = ""
    body: dict[str, Any] | None = None
    expect: Expectation = Expectation()


class ProbeSpec(Frozen):
    """A named set of prompts. ``request`` is merged into every body (sampling parameters, seed)."""

    name: str
    request: dict[str, Any] = Field(default_factory=dict)
    timeout: DurationS = 30.0
    answer_path: str = "text"
    """Key of the answer's text in a JSON answer; a plain-text answer is taken whole."""
    prompts: Annotated[tuple[PromptSpec, ...], Field(min_length=1)]
