"""Is an archive still what it was when it was packaged?"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from torchserve_rollout.errors import IntegrityError
from torchserve_rollout.packaging.archive import CHUNK_BYTES
from torchserve_rollout.packaging.contents import MANIFEST_FILE
from torchserve_rollout.packaging.entry import Entry
from torchserve_rollout.packaging.manifest import MemberDigest

_HINT = "restore the file from a backup, or package the same content again under this version"
# Workers import the handler from a directory archive, and Python leaves its byte code there.
_CACHE_DIRECTORY = "__pycache__"

Fingerprint = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """What an archive really holds. ``members`` includes the manifest; ``file_sha256`` is empty for a directory."""

    manifest: dict[str, Any]
    members: dict[str, MemberDigest]
    file_sha256: str
    size_bytes: int


class Verifier:
    """Checks archives, and remembers which it has checked while their size, time and inode stay the same."""

    def __init__(self) -> None:
        self._known_good: dict[Path, tuple[str, Fingerprint]] = {}

    def verify(self, entry: Entry) -> None:
        """Return if ``entry``'s archive is unchanged.

        Raises:
            IntegrityError: it is not; names the members that differ.
        """
        try:
            fingerprint = fingerprint_of(entry.path)
            if self._known_good.get(entry.path) == (entry.digest, fingerprint):
                return
            check(entry)
        except OSError as error:
            raise _damaged(entry.path, f"cannot be read: {error.strerror or error}") from error
        self._known_good[entry.path] = (entry.digest, fingerprint)


def verify(entry: Entry) -> None:
    """Return if ``entry``'s archive is unchanged; reads all of it. ``Verifier`` remembers what it has read.

    Raises:
        IntegrityError: it is not; names the members that differ.
    """
    Verifier().verify(entry)


def check(entry: Entry) -> None:
    """As ``verify``, but lets an OSError through."""
    if entry.file_sha256 and entry.path.is_file() and _sha256_of(entry.path) == entry.file_sha256:
        return
    found = measure_archive(entry.path).members
    missing = sorted(entry.members.keys() - found.keys())
    added = sorted(found.keys() - entry.members.keys())
    changed = sorted(name for name in found.keys() & entry.members.keys() if found[name] != entry.members[name])
    parts = [
        f"{word} {', '.join(names)}"
        for word, names in (("changed:", changed), ("missing:", missing), ("added:", added))
        if names
    ]
    if parts:
        raise _damaged(entry.path, "; ".join(parts))
    if entry.file_sha256:
        raise _damaged(entry.path, "changed outside of its members: the headers of the zip file")


def fingerprint_of(path: Path) -> Fingerprint:
    """Name, size, time and inode of every file of an archive: cheap to take, and different after any ordinary change.

    Raises:
        OSError: it cannot be read.
    """
    files = [path] if not path.is_dir() else [file for _, file in _files_of(path)]
    stats = [(str(file), file.stat()) for file in files]
    return tuple((name, each.st_size, each.st_mtime_ns, each.st_ino) for name, each in stats)


def measure_archive(path: Path) -> Measured:
    """Read all of an archive, of ours or of any other tool.

    Raises:
        IntegrityError: it is no zip file or directory with a readable manifest, or a member's checksum is wrong.
        OSError: it cannot be read.
    """
    if path.is_dir():
        members = {name: _digest_of(file) for name, file in _files_of(path)}
        text = (path / MANIFEST_FILE).read_bytes() if MANIFEST_FILE in members else None
        file_sha256, size_bytes = "", sum(each.size_bytes for each in members.values())
    else:
        members, text = _measure_zip(path)
        file_sha256, size_bytes = _sha256_of(path), path.stat().st_size
    if text is None:
        raise _damaged(path, f"it has no {MANIFEST_FILE}")
    return Measured(_parse_manifest(path, text), members, file_sha256, size_bytes)


def _measure_zip(path: Path) -> tuple[dict[str, MemberDigest], bytes | None]:
    name = "its directory of members"
    members: dict[str, MemberDigest] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                name = info.filename
                if name in members:
                    raise _damaged(path, f"it holds {name} twice")
                with archive.open(info) as member:
                    members[name] = _digest_of_stream(member)
            text = archive.read(MANIFEST_FILE) if MANIFEST_FILE in members else None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        # zipfile raises all of these for bytes that are no sound archive, an "encrypted" flag bit included.
        raise _damaged(path, f"{name} is damaged: {error}") from error
    return members, text


def _parse_manifest(path: Path, text: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(text)
    except ValueError as error:
        raise _damaged(path, f"{MANIFEST_FILE} is no JSON: {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("model"), dict):
        raise _damaged(path, f"{MANIFEST_FILE} has no model section")
    return manifest


def _files_of(directory: Path) -> Iterator[tuple[str, Path]]:
    for root, directories, files in os.walk(directory):
        directories[:] = sorted(name for name in directories if name != _CACHE_DIRECTORY)
        for name in sorted(files):
            file = Path(root) / name
            yield file.relative_to(directory).as_posix(), file


def _digest_of(file: Path) -> MemberDigest:
    with file.open("rb") as stream:
        return _digest_of_stream(stream)


def _digest_of_stream(stream: IO[bytes]) -> MemberDigest:
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
    return MemberDigest(size, digest.hexdigest())


def _sha256_of(file: Path) -> str:
    return _digest_of(file).sha256


def _damaged(path: Path, what: str) -> IntegrityError:
    return IntegrityError(f"{path}: {what}", hint=_HINT)
