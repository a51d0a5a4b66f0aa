"""``init``: a directory in which ``torchserve --start --ts-config config/config.properties`` works."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from torchserve_rollout.cli import render
from torchserve_rollout.cli.options import AsJson
from torchserve_rollout.errors import NotFoundError, UsageError
from torchserve_rollout.model import Word
from torchserve_rollout.packaging.bundle import bundle_path


class Outcome(Word):
    """What became of one file."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    """It is there with other content, and stays as it is."""


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
        outcomes = {str(target): _lay(source, directory / target, is_forced) for source, target in _files()}
        (directory / "model-store").mkdir(parents=True, exist_ok=True)
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
        render.words("kept files differ from this version's; compare them, or overwrite them with --force")
    render.words(f"start it:  cd {directory} && torchserve --start --ncs --ts-config config/config.properties")


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
        if source.is_file():
            yield source, Path("config") / source.relative_to(config)


def _lay(source: Path, target: Path, is_forced: bool) -> Outcome:
    content = source.read_bytes()
    if target.exists():
        if target.read_bytes() == content:
            return Outcome.UNCHANGED
        if not is_forced:
            return Outcome.KEPT
    target.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all: a TorchServe may be starting here right now.
    part = target.with_name(target.name + ".part")
    shutil.copyfile(source, part)
    part.replace(target)
    return Outcome.WRITTEN
