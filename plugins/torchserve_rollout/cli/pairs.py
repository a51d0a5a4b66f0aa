"""``pairs``: what both versions made of the same requests."""

from __future__ import annotations

import typer

from torchserve_rollout.cli import render, screens
from torchserve_rollout.cli.controller_client import ControllerClient
from torchserve_rollout.cli.options import AsJson, OptionalRef, TsConfig, settings_of


def pairs(ctx: typer.Context, ref: OptionalRef = None, ts_config: TsConfig = None, as_json: AsJson = False) -> None:
    """Show some of the mirrored requests of a rollout.

    How many there were, and of the latest what both versions answered; those on which they differ come first.
    """
    client = ControllerClient.of(settings_of(ctx, ts_config))
    view = client.pairs(ref or client.latest_ref())
    if as_json:
        render.data_json(view)
    else:
        render.data(screens.pairs_screen(view))
