"""``package``: write a version into the model store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from torchserve_rollout.cli import render
from torchserve_rollout.cli.options import AsJson, TsConfig, settings_of
from torchserve_rollout.errors import Problem, SpecError
from torchserve_rollout.packaging.request import ArchiveFormat, PackageRequest
from torchserve_rollout.packaging.store import Catalogue


def package(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="Model name.", show_default=False)],
    version: Annotated[str, typer.Argument(help="Version name; never changes once packaged.", show_default=False)],
    handler: Annotated[
        str,
        typer.Option(
            "--handler", help="A shipped handler, one of TorchServe's own, or a Python file.", show_default=False
        ),
    ],
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Weights: a file or a directory.", show_default=False)
    ] = None,
    extra_files: Annotated[
        list[Path] | None,
        typer.Option("--extra-file", help="File or directory for the archive's root; repeatable.", show_default=False),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="model-config.yaml.", show_default=False)] = None,
    requirements: Annotated[
        Path | None, typer.Option("--requirements", help="requirements.txt of the handler.", show_default=False)
    ] = None,
    archive_format: Annotated[
        ArchiveFormat, typer.Option("--format", help="One stored zip file, or a directory used in place.")
    ] = ArchiveFormat.MAR,
    base_version: Annotated[
        str | None, typer.Option("--base-version", help="The version this one derives from.", show_default=False)
    ] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", help="KEY=VALUE for the lineage; repeatable.", show_default=False)
    ] = None,
    is_linked: Annotated[
        bool, typer.Option("--link-weights", help="Hard-link weights into a directory archive instead of copying.")
    ] = False,
    ts_config: TsConfig = None,
    as_json: AsJson = False,
) -> None:
    """Write a version into the model store as an immutable archive.

    The same content again changes nothing; other content under a packaged version is refused.
    """
    request = PackageRequest(
        model=model,
        version=version,
        handler=handler,
        weights=weights,
        extra_files=tuple(extra_files or ()),
        config=config,
        requirements=requirements,
        format=archive_format,
        base_version=base_version,
        tags=_tags(tags or []),
        link_weights=is_linked,
    )
    catalogue = Catalogue(settings_of(ctx, ts_config).model_store)
    with render.byte_progress() as report:
        entry = catalogue.package(request, report)
    if as_json:
        render.data_json({**entry.to_json(), "path": str(entry.path), "is_new": entry.is_new})
        return
    render.data(str(entry.path))
    state = "packaged" if entry.is_new else "was packaged before with the same content"
    render.words(f"{model} {version} {state}: {decimal(entry.size_bytes)}, digest {entry.digest}")


def _tags(pairs: list[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    problems = [Problem("--tag", f"{key!r} is not KEY=VALUE") for key, equals, _ in split if not (key and equals)]
    if problems:
        raise SpecError("arguments", problems)
    return {key: value for key, _, value in split}
