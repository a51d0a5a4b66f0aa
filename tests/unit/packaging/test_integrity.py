"""A changed archive never passes, and the message names what changed."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.packaging.sources import BOTH_FORMATS, request_for, write_sources
from torchserve_rollout.errors import IntegrityError
from torchserve_rollout.packaging.entry import Entry
from torchserve_rollout.packaging.integrity import Verifier, verify
from torchserve_rollout.packaging.request import ArchiveFormat
from torchserve_rollout.packaging.store import Catalogue


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Entry:
    directory = tmp_path_factory.mktemp("pristine")
    return Catalogue(directory / "store").package(request_for(write_sources(directory / "sources")))


def rewrite(entry: Entry, name: str, content: bytes | None) -> None:
    """Write the archive anew with one member changed, added or (None) left out."""
    with zipfile.ZipFile(entry.path) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    if content is None:
        del members[name]
    else:
        members[name] = content
    entry.path.chmod(0o644)
    with zipfile.ZipFile(entry.path, "w") as archive:
        for each, value in members.items():
            archive.writestr(each, value)


@pytest.mark.parametrize("archive_format", BOTH_FORMATS)
def test_a_fresh_archive_verifies(catalogue: Catalogue, sources: Path, archive_format: ArchiveFormat) -> None:
    verify(catalogue.package(request_for(sources, format=archive_format)))


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("config.json", b"{}", r"changed: config\.json"),
        ("shards/one.bin", None, r"missing: shards/one\.bin"),
        ("backdoor.py", b"import os", r"added: backdoor\.py"),
        ("MAR-INF/MANIFEST.json", b'{"model": {}}', r"changed: MAR-INF/MANIFEST\.json"),
    ],
)
def test_the_member_that_differs_is_named(
    catalogue: Catalogue, sources: Path, name: str, content: bytes | None, complaint: str
) -> None:
    entry = catalogue.package(request_for(sources))
    rewrite(entry, name, content)
    with pytest.raises(IntegrityError, match=complaint) as caught:
        catalogue.verify(entry)
    assert str(entry.path) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda root: (root / "config.json").write_text("{}"), r"changed: config\.json"),
        (lambda root: (root / "config.json").unlink(), r"missing: config\.json"),
        (lambda root: (root / "new.py").write_text("x = 1"), r"added: new\.py"),
        (lambda root: shutil.rmtree(root / "MAR-INF"), r"it has no MAR-INF/MANIFEST\.json"),
    ],
)
def test_a_changed_directory_is_noticed(
    catalogue: Catalogue, sources: Path, damage: Callable[[Path], object], complaint: str
) -> None:
    entry = catalogue.package(request_for(sources, format=ArchiveFormat.DIRECTORY))
    for path in (entry.path, *entry.path.rglob("*")):
        path.chmod(0o755)
    damage(entry.path)
    with pytest.raises(IntegrityError, match=complaint):
        catalogue.verify(entry)


def test_byte_code_that_workers_leave_in_a_directory_is_no_damage(catalogue: Catalogue, sources: Path) -> None:
    entry = catalogue.package(request_for(sources, format=ArchiveFormat.DIRECTORY))
    entry.path.chmod(0o755)
    (entry.path / "__pycache__").mkdir()
    (entry.path / "__pycache__" / "handler.cpython-311.pyc").write_bytes(b"byte code")
    catalogue.verify(entry)


def test_a_deleted_archive_is_an_integrity_error(catalogue: Catalogue, sources: Path) -> None:
    entry = catalogue.package(request_for(sources))
    entry.path.unlink()
    with pytest.raises(IntegrityError, match="No such file"):
        catalogue.verify(entry)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_flipped_bit_and_no_cut_goes_unnoticed(pristine: Entry, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(pristine.path.read_bytes())
    if data.draw(st.booleans(), label="cut short"):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = tmp_path / "damaged.mar"
    damaged.write_bytes(content)
    with pytest.raises(IntegrityError):
        verify(replace(pristine, path=damaged))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_archive_without_a_record_is_never_taken_for_another_version(
    pristine: Entry, tmp_path: Path, data: st.DataObject
) -> None:
    """A lost catalogue and a damaged archive: either the content is what it was, or it is reported as damaged."""
    content = bytearray(pristine.path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    store = tmp_path / "store"
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir()
    (store / "assistant-1.0.mar").write_bytes(content)
    catalogue = Catalogue(store)
    entries = catalogue.list()
    assert len(entries) + len(catalogue.damaged()) == 1
    for entry in entries:
        assert (entry.model, entry.version, entry.digest) == ("assistant", "1.0", pristine.digest)


def test_an_unchanged_archive_is_read_once(catalogue: Catalogue, sources: Path) -> None:
    entry = catalogue.package(request_for(sources))
    verifier = Verifier()
    verifier.verify(entry)
    before = entry.path.stat()
    content = bytearray(entry.path.read_bytes())
    content[100] ^= 1
    entry.path.chmod(0o644)
    entry.path.write_bytes(content)
    os.utime(entry.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    verifier.verify(entry)  # nothing that a look at the file shows has changed
    os.utime(entry.path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(IntegrityError):
        verifier.verify(entry)
