"""Sources of archives for the packaging tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torchserve_rollout.packaging.request import ArchiveFormat, PackageRequest

HANDLER = """
import answering


class Handler:
    def initialize(self, context):
        self.version = context.manifest["model"]["modelVersion"]

    def handle(self, data, context):
        return answering.answers(self.version, data)
"""
SIBLING = "def answers(version, data):\n    return [version for _ in data]\n"


def write_sources(directory: Path) -> Path:
    """A handler with a sibling, and weights in a directory; returns ``directory``."""
    (directory / "weights" / "shards").mkdir(parents=True)
    (directory / "handler.py").write_text(HANDLER)
    (directory / "answering.py").write_text(SIBLING)
    (directory / "weights" / "config.json").write_text('{"layers": 2}')
    (directory / "weights" / "shards" / "one.bin").write_bytes(bytes(range(256)) * 64)
    return directory


def request_for(sources: Path, **changes: Any) -> PackageRequest:
    """A sound request for ``sources``, with ``changes``."""
    values: dict[str, Any] = {
        "model": "assistant",
        "version": "1.0",
        "handler": str(sources / "handler.py"),
        "weights": sources / "weights",
    }
    return PackageRequest(**values | changes)


BOTH_FORMATS = (ArchiveFormat.MAR, ArchiveFormat.DIRECTORY)
