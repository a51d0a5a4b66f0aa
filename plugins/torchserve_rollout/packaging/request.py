"""What to package, as the caller says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torchserve_rollout.model import MODEL_PATTERN, RESERVED_VERSIONS, VERSION_PATTERN, Word

# stage ("read" or "write"), bytes done, bytes in all
Progress = Callable[[str, int, int], None]


class ArchiveFormat(Word):
    """``mar``: one stored zip file, which TorchServe copies at each registration. ``directory``: used in place."""

    MAR = "mar"
    DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class PackageRequest:
    """One version to package.

    Args:
        handler: name of a shipped handler (``text_generation``) or of one of TorchServe's own (``base_handler``), or
            the path of a Python file; its sibling modules come along.
        weights: a file (becomes the archive's serialized file) or a directory (its content lands at the root).
        extra_files: files and directories that land at the archive's root, as torch-model-archiver does it.
        config: model-config.yaml as a path or as its content; timeouts that it leaves out are filled in.
        requirements: requirements.txt for TorchServe's install_py_dep_per_model.
        base_version: the version that this one was derived from.
        tags: free key=value pairs kept in the lineage.
        link_weights: hard-link instead of copying into a directory archive. Faster, but the source shares its bytes
            with the archive from then on, so it becomes read-only too.
    """

    model: str
    version: str
    handler: str
    weights: Path | None = None
    extra_files: tuple[Path, ...] = ()
    config: Path | Mapping[str, Any] | None = None
    requirements: Path | None = None
    format: ArchiveFormat = ArchiveFormat.MAR
    base_version: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    link_weights: bool = False


def name_problem(kind: str, name: str) -> str | None:
    """Why ``name`` cannot name a ``kind`` (``model`` or ``version``), or None if it can."""
    pattern = MODEL_PATTERN if kind == "model" else VERSION_PATTERN
    if not pattern.match(name) or name.endswith("\n"):
        return f"{name!r} is no {kind} name: 1 to 64 letters, digits, '.', '_' and '-', the first a letter or digit"
    if ".." in name:
        return f"{name!r} is no {kind} name here: TorchServe refuses every address with '..' in it"
    if kind == "version" and name in RESERVED_VERSIONS:
        return f"{name!r} is reserved: TorchServe uses it in its own API and metrics"
    return None
