"""``init``: a directory in which ``torchserve --start --ts-config config/config.properties`` works."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from torchserve_rollout.cli import render
from torchserve_rollout.cli.options import AsJson
from torchserve_rollout.errors import NotFoundError, UsageError
from torchserve_rollout.model import Word
from torchserve_rollout.packaging.bundle import bundle_path

# What was laid out, by digest: a file that nobody changed since may be replaced by a newer release's.
RECORD = Path("config") / ".laid-out.json"


class Outcome(Word):
    """What became of one file."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    UPDATED = "updated"
    """It was as an earlier release laid it out."""
    KEPT = "kept"
    """Somebody changed it; it stays as it is."""


def init(
    directory: Annotated[Path, typer.Argument(help="Where TorchServe will be started.", show_default=False)],
    is_forced: Annotated[bool, typer.Option("--force", help="Overwrite files that were changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Lay out a directory to start TorchServe in.

    It gets config/, plugins/ and model-store/, so that gateway and controller start with TorchServe there.

    Safe to run again: files that were changed are kept, unless --force.
    """
    try:
        outcomes = lay_out(directory, list(_files()), is_forced=is_forced)
    except OSError as error:
        raise UsageError(
            f"{error.filename or directory}: {error.strerror or error}", hint="name a directory you may write"
        ) from error
    if as_json:
        render.data_json({"directory": str(directory.resolve()), "files": outcomes})
        return
    for target, outcome in outcomes.items():
        render.data(f"{outcome:<10} {target}")
    if Outcome.KEPT in outcomes.values():
        render.words("kept files were changed and differ from this release's; --force overwrites them")
    render.words(f"start it:  cd {directory} && torchserve --start --ncs --ts-config config/config.properties")


def lay_out(directory: Path, files: list[tuple[Path, Path]], *, is_forced: bool) -> dict[str, Outcome]:
    """Bring ``files`` (source, place under ``directory``) into ``directory``; what became of each."""
    known = _read_record(directory / RECORD)
    outcomes = {}
    laid_out = dict(known)
    for source, place in files:
        content = source.read_bytes()
        outcome = _outcome(content, directory / place, known.get(str(place)), is_forced)
        if outcome in (Outcome.WRITTEN, Outcome.UPDATED):
            _write(directory / place, content)
        if outcome is not Outcome.KEPT:
            laid_out[str(place)] = _digest(content)
        outcomes[str(place)] = outcome
    (directory / "model-store").mkdir(parents=True, exist_ok=True)
    if laid_out != known:
        _write(directory / RECORD, json.dumps(laid_out, indent=2, sort_keys=True).encode())
    return outcomes


def _files() -> Iterator[tuple[Path, Path]]:
    """What is laid out: where each file comes from and its place under the directory.

    Raises:
        NotFoundError: the gateway's jar was not built.
    """
    jars = sorted(bundle_path("plugins").glob("*.jar"))
    if not jars:
        raise NotFoundError(
            f"there is no plugin jar in {bundle_path('plugins')}",
            hint="in a checkout, build it: python plugins/gateway/build_jar.py",
        )
    for jar in jars:
        yield jar, Path("plugins") / jar.name
    config = bundle_path("config")
    for source in sorted(config.rglob("*")):
        if source.is_file() and source.name != RECORD.name:
            yield source, Path("config") / source.relative_to(config)


def _outcome(content: bytes, target: Path, laid_out: str | None, is_forced: bool) -> Outcome:
    if not target.exists():
        return Outcome.WRITTEN
    present = target.read_bytes()
    if present == content:
        return Outcome.UNCHANGED
    if _digest(present) == laid_out:
        return Outcome.UPDATED
    return Outcome.WRITTEN if is_forced else Outcome.KEPT


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all: a TorchServe may be starting here right now.
    part = target.with_name(target.name + ".part")
    part.write_bytes(content)
    part.replace(target)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_record(file: Path) -> dict[str, str]:
    """What was laid out before; nothing where the record is missing or damaged: then every other content is kept."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(place): str(digest) for place, digest in content.items()} if isinstance(content, dict) else {}
