"""``history``: the rollouts that have ended."""

from __future__ import annotations

from typing import Annotated

import typer

from torchserve_rollout.cli import render, screens
from torchserve_rollout.cli.controller_client import ControllerClient
from torchserve_rollout.cli.options import AsJson, TsConfig, settings_of


def history(
    ctx: typer.Context,
    model: Annotated[str | None, typer.Argument(help="Only this model.", show_default=False)] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Look at this many rollouts.")] = 100,
    ts_config: TsConfig = None,
    as_json: AsJson = False,
) -> None:
    """List ended rollouts, newest first.

    Who started each, how it ended, and why.
    """
    client = ControllerClient.of(settings_of(ctx, ts_config))
    ended = [view for view in client.rollouts(model, limit) if view.is_terminal]
    if as_json:
        render.data_json(ended)
    elif ended:
        render.data(screens.history_table(ended))
    else:
        render.words("no rollout has ended yet")
