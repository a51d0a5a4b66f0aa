"""Where a version comes from."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from torchserve_rollout import __version__

_TOOLS = ("torch-model-archiver", "torchserve", "torch", "transformers")
_GIT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Lineage:
    """Origin of one version; lies in its archive, is no part of its digest.

    ``created_at`` is SOURCE_DATE_EPOCH, else the time of the youngest input file: the same input gives the same bytes.
    ``source`` is the path of the weights as given, ``source_digest`` the SHA-256 over them. ``git_commit`` ends in
    ``-dirty`` when the working tree had changes.
    """

    created_at: datetime
    created_by: str = ""
    base_version: str | None = None
    source: str | None = None
    source_digest: str | None = None
    git_commit: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The lineage as it is written into the manifest."""
        return asdict(self) | {"created_at": self.created_at.isoformat()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Lineage:
        """The lineage a manifest holds; keys of a later release are passed over."""
        known = {key: values[key] for key in cls.__dataclass_fields__ if key in values}
        return cls(**known | {"created_at": datetime.fromisoformat(values["created_at"])})


def current_user() -> str:
    """The name of the user who packages; empty where the system has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a user id without a name
        return ""


def tool_versions() -> dict[str, str]:
    """Versions of the packages that shape an archive or the weights in it; only those installed."""
    found = {"torchserve-rollout": __version__}
    for name in _TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_commit_of(path: Path) -> str | None:
    """The commit of the working tree that holds ``path``; None outside of one or without git."""
    directory = path if path.is_dir() else path.parent
    command = ["git", "-C", str(directory), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None
