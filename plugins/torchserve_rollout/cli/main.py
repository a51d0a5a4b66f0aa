"""``ts-rollout``: gives each verb to its file and does nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

import torchserve_rollout
from torchserve_rollout.cli import (
    commands,
    doctor,
    explain,
    history,
    init,
    lint,
    models,
    package,
    pairs,
    plan,
    render,
    replay,
    serve,
    start,
    status,
    watch,
)
from torchserve_rollout.cli.crash import guarded
from torchserve_rollout.cli.options import TsConfig

EPILOG = (
    "Exit codes: 0 done · 1 failed · 2 usage or bad spec · 3 rolled back or aborted · 4 held, needs a person · "
    "5 server unreachable · 6 refused."
)

app = typer.Typer(
    name="ts-rollout",
    help="Change a served model version, and change it back by itself when it is worse.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

VERBS: dict[str, Callable[..., int | None]] = {
    "package": package.package,
    "models": models.models,
    "lint": lint.lint,
    "plan": plan.plan,
    "start": start.start,
    "status": status.status,
    "watch": watch.watch,
    "pause": commands.pause,
    "resume": commands.resume,
    "promote": commands.promote,
    "abort": commands.abort,
    "rollback": commands.rollback,
    "history": history.history,
    "explain": explain.explain,
    "pairs": pairs.pairs,
    "replay": replay.replay,
    "serve": serve.serve,
    "doctor": doctor.doctor,
    "init": init.init,
}
for name, verb in VERBS.items():
    app.command(name)(guarded(verb))


def _print_version(is_asked: bool) -> None:
    if is_asked:
        render.data(torchserve_rollout.__version__)
        raise typer.Exit


@app.callback()
def _globals(
    ctx: typer.Context,
    ts_config: TsConfig = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    ctx.obj = ts_config


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="ts-rollout")
