"""The same input gives the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import stat
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.packaging.sources import BOTH_FORMATS, request_for
from torchserve_rollout.errors import PackagingError
from torchserve_rollout.packaging.archive import measure, remove, write_mar
from torchserve_rollout.packaging.contents import Member
from torchserve_rollout.packaging.request import ArchiveFormat
from torchserve_rollout.packaging.store import Catalogue

MEMBER_NAMES = st.text("abcdefXYZ019_-. é", min_size=1, max_size=12).filter(lambda name: name.strip(". ") != "")


def quiet(stage: str, done: int, total: int) -> None:
    pass


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(MEMBER_NAMES, st.binary(max_size=2000), max_size=8), st.binary(max_size=50))
def test_the_same_members_give_the_same_archive_and_come_out_as_they_went_in(
    contents: dict[str, bytes], manifest: bytes
) -> None:
    members = tuple(Member(name, contents[name]) for name in sorted(contents))
    digests = measure(members, quiet)
    with TemporaryDirectory() as directory:
        first, second = Path(directory) / "first.mar", Path(directory) / "second.mar"
        write_mar(first, members, digests, manifest, quiet)
        write_mar(second, members, digests, manifest, quiet)
        assert first.read_bytes() == second.read_bytes()
        with zipfile.ZipFile(first) as archive:
            assert archive.testzip() is None
            assert {n: archive.read(n) for n in archive.namelist() if n != "MAR-INF/MANIFEST.json"} == contents


def test_an_archive_depends_neither_on_umask_nor_on_the_order_of_files_nor_on_their_permissions(
    sources: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere" / "sources"
    copy.parent.mkdir()
    shutil.copytree(sources, copy)  # keeps times
    (copy / "weights" / "config.json").chmod(0o600)
    one = Catalogue(tmp_path / "one").package(request_for(sources))
    old = os.umask(0o077)
    try:
        other = Catalogue(tmp_path / "other").package(request_for(copy))
    finally:
        os.umask(old)
    assert one.digest == other.digest
    assert stat.S_IMODE(one.path.stat().st_mode) == stat.S_IMODE(other.path.stat().st_mode) == 0o444


@pytest.mark.parametrize("archive_format", BOTH_FORMATS)
def test_packaging_twice_gives_the_same_bytes(sources: Path, tmp_path: Path, archive_format: ArchiveFormat) -> None:
    entries = [
        Catalogue(tmp_path / store).package(request_for(sources, format=archive_format, tags={"b": "2", "a": "1"}))
        for store in ("one", "two")
    ]
    if archive_format is ArchiveFormat.MAR:
        assert entries[0].path.read_bytes() == entries[1].path.read_bytes()
    assert entries[0].members == entries[1].members
    assert entries[0].digest == entries[1].digest


def test_nothing_is_deflated(catalogue: Catalogue, sources: Path) -> None:
    entry = catalogue.package(request_for(sources))
    with zipfile.ZipFile(entry.path) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_source_date_epoch_is_the_time_of_creation(
    catalogue: Catalogue, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    entry = catalogue.package(request_for(sources))
    with zipfile.ZipFile(entry.path) as archive:
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))
    assert manifest["createdOn"] == "09/09/2001 01:46:40"
    assert entry.lineage is not None
    assert entry.lineage.created_at.isoformat() == "2001-09-09T01:46:40+00:00"


def test_a_source_date_epoch_that_is_no_time_is_refused(
    catalogue: Catalogue, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(PackagingError, match="SOURCE_DATE_EPOCH='yesterday' is no time"):
        catalogue.package(request_for(sources))
    assert catalogue.list() == ()


def test_without_source_date_epoch_the_youngest_input_tells_the_time(
    catalogue: Catalogue, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    for file in sources.rglob("*"):
        os.utime(file, (1_500_000_000, 1_500_000_000))
    os.utime(sources / "weights" / "config.json", (1_600_000_000, 1_600_000_000))
    entry = catalogue.package(request_for(sources))
    assert entry.lineage is not None
    assert entry.lineage.created_at.timestamp() == 1_600_000_000


def test_a_source_that_changes_while_it_is_packaged_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    file.write_bytes(b"before")
    members = (Member("weights.bin", file),)
    digests = measure(members, quiet)
    file.write_bytes(b"after!")
    with pytest.raises(PackagingError, match=r"weights\.bin changed while it was packaged"):
        write_mar(tmp_path / "a.mar", members, digests, b"{}", quiet)


def test_progress_ends_with_all_bytes_read_and_written(catalogue: Catalogue, sources: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    entry = catalogue.package(request_for(sources), lambda *progress: seen.append(progress))
    total = sum(each.size_bytes for name, each in entry.members.items() if not name.startswith("MAR-INF"))
    assert [p for p in seen if p[0] == "read"][-1] == ("read", total, total)
    assert [p for p in seen if p[0] == "write"][-1] == ("write", total, total)


def test_removing_a_read_only_directory_leaves_nothing(catalogue: Catalogue, sources: Path) -> None:
    entry = catalogue.package(request_for(sources, format=ArchiveFormat.DIRECTORY))
    remove(entry.path)
    assert not entry.path.exists()
