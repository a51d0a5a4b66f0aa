"""``explain``: why a rollout stands where it stands."""

from __future__ import annotations

import typer

from torchserve_rollout.cli import render, screens
from torchserve_rollout.cli.controller_client import ControllerClient
from torchserve_rollout.cli.options import AsJson, OptionalRef, TsConfig, settings_of


def explain(ctx: typer.Context, ref: OptionalRef = None, ts_config: TsConfig = None, as_json: AsJson = False) -> None:
    """Say why a rollout stands where it stands.

    First the sentence, then the alarm that decided with what it saw on both sides, then the timeline.
    """
    client = ControllerClient.of(settings_of(ctx, ts_config))
    view = client.explain(ref or client.latest_ref())
    if as_json:
        render.data_json(view)
    else:
        render.data(screens.explanation(view))
