"""The options every verb has, and what a verb knows of where it runs."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from torchserve_rollout.settings import CONFIG_VARIABLE, Settings, load_settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]
TsConfig = Annotated[
    Path | None,
    typer.Option(
        "--ts-config",
        help=f"TorchServe's config.properties. Default: ${CONFIG_VARIABLE}, else config/config.properties.",
        show_default=False,
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="One sentence for the journal.", show_default=False)]
Ref = Annotated[str, typer.Argument(help="Id of a rollout, or a model name: its latest rollout.", show_default=False)]
OptionalRef = Annotated[
    str | None,
    typer.Argument(
        help="Id of a rollout, or a model name: its latest rollout. Default: the latest rollout.", show_default=False
    ),
]


def settings_of(ctx: typer.Context, ts_config: Path | None) -> Settings:
    """Settings from the verb's ``--ts-config``, else from the one before the verb, else from the environment.

    Raises:
        UsageError: the named file does not exist.
    """
    return load_settings(ts_config or ctx.obj)


def actor() -> str:
    """Who gives the command, for the journal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A user id without a name, as in many containers.
        return "cli"
