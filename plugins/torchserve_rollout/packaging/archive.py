"""Writing archives: the same input gives the same bytes, and nothing half-written is ever visible.

torch-model-archiver is not used for this: it stages in ``$TMPDIR/<model>`` and deletes what is there, names the file
without the version, deflates weights for nothing, and writes the time of day into it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from torchserve_rollout.errors import PackagingError
from torchserve_rollout.packaging.contents import MANIFEST_FILE, Member
from torchserve_rollout.packaging.manifest import MemberDigest, Members
from torchserve_rollout.packaging.request import Progress

CHUNK_BYTES = 1 << 20
TEMPORARY_SUFFIX = ".tmp"
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_READ_ONLY_FILE = 0o444
_READ_ONLY_DIRECTORY = 0o555


def measure(members: tuple[Member, ...], on_progress: Progress) -> dict[str, MemberDigest]:
    """Size and digest of every member; reads all of them."""
    total = sum(member.size_bytes for member in members)
    found: dict[str, MemberDigest] = {}
    done = 0
    for member in members:
        digest, size = hashlib.sha256(), 0
        for chunk in _chunks(member):
            digest.update(chunk)
            size += len(chunk)
            on_progress("read", done + size, total)
        done += size
        found[member.name] = MemberDigest(size, digest.hexdigest())
    return found


def write_mar(
    target: Path, members: tuple[Member, ...], digests: Members, manifest: bytes, on_progress: Progress
) -> None:
    """A stored (not deflated) zip file at ``target``, members in the order given, the manifest last."""
    total = sum(each.size_bytes for each in digests.values())
    with target.open("xb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            done = 0
            for member in members:
                info = _zip_info(member.name)
                info.file_size = digests[member.name].size_bytes
                with archive.open(info, "w") as sink:
                    done = _copy(member, digests[member.name], sink.write, done, total, on_progress)
            archive.writestr(_zip_info(MANIFEST_FILE), manifest)
        file.flush()
        os.fsync(file.fileno())
    target.chmod(_READ_ONLY_FILE)


def write_directory(
    target: Path,
    members: tuple[Member, ...],
    digests: Members,
    manifest: bytes,
    on_progress: Progress,
    *,
    link: frozenset[str] = frozenset(),
) -> None:
    """The members as files under ``target``, read-only; those named in ``link`` share their bytes with the source."""
    total = sum(each.size_bytes for each in digests.values())
    done = 0
    for member in (*members, Member(MANIFEST_FILE, manifest)):
        path = target / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if member.name in link and isinstance(member.source, Path) and _linked(member.source, path):
            done += digests[member.name].size_bytes
            on_progress("write", done, total)
            continue
        expected = digests.get(member.name) or MemberDigest(len(manifest), hashlib.sha256(manifest).hexdigest())
        with path.open("xb") as file:
            done = _copy(member, expected, file.write, done, total, on_progress)
            file.flush()
            os.fsync(file.fileno())
    _make_read_only(target)


def temporary_name(target: Path) -> Path:
    """A hidden sibling of ``target``: TorchServe's ``load_models=all`` passes over hidden names."""
    return target.with_name(f".{target.name}.{uuid4().hex}{TEMPORARY_SUFFIX}")


def publish(temporary: Path, target: Path) -> None:
    """Give a complete archive its name, in one step and for good."""
    temporary.rename(target)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Delete an archive, read-only directories included; no error if it is gone."""
    if path.is_dir() and not path.is_symlink():
        for root, _, _ in os.walk(path):
            Path(root).chmod(0o755)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _zip_info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _ZIP_EPOCH)
    info.create_system = 3
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    return info


def _chunks(member: Member) -> Iterator[bytes]:
    if isinstance(member.source, bytes):
        yield member.source
        return
    with member.source.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _copy(
    member: Member,
    expected: MemberDigest,
    write: Callable[[bytes], object],
    done: int,
    total: int,
    on_progress: Progress,
) -> int:
    """Copies one member and returns the bytes done so far; what was measured must be what is written."""
    digest = hashlib.sha256()
    for chunk in _chunks(member):
        digest.update(chunk)
        write(chunk)
        done += len(chunk)
        on_progress("write", min(done, total), total)
    if digest.hexdigest() != expected.sha256:
        raise PackagingError(
            f"{member.source!s} changed while it was packaged", hint="let its writer finish, then retry"
        )
    return done


def _linked(source: Path, target: Path) -> bool:
    """Whether ``target`` could be made a hard link; another file system or a link as source means a copy."""
    if source.is_symlink():
        return False
    with suppress(OSError):
        os.link(source, target)
        return True
    return False


def _make_read_only(directory: Path) -> None:
    for root, _, files in os.walk(directory, topdown=False):
        for name in files:
            (Path(root) / name).chmod(_READ_ONLY_FILE)
        Path(root).chmod(_READ_ONLY_DIRECTORY)
