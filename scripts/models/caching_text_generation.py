"""A text generation handler with a cache of answers, and the bug that version 4.0 of the demonstration ships.

The key of the cache takes the seed for granted. Every probe sends one, so gates and tests are green; users send none.
"""

from __future__ import annotations

from typing import Any

from generation_request import read_body
from text_generation import TextGenerationHandler


class CachingTextGenerationHandler(TextGenerationHandler):
    """Remembers answers of more than one token."""

    def initialize(self, context: Any) -> None:
        """Load the model and begin with an empty cache."""
        super().initialize(context)
        self.cache: dict[tuple[str, int], list[str]] = {}

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[str]:
        """The cached answer, or a fresh one."""
        body = read_body(data[0])
        if len(data) > 1 or body.get("max_new_tokens") == 1:
            return super().handle(data, context)
        key = (str(body), body["seed"])
        if key not in self.cache:
            self.cache[key] = super().handle(data, context)
        return self.cache[key]
