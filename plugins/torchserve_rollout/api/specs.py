"""Which spec a start request means: a file of the shelf by its name, or the spec itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchserve_rollout.errors import NotFoundError, UsageError
from torchserve_rollout.spec.load import load_spec, parse_spec
from torchserve_rollout.spec.schema import RolloutSpec

# A bare name: no separators, no drive, no leading dot, so it cannot leave the directory.
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
SUFFIXES = (".yaml", ".yml")


class SpecShelf:
    """The specs that lie in ``rollout_specs`` of config.properties."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def resolve(self, given: str | Mapping[str, Any]) -> RolloutSpec:
        """The spec that ``given`` means.

        Args:
            given: a file name without path parts (its suffix may be left out), YAML text, or an object.

        Raises:
            SpecError: it is not a valid spec; carries all problems.
            UsageError: the name has path parts.
            NotFoundError: there is no such file.
        """
        if isinstance(given, Mapping):
            return parse_spec(given, "spec")
        if _is_yaml(given):
            return load_spec(given, "spec")
        path = self._find(given)
        return load_spec(path.read_text("utf-8"), path.name)

    def _find(self, name: str) -> Path:
        if not FILE_NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} is not a spec's name: it is looked up in {self.directory}, and has no path parts",
                hint="give the bare file name, or the spec itself as YAML",
            )
        for candidate in (name, *(name + suffix for suffix in SUFFIXES)):
            path = self.directory / candidate
            if path.suffix in SUFFIXES and path.is_file():
                return path
        raise NotFoundError(
            f"no spec {name} in {self.directory}; there are: {', '.join(self._names()) or 'none'}",
            hint="write one there, see docs/reference/spec.md, or send the spec itself",
        )

    def _names(self) -> list[str]:
        if not self.directory.is_dir():
            return []
        return sorted(path.name for path in self.directory.iterdir() if path.suffix in SUFFIXES)


def _is_yaml(text: str) -> bool:
    """A mapping in YAML has a colon or a line break; a file name has neither."""
    return "\n" in text or ":" in text
