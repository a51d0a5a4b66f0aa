"""``models``: the catalogue, and what of it is registered."""

from __future__ import annotations

from typing import Annotated

import typer

from torchserve_rollout.cli import render, screens
from torchserve_rollout.cli.controller_client import ControllerClient
from torchserve_rollout.cli.options import AsJson, TsConfig, settings_of
from torchserve_rollout.controller.views import VersionView
from torchserve_rollout.errors import RolloutError
from torchserve_rollout.packaging.store import Catalogue
from torchserve_rollout.settings import Settings


def models(
    ctx: typer.Context,
    model: Annotated[str | None, typer.Argument(help="Only this model.", show_default=False)] = None,
    is_offline: Annotated[
        bool, typer.Option("--offline", help="Read the model store only; ask no controller.")
    ] = False,
    ts_config: TsConfig = None,
    as_json: AsJson = False,
) -> None:
    """List packaged and registered versions.

    Without a controller the model store is read, and what is registered stays unknown.
    """
    settings = settings_of(ctx, ts_config)
    versions = _from_store(settings) if is_offline else _from_controller(settings)
    shown = [version for version in versions if model in (None, version.model)]
    if as_json:
        render.data_json(shown)
    elif shown:
        render.data(screens.versions_table(shown))
    else:
        render.words(f"no version{f' of {model}' if model else ''} in {settings.model_store}")


def _from_controller(settings: Settings) -> list[VersionView]:
    try:
        return ControllerClient.of(settings).models()
    except RolloutError as error:
        render.words(f"{error.message}: what is registered is unknown, this is the model store")
        return _from_store(settings)


def _from_store(settings: Settings) -> list[VersionView]:
    catalogue = Catalogue(settings.model_store)
    for damage in catalogue.damaged():
        render.words(f"unusable: {damage.path}: {damage.reason}")
    return [
        VersionView(
            model=entry.model,
            version=entry.version,
            digest=entry.digest,
            size_bytes=entry.size_bytes,
            packaged_at=entry.packaged_at,
            archive=entry.path.name,
            is_registered=False,
            is_default=False,
            ready_workers=0,
        )
        for entry in catalogue.list()
    ]
