"""The catalogue of the model store: which versions there are, each written once and never changed.

The truth is in the archives. The records beside them make look-ups quick, remember versions whose archive was deleted,
and are made anew from the archives when lost.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from torchserve_rollout.clock import Clock, SystemClock
from torchserve_rollout.errors import IntegrityError, NotFoundError, PackagingError, VersionIsImmutable
from torchserve_rollout.model import ModelName, VersionName
from torchserve_rollout.packaging import archive
from torchserve_rollout.packaging.contents import MANIFEST_FILE, Contents, gather
from torchserve_rollout.packaging.entry import Entry, version_order
from torchserve_rollout.packaging.integrity import Measured, Verifier, measure_archive
from torchserve_rollout.packaging.lineage import Lineage, current_user, git_commit_of, tool_versions
from torchserve_rollout.packaging.manifest import (
    SEAL_KEY,
    Members,
    content_digest,
    describe,
    is_seal_intact,
    sealed_members,
    write_manifest,
)
from torchserve_rollout.packaging.records import Records
from torchserve_rollout.packaging.request import ArchiveFormat, PackageRequest, Progress

_ABANDONED_AFTER_S = 6 * 3600.0
_DEFAULT_VERSION = "1.0"  # TorchServe's, for a manifest without one


@dataclass(frozen=True, slots=True)
class Damage:
    """An archive in the store that cannot be used, and why."""

    path: Path
    reason: str


def _silent(stage: str, done: int, total: int) -> None:
    pass


class Catalogue:
    """All packaged versions of one model store. Safe to use from several processes at once."""

    def __init__(self, model_store: Path, *, clock: Clock | None = None) -> None:
        self.model_store = model_store
        self._clock = clock or SystemClock()
        self._records = Records(model_store)
        self._verifier = Verifier()

    def package(self, request: PackageRequest, on_progress: Progress | None = None) -> Entry:
        """Write ``request``'s archive into the store, or find the same content there (``is_new`` is False then).

        Raises:
            SpecError: the request is wrong; carries all problems.
            VersionIsImmutable: the version is packaged with other content.
            PackagingError: a source changed while it was read, or the store cannot be written.
        """
        report = on_progress or _silent
        contents = gather(request)
        try:
            return self._package(request, contents, report)
        except OSError as error:
            place = error.filename or self.model_store
            raise PackagingError(f"{place}: {error.strerror or error}", hint="check space and permissions") from error

    def list(self, model: str | None = None) -> tuple[Entry, ...]:
        """Every version whose archive is in the store, by model and version (10.0 behind 9.1)."""
        entries = [entry for entry, _ in self._scan() if entry and model in (None, entry.model)]
        return tuple(sorted(entries, key=lambda entry: (entry.model, version_order(entry.version), entry.version)))

    def damaged(self) -> tuple[Damage, ...]:
        """Archives without a record that are no sound archives."""
        return tuple(damage for _, damage in self._scan() if damage)

    def get(self, model: str, version: str) -> Entry:
        """One version.

        Raises:
            NotFoundError: it is not in the store; says which versions are.
        """
        record = self._records.read(model, version)
        if record is not None and record.path.exists():
            return record
        there = self.list(model)
        found = next((entry for entry in there if entry.version == version), None)
        if found is None:
            versions = ", ".join(entry.version for entry in there) or "none"
            raise NotFoundError(
                f"no archive of {model} {version} in {self.model_store}; versions there: {versions}",
                hint=f"package it first: ts-rollout package {model} {version}",
            )
        return found

    def verify(self, entry: Entry) -> None:
        """Return if the archive is what was packaged; quick when nothing changed since the last call.

        Raises:
            IntegrityError: it is not; names the members that differ.
        """
        self._verifier.verify(entry)

    # -- writing ------------------------------------------------------------------------------------------------

    def _package(self, request: PackageRequest, contents: Contents, report: Progress) -> Entry:
        description = describe(request, contents)
        members = archive.measure(contents.members, report)
        digest = content_digest(description, members)
        known = self._known(request, digest)
        if known is not None:
            return known
        lineage = _lineage_of(request, contents, members)
        manifest = write_manifest(description, members, lineage)
        self.model_store.mkdir(parents=True, exist_ok=True)
        temporary = archive.temporary_name(self.model_store / f"{request.model}-{request.version}")
        try:
            self._write(temporary, request, contents, members, manifest, report)
            written = self._entry_of(temporary, measure_archive(temporary), self._clock.now())
            with self._records.lock():
                self._remove_abandoned(temporary)
                known = self._known(request, digest)  # another process may have been quicker
                if known is not None:
                    return known
                self._remove_damaged(request)
                entry = replace(written, path=self._free_path(request, digest))
                archive.publish(temporary, entry.path)
                self._records.write(entry)
        finally:
            archive.remove(temporary)
        return replace(entry, is_new=True)

    def _known(self, request: PackageRequest, digest: str) -> Entry | None:
        """The version as packaged before, if its archive is there and sound; refuses other content in any case."""
        record = self._records.read(request.model, request.version)
        if record is None:
            record = next((e for e in self.list(request.model) if e.version == request.version), None)
        if record is None:
            return None
        if record.digest != digest:
            raise VersionIsImmutable(
                f"{request.model} {request.version} was packaged on {record.packaged_at:%Y-%m-%d %H:%M} UTC with other "
                f"content (digest {record.digest[:12]}, now {digest[:12]})",
                hint="give the new content a new version; a version never changes",
            )
        try:
            self.verify(record)
        except IntegrityError:
            return None  # gone or damaged: the same content may be written again
        return record

    def _remove_damaged(self, request: PackageRequest) -> None:
        record = self._records.read(request.model, request.version)
        if record is not None:
            archive.remove(record.path)

    def _write(
        self,
        temporary: Path,
        request: PackageRequest,
        contents: Contents,
        members: Members,
        manifest: bytes,
        report: Progress,
    ) -> None:
        if request.format is ArchiveFormat.MAR:
            archive.write_mar(temporary, contents.members, members, manifest, report)
            return
        link = frozenset(member.name for member in contents.weights) if request.link_weights else frozenset()
        archive.write_directory(temporary, contents.members, members, manifest, report, link=link)

    def _free_path(self, request: PackageRequest, digest: str) -> Path:
        """``<model>-<version>``; with some of the digest where another version has that name ("a-1" "2", "a" "1-2")."""
        suffix = ".mar" if request.format is ArchiveFormat.MAR else ""
        for addition in ("", f".{digest[:8]}", f".{digest}"):
            path = self.model_store / f"{request.model}-{request.version}{addition}{suffix}"
            if not os.path.lexists(path):
                return path
        raise PackagingError(f"{path} is in the way", hint="move it out of the model store")

    def _remove_abandoned(self, own: Path) -> None:
        """Clear away what a killed packaging left, once it is old enough to be surely nobody's."""
        for path in self.model_store.glob(f".*{archive.TEMPORARY_SUFFIX}"):
            with suppress(FileNotFoundError):  # its packaging ended this moment
                if path != own and time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S:
                    archive.remove(path)

    # -- reading ------------------------------------------------------------------------------------------------

    def _scan(self) -> Iterator[tuple[Entry | None, Damage | None]]:
        """Every archive of the store: by its record, or read and recorded now."""
        if not self.model_store.is_dir():
            return
        recorded = {entry.path.name: entry for entry in self._records.read_all()}
        for path in sorted(self.model_store.iterdir()):
            if path.name in recorded:
                yield recorded[path.name], None
            elif not path.name.startswith(".") and (path.suffix == ".mar" or (path / MANIFEST_FILE).is_file()):
                yield self._adopt(path)

    def _adopt(self, path: Path) -> tuple[Entry | None, Damage | None]:
        """An archive without a record: written by another tool, or the catalogue was lost."""
        try:
            written_at = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
            entry = self._entry_of(path, measure_archive(path), written_at)
        except (IntegrityError, OSError) as error:
            return None, Damage(path, str(error))
        other = self._records.read(entry.model, entry.version)
        if other is not None and other.path.exists():
            same = "the same content" if other.digest == entry.digest else "other content"
            return None, Damage(path, f"{path}: {entry.model} {entry.version} is {other.path.name} already, {same}")
        if other is not None and other.digest != entry.digest:
            return None, Damage(path, f"{path}: {entry.model} {entry.version} was packaged before with other content")
        try:
            with self._records.lock():
                self._records.write(entry)
        except OSError:
            pass  # a store we may only read still has a catalogue; it is made anew each time
        return entry, None

    def _entry_of(self, path: Path, measured: Measured, packaged_at: datetime) -> Entry:
        """The entry of an archive just read.

        Raises:
            IntegrityError: our own seal on it is broken.
        """
        manifest = measured.manifest
        members = {name: each for name, each in measured.members.items() if name != MANIFEST_FILE}
        digest = content_digest(manifest, members)
        if SEAL_KEY in manifest:
            _check_seal(path, manifest, members)
        model = manifest["model"]
        return Entry(
            model=ModelName(str(model.get("modelName", path.stem))),
            version=VersionName(str(model.get("modelVersion", _DEFAULT_VERSION))),
            path=path,
            format=ArchiveFormat.DIRECTORY if path.is_dir() else ArchiveFormat.MAR,
            digest=digest,
            file_sha256=measured.file_sha256,
            size_bytes=measured.size_bytes,
            packaged_at=packaged_at,
            members=measured.members,
            lineage=Lineage.from_json(manifest[SEAL_KEY]["lineage"]) if SEAL_KEY in manifest else None,
        )


def _check_seal(path: Path, manifest: dict[str, Any], members: Members) -> None:
    try:
        expected = sealed_members(manifest)
        intact = is_seal_intact(manifest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(f"{path}: the seal in {MANIFEST_FILE} cannot be read: {error!r}") from error
    if not intact:
        raise IntegrityError(f"{path}: changed: {MANIFEST_FILE}", hint="package the version again")
    different = sorted(name for name in expected.keys() | members.keys() if expected.get(name) != members.get(name))
    if different:
        raise IntegrityError(f"{path}: changed: {', '.join(different)}", hint="package the version again")


def _lineage_of(request: PackageRequest, contents: Contents, members: Members) -> Lineage:
    origin = request.weights or contents.handler_path
    weights = {member.name: members[member.name] for member in contents.weights}
    return Lineage(
        created_at=_created_at(contents),
        created_by=current_user(),
        base_version=request.base_version,
        source=str(request.weights) if request.weights else None,
        source_digest=content_digest({}, weights) if weights else None,
        git_commit=git_commit_of(origin.resolve()) if origin else None,
        tags=dict(request.tags),
        tools=tool_versions(),
    )


def _created_at(contents: Contents) -> datetime:
    """SOURCE_DATE_EPOCH as reproducible-builds.org defines it, else the time of the youngest input."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    try:
        return datetime.fromtimestamp(int(text) if text else contents.newest_mtime_s, timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise PackagingError(
            f"SOURCE_DATE_EPOCH={text!r} is no time", hint="set it to whole seconds since 1970, or unset it"
        ) from None
