"""``start``: begin a rollout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from torchserve_rollout.cli import render
from torchserve_rollout.cli.controller_client import ControllerClient
from torchserve_rollout.cli.options import AsJson, TsConfig, actor, settings_of
from torchserve_rollout.cli.screens import headline
from torchserve_rollout.cli.spec_files import spec_to_send
from torchserve_rollout.cli.watch import follow


def start(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="A model of the catalogue.", show_default=False)],
    version: Annotated[str, typer.Argument(help="The candidate.", show_default=False)],
    spec: Annotated[
        Path | None,
        typer.Option(
            "--spec", help="Spec file. Default: MODEL.yaml in the controller's rollout_specs.", show_default=False
        ),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", help="Kept in the journal behind your name.", show_default=False)
    ] = "",
    is_watched: Annotated[bool, typer.Option("--watch", help="Watch it and exit as it ends.")] = False,
    ts_config: TsConfig = None,
    as_json: AsJson = False,
) -> int:
    """Start a rollout: bring a packaged version live, step by step."""
    settings = settings_of(ctx, ts_config)
    client = ControllerClient.of(settings)
    who = f"{actor()}: {reason}" if reason else actor()
    view = client.start(model, version, None if spec is None else spec_to_send(spec, settings.home), who)
    if is_watched:
        render.words(f"started {view.id}")
        return follow(client, view.id, timeout_s=None, as_json=as_json)
    if as_json:
        render.data_json(view)
        return 0
    render.data(view.id)
    render.data(headline(view))
    render.words(
        f"the candidate is prepared first; ts-rollout watch {view.id} follows it, ts-rollout abort {view.id} stops it"
    )
    return 0
