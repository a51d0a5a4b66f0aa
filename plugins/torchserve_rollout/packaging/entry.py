"""One packaged version, as the catalogue knows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from torchserve_rollout.model import ModelName, VersionName
from torchserve_rollout.packaging.lineage import Lineage
from torchserve_rollout.packaging.manifest import MemberDigest, Members
from torchserve_rollout.packaging.request import ArchiveFormat


@dataclass(frozen=True, slots=True)
class Entry:
    """An immutable version in the model store.

    ``digest`` stands for the content, ``file_sha256`` for the bytes of the .mar file (empty for a directory).
    ``lineage`` is None for an archive that another tool wrote. ``is_new`` is False when packaging found the same
    content already there and wrote nothing.
    """

    model: ModelName
    version: VersionName
    path: Path
    format: ArchiveFormat
    digest: str
    file_sha256: str
    size_bytes: int
    packaged_at: datetime
    members: Members
    lineage: Lineage | None = None
    is_new: bool = False

    def to_json(self) -> dict[str, Any]:
        """The entry as its record in the catalogue holds it; the path by its name in the store."""
        return {
            "model": self.model,
            "version": self.version,
            "file": self.path.name,
            "format": self.format.value,
            "digest": self.digest,
            "file_sha256": self.file_sha256,
            "size_bytes": self.size_bytes,
            "packaged_at": self.packaged_at.isoformat(),
            "lineage": self.lineage.to_json() if self.lineage else None,
            "members": {name: [each.size_bytes, each.sha256] for name, each in sorted(self.members.items())},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], model_store: Path) -> Entry:
        """The entry of a record.

        Raises:
            KeyError, TypeError, ValueError: it is no record.
        """
        return cls(
            model=ModelName(values["model"]),
            version=VersionName(values["version"]),
            path=model_store / values["file"],
            format=ArchiveFormat(values["format"]),
            digest=values["digest"],
            file_sha256=values["file_sha256"],
            size_bytes=values["size_bytes"],
            packaged_at=datetime.fromisoformat(values["packaged_at"]),
            members={name: MemberDigest(size, sha256) for name, (size, sha256) in values["members"].items()},
            lineage=Lineage.from_json(values["lineage"]) if values["lineage"] else None,
        )


def archive_url(entry: Entry) -> str:
    """What TorchServe takes as ``url`` in ``POST /models``: the bare name in its model store, for both formats.

    A bare name is no URL for TorchServe, so ``allowed_urls`` does not matter, unregistering deletes nothing, and a
    snapshot finds the archive again after a restart.
    """
    return entry.path.name


def version_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts 10.0 behind 9.1."""
    parts = re.findall(r"\d+|[^\d]+", version)
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
