"""Our archives hold what torch-model-archiver's hold, member by member, and say the same in their manifests."""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from model_archiver.model_archiver import ModelArchiver
from model_archiver.model_archiver_config import ModelArchiverConfig

from torchserve_rollout.packaging.manifest import SEAL_KEY
from torchserve_rollout.packaging.model_config import complete_config
from torchserve_rollout.packaging.request import ArchiveFormat, PackageRequest
from torchserve_rollout.packaging.store import Catalogue

MANIFEST = "MAR-INF/MANIFEST.json"


@pytest.fixture
def material(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources, and a place of its own for the archiver, which deletes $TMPDIR/<model name> first."""
    staging = tmp_path / "staging"
    staging.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(staging))
    folder = tmp_path / "material"
    tree = folder / "extra"
    for directory in (tree / "sub" / "deep", tree / "__pycache__", tree / ".hidden"):
        directory.mkdir(parents=True)
    (folder / "my_handler.py").write_text(
        "class MyHandler:\n    def handle(self, data, context):\n        return data\n"
    )
    (folder / "weights.pt").write_bytes(bytes(range(256)) * 20)
    (folder / "requirements.txt").write_text("numpy\n")
    (folder / "note.txt").write_text("a note")
    # Complete, so that both tools pack the very same file.
    (folder / "model-config.yaml").write_bytes(complete_config({"batchSize": 2})[0])
    (tree / "vocabulary.json").write_text("{}")
    (tree / "sub" / "deep" / "merges.txt").write_text("a b")
    (tree / "__pycache__" / "x.pyc").write_bytes(b"byte code")
    (tree / ".hidden" / "secret").write_text("no")
    return folder


def theirs(material: Path, target: Path, archive_format: str) -> Path:
    target.mkdir()
    ModelArchiver.generate_model_archive(
        ModelArchiverConfig(
            model_name="twin",
            version="1.0",
            handler=str(material / "my_handler.py"),
            serialized_file=str(material / "weights.pt"),
            extra_files=f"{material / 'note.txt'},{material / 'extra'}",
            requirements_file=str(material / "requirements.txt"),
            config_file=str(material / "model-config.yaml"),
            export_path=str(target),
            archive_format=archive_format,
        )
    )
    return target / ("twin" if archive_format == "no-archive" else "twin.mar")


def ours(material: Path, target: Path, archive_format: ArchiveFormat) -> Path:
    request = PackageRequest(
        model="twin",
        version="1.0",
        handler=str(material / "my_handler.py"),
        weights=material / "weights.pt",
        extra_files=(material / "note.txt", material / "extra"),
        requirements=material / "requirements.txt",
        config=material / "model-config.yaml",
        format=archive_format,
    )
    return Catalogue(target).package(request).path


def members_of(archive: Path) -> dict[str, bytes]:
    if archive.is_dir():
        return {str(file.relative_to(archive)): file.read_bytes() for file in archive.rglob("*") if file.is_file()}
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def description(members: dict[str, bytes]) -> dict[str, Any]:
    """What TorchServe acts on: the manifest without the time and without our own key."""
    manifest: dict[str, Any] = json.loads(members[MANIFEST])
    return {key: value for key, value in manifest.items() if key not in ("createdOn", SEAL_KEY)}


@pytest.mark.parametrize(
    ("their_format", "our_format"),
    [("zip-store", ArchiveFormat.MAR), ("default", ArchiveFormat.MAR), ("no-archive", ArchiveFormat.DIRECTORY)],
)
def test_members_and_manifest_are_the_archivers(
    material: Path, tmp_path: Path, their_format: str, our_format: ArchiveFormat
) -> None:
    expected = members_of(theirs(material, tmp_path / "theirs", their_format))
    found = members_of(ours(material, tmp_path / "ours", our_format))
    assert sorted(found) == sorted(expected)
    for name in expected.keys() - {MANIFEST}:
        assert found[name] == expected[name], name
    assert description(found) == description(expected)


def test_the_time_is_written_as_the_archiver_writes_it(material: Path, tmp_path: Path) -> None:
    for archive in (
        theirs(material, tmp_path / "theirs", "zip-store"),
        ours(material, tmp_path / "ours", ArchiveFormat.MAR),
    ):
        created = json.loads(members_of(archive)[MANIFEST])["createdOn"]
        assert re.fullmatch(r"\d\d/\d\d/20\d\d \d\d:\d\d:\d\d", created)
