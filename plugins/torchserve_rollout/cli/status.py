"""``status``: everything on one screen."""

from __future__ import annotations

import typer

from torchserve_rollout.cli import render, screens
from torchserve_rollout.cli.controller_client import ControllerClient
from torchserve_rollout.cli.options import AsJson, TsConfig, settings_of

# The most the API gives; the latest of every model is among them.
ALL = 1000


def status(ctx: typer.Context, ts_config: TsConfig = None, as_json: AsJson = False) -> None:
    """Show every node and model on one screen.

    For each model: default, stable, candidate, weight, phase, since when, and why.
    """
    client = ControllerClient.of(settings_of(ctx, ts_config))
    rollouts, versions, nodes = client.rollouts(limit=ALL), client.models(), client.nodes()
    if as_json:
        render.data_json({"nodes": nodes, "models": versions, "rollouts": rollouts})
    else:
        render.data(screens.status_screen(rollouts, versions, nodes))
