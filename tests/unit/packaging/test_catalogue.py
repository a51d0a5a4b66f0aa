"""The catalogue: versions never change, and it survives crowds, crashes and the loss of its records."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.archives import ECHO_HANDLER, write_archive
from tests.unit.packaging.sources import BOTH_FORMATS, request_for
from torchserve_rollout.errors import NotFoundError, PackagingError, VersionIsImmutable
from torchserve_rollout.packaging.archive import remove
from torchserve_rollout.packaging.entry import archive_url
from torchserve_rollout.packaging.request import ArchiveFormat
from torchserve_rollout.packaging.store import Catalogue


def visible(store: Path) -> list[str]:
    return sorted(path.name for path in store.iterdir() if path.name != ".catalogue")


@pytest.mark.parametrize("archive_format", BOTH_FORMATS)
def test_the_same_content_again_writes_nothing_and_says_so(
    catalogue: Catalogue, sources: Path, archive_format: ArchiveFormat
) -> None:
    first = catalogue.package(request_for(sources, format=archive_format))
    inode = first.path.stat().st_ino
    again = catalogue.package(request_for(sources, format=archive_format, tags={"who": "somebody else"}))
    assert (first.is_new, again.is_new) == (True, False)
    assert again.digest == first.digest
    assert again.lineage == first.lineage
    assert first.path.stat().st_ino == inode


@pytest.mark.parametrize("archive_format", BOTH_FORMATS)
def test_other_content_under_the_same_version_is_refused(
    catalogue: Catalogue, sources: Path, archive_format: ArchiveFormat
) -> None:
    first = catalogue.package(request_for(sources, format=archive_format))
    (sources / "weights" / "config.json").write_text('{"layers": 3}')
    with pytest.raises(VersionIsImmutable, match=r"assistant 1\.0 was packaged on 2026-11-23 12:00 UTC") as refused:
        catalogue.package(request_for(sources, format=archive_format))
    assert refused.value.exit_code == 6
    assert "new version" in refused.value.hint
    catalogue.verify(first)


def test_a_version_stays_taken_after_its_archive_was_deleted(catalogue: Catalogue, sources: Path) -> None:
    catalogue.package(request_for(sources)).path.unlink()
    assert catalogue.list() == ()
    with pytest.raises(VersionIsImmutable):
        catalogue.package(request_for(sources, config={"handler": {"temperature": 1}}))
    assert catalogue.package(request_for(sources)).is_new


@pytest.mark.parametrize("archive_format", BOTH_FORMATS)
def test_the_same_content_replaces_a_damaged_archive(
    catalogue: Catalogue, sources: Path, archive_format: ArchiveFormat
) -> None:
    entry = catalogue.package(request_for(sources, format=archive_format))
    victim = entry.path if entry.path.is_file() else entry.path / "weights.bin"
    if victim.exists():
        victim.chmod(0o644)
    else:
        entry.path.chmod(0o755)
    victim.write_bytes(b"not what it was")
    restored = catalogue.package(request_for(sources, format=archive_format))
    assert restored.is_new
    catalogue.verify(restored)
    assert visible(catalogue.model_store) == [entry.path.name]


def test_versions_are_listed_in_the_order_people_count(catalogue: Catalogue, sources: Path) -> None:
    for version in ("10.0", "9.1", "9.1-rc1", "2024-01-01"):
        catalogue.package(request_for(sources, version=version))
    catalogue.package(request_for(sources, model="other"))
    assert [entry.version for entry in catalogue.list("assistant")] == ["9.1", "9.1-rc1", "10.0", "2024-01-01"]
    assert len(catalogue.list()) == 5


def test_an_unknown_version_says_which_there_are(catalogue: Catalogue, sources: Path) -> None:
    catalogue.package(request_for(sources))
    with pytest.raises(NotFoundError, match=r"no archive of assistant 2\.0 .*versions there: 1\.0"):
        catalogue.get("assistant", "2.0")
    with pytest.raises(NotFoundError, match="versions there: none"):
        catalogue.get("nobody", "1.0")


def test_an_empty_or_missing_store_has_no_versions(tmp_path: Path) -> None:
    assert Catalogue(tmp_path / "nowhere").list() == ()
    assert not (tmp_path / "nowhere").exists()


def test_names_that_would_be_the_same_file_get_files_of_their_own(catalogue: Catalogue, sources: Path) -> None:
    one = catalogue.package(request_for(sources, model="a-1", version="2"))
    two = catalogue.package(request_for(sources, model="a", version="1-2"))
    assert archive_url(one) == "a-1-2.mar"
    assert archive_url(two) == f"a-1-2.{two.digest[:8]}.mar"
    assert [catalogue.get("a-1", "2").path, catalogue.get("a", "1-2").path] == [one.path, two.path]


def test_torchserve_is_given_a_bare_name_in_its_store(catalogue: Catalogue, sources: Path) -> None:
    mar = catalogue.package(request_for(sources))
    directory = catalogue.package(request_for(sources, version="2.0", format=ArchiveFormat.DIRECTORY))
    assert archive_url(mar) == "assistant-1.0.mar"
    assert archive_url(directory) == "assistant-2.0"
    assert directory.path.parent == catalogue.model_store


@pytest.mark.parametrize("archive_format", BOTH_FORMATS)
def test_lost_records_are_made_anew_from_the_archives(
    catalogue: Catalogue, sources: Path, archive_format: ArchiveFormat
) -> None:
    entry = catalogue.package(request_for(sources, format=archive_format, base_version="0.9", tags={"run": "7"}))
    shutil.rmtree(catalogue.model_store / ".catalogue")
    found = Catalogue(catalogue.model_store).get("assistant", "1.0")
    assert (found.digest, found.lineage, found.members) == (entry.digest, entry.lineage, entry.members)
    assert found.lineage is not None
    assert (found.lineage.base_version, found.lineage.tags) == ("0.9", {"run": "7"})
    with pytest.raises(VersionIsImmutable):
        catalogue.package(request_for(sources, extra_files=(sources / "answering.py",), config={"batchSize": 2}))


def test_a_record_cut_short_counts_as_lost(catalogue: Catalogue, sources: Path) -> None:
    entry = catalogue.package(request_for(sources))
    record = catalogue.model_store / ".catalogue" / "assistant" / "1.0.json"
    record.write_text(record.read_text()[:100])
    assert catalogue.get("assistant", "1.0").digest == entry.digest
    assert json.loads(record.read_text())["digest"] == entry.digest


def test_archives_of_other_tools_are_listed_too(catalogue: Catalogue) -> None:
    catalogue.model_store.mkdir()
    write_archive(catalogue.model_store, "echo", "3.1", ECHO_HANDLER)
    (entry,) = catalogue.list()
    assert (entry.model, entry.version, entry.lineage) == ("echo", "3.1", None)
    catalogue.verify(entry)


def test_what_is_no_archive_is_reported_and_disturbs_nobody(catalogue: Catalogue, sources: Path) -> None:
    entry = catalogue.package(request_for(sources))
    (catalogue.model_store / "broken.mar").write_bytes(b"no zip file")
    (catalogue.model_store / "README.md").write_text("words")
    with zipfile.ZipFile(catalogue.model_store / "empty.mar", "w"):
        pass
    assert catalogue.list() == (replace(entry, is_new=False),)
    reasons = [damage.reason for damage in catalogue.damaged()]
    assert [damage.path.name for damage in catalogue.damaged()] == ["broken.mar", "empty.mar"]
    assert "File is not a zip file" in reasons[0]
    assert "no MAR-INF/MANIFEST.json" in reasons[1]
    catalogue.verify(entry)


def test_a_second_archive_of_a_version_does_not_replace_the_first(catalogue: Catalogue, sources: Path) -> None:
    entry = catalogue.package(request_for(sources))
    write_archive(catalogue.model_store, "assistant-x", "1", ECHO_HANDLER)
    intruder = catalogue.model_store / "intruder.mar"
    with zipfile.ZipFile(intruder, "w") as archive:
        model = {"modelName": "assistant", "modelVersion": "1.0", "handler": "h.py"}
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps({"runtime": "python", "model": model}))
    assert catalogue.get("assistant", "1.0").path == entry.path
    (damage,) = catalogue.damaged()
    assert damage.path == intruder
    assert "is assistant-1.0.mar already, other content" in damage.reason


@pytest.mark.parametrize("archive_format", BOTH_FORMATS)
def test_many_at_once_write_one_archive_of_a_version(
    catalogue: Catalogue, sources: Path, archive_format: ArchiveFormat
) -> None:
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[bool] = context.Queue()

    def package() -> None:
        entry = Catalogue(catalogue.model_store).package(request_for(sources, format=archive_format))
        answers.put(entry.is_new)

    crowd = [context.Process(target=package) for _ in range(8)]
    for process in crowd:
        process.start()
    novel = [answers.get(timeout=60) for _ in crowd]
    for process in crowd:
        process.join(60)
    assert sorted(novel) == [False] * 7 + [True]
    (entry,) = catalogue.list()
    catalogue.verify(entry)
    assert visible(catalogue.model_store) == [archive_url(entry)]


def test_of_many_with_other_content_one_wins_and_the_others_are_refused(catalogue: Catalogue, sources: Path) -> None:
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[str] = context.Queue()

    def package(number: int) -> None:
        try:
            Catalogue(catalogue.model_store).package(request_for(sources, config={"handler": {"number": number}}))
            answers.put("packaged")
        except VersionIsImmutable:
            answers.put("refused")

    crowd = [context.Process(target=package, args=(number,)) for number in range(6)]
    for process in crowd:
        process.start()
    told = sorted(answers.get(timeout=60) for _ in crowd)
    for process in crowd:
        process.join(60)
    assert told == ["packaged"] + ["refused"] * 5
    assert visible(catalogue.model_store) == ["assistant-1.0.mar"]


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path, sources: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PackagingError, match="file"):
        Catalogue(tmp_path / "file").package(request_for(sources))


def test_what_a_killed_packaging_left_is_cleared_away_after_a_while(catalogue: Catalogue, sources: Path) -> None:
    catalogue.model_store.mkdir()
    old, young = catalogue.model_store / ".a-1.mar.0.tmp", catalogue.model_store / ".a-1.mar.1.tmp"
    for left in (old, young):
        left.write_bytes(b"half")
    os.utime(old, (0, 0))
    catalogue.package(request_for(sources))
    assert not old.exists()
    assert young.exists()
    assert [entry.version for entry in catalogue.list()] == ["1.0"]


def test_linked_weights_share_their_bytes_with_the_source(catalogue: Catalogue, sources: Path) -> None:
    entry = catalogue.package(request_for(sources, format=ArchiveFormat.DIRECTORY, link_weights=True))
    source = sources / "weights" / "shards" / "one.bin"
    assert (entry.path / "shards" / "one.bin").samefile(source)
    assert source.stat().st_mode & 0o222 == 0
    assert not (entry.path / "handler.py").samefile(sources / "handler.py")
    catalogue.verify(entry)
    remove(entry.path)
    assert source.exists()
