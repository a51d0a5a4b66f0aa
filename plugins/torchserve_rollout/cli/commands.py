"""``pause resume promote abort rollback``: one command each, into the controller's inbox."""

from __future__ import annotations

import typer

from torchserve_rollout.cli import render
from torchserve_rollout.cli.controller_client import ControllerClient
from torchserve_rollout.cli.inbox import give
from torchserve_rollout.cli.options import AsJson, Reason, Ref, TsConfig, actor, settings_of
from torchserve_rollout.cli.screens import headline
from torchserve_rollout.clock import SystemClock
from torchserve_rollout.machine.state import CommandKind


def pause(
    ctx: typer.Context, ref: Ref, reason: Reason = "", ts_config: TsConfig = None, as_json: AsJson = False
) -> None:
    """Stop advancing; the weight stays, alarms stay armed."""
    _give(ctx, CommandKind.PAUSE, ref, reason, ts_config=ts_config, as_json=as_json)


def resume(
    ctx: typer.Context, ref: Ref, reason: Reason = "", ts_config: TsConfig = None, as_json: AsJson = False
) -> None:
    """Go on after a pause or a hold."""
    _give(ctx, CommandKind.RESUME, ref, reason, ts_config=ts_config, as_json=as_json)


def promote(
    ctx: typer.Context, ref: Ref, reason: Reason = "", ts_config: TsConfig = None, as_json: AsJson = False
) -> None:
    """Skip the remaining steps: make the candidate the default now."""
    _give(ctx, CommandKind.PROMOTE, ref, reason, ts_config=ts_config, as_json=as_json)


def abort(
    ctx: typer.Context, ref: Ref, reason: Reason = "", ts_config: TsConfig = None, as_json: AsJson = False
) -> None:
    """Give all traffic back to stable, before promotion."""
    _give(ctx, CommandKind.ABORT, ref, reason, ts_config=ts_config, as_json=as_json)


def rollback(
    ctx: typer.Context, ref: Ref, reason: Reason = "", ts_config: TsConfig = None, as_json: AsJson = False
) -> None:
    """Set traffic and default back to the prior version."""
    _give(ctx, CommandKind.ROLLBACK, ref, reason, ts_config=ts_config, as_json=as_json)


def _give(ctx: typer.Context, kind: CommandKind, ref: str, reason: str, *, ts_config: TsConfig, as_json: bool) -> None:
    client = ControllerClient.of(settings_of(ctx, ts_config))
    receipt = give(client, ref, kind, actor(), reason, SystemClock())
    if as_json:
        render.data_json(receipt.view)
        return
    render.data(headline(receipt.view))
    state = "taken" if receipt.is_taken else "in the inbox, no tick has taken it yet"
    render.words(f"{kind}: {state}; ts-rollout watch {receipt.view.id} shows what comes of it")
