"""``replay``: judge a rollout again from its journal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from torchserve_rollout.cli import render, screens
from torchserve_rollout.cli.controller_client import ControllerClient
from torchserve_rollout.cli.options import AsJson, OptionalRef, TsConfig, settings_of
from torchserve_rollout.cli.spec_files import spec_to_send


def replay(
    ctx: typer.Context,
    ref: OptionalRef = None,
    spec: Annotated[
        Path | None,
        typer.Option("--spec", help="Judge by the alarms of this spec. Default: its own.", show_default=False),
    ] = None,
    ts_config: TsConfig = None,
    as_json: AsJson = False,
) -> int:
    """Judge a rollout again from the evidence in its journal.

    By its own spec the verdicts must be the same, byte for byte (exit 1 if not); another spec shows what it would have
    said. Nothing moves.
    """
    settings = settings_of(ctx, ts_config)
    client = ControllerClient.of(settings)
    text = None if spec is None else spec_to_send(spec, settings.home)
    view = client.replay(ref or client.latest_ref(), text)
    if as_json:
        render.data_json(view)
    else:
        render.data(screens.replayed(view))
    return 0 if view.is_same else 1
