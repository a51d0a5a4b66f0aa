"""``watch``: a rollout as it happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from torchserve_rollout.cli import render, screens
from torchserve_rollout.cli.controller_client import ControllerClient
from torchserve_rollout.cli.following import Snapshot, snapshots
from torchserve_rollout.cli.options import AsJson, OptionalRef, TsConfig, settings_of
from torchserve_rollout.clock import SystemClock
from torchserve_rollout.controller.views import EventView, RolloutView
from torchserve_rollout.errors import UsageError
from torchserve_rollout.units import parse_duration_s

# Headline, bar, reason, a few alarms and the remark stand above the timeline.
ROWS_ABOVE_TIMELINE = 12


def watch(
    ctx: typer.Context,
    ref: OptionalRef = None,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", help="Stop watching after this long (90s, 10m) and exit 1.", show_default=False),
    ] = None,
    after_success: Annotated[
        bool, typer.Option("--after-success", help="After success go on while the prior version is kept warm.")
    ] = False,
    ts_config: TsConfig = None,
    as_json: AsJson = False,
) -> int:
    """Follow a rollout until it ends or is held.

    Exits as the rollout ended. With --json: one object a line, the last is the rollout itself.
    """
    client = ControllerClient.of(settings_of(ctx, ts_config))
    return follow(
        client, ref or client.latest_ref(), timeout_s=_seconds(timeout), as_json=as_json, after_success=after_success
    )


def follow(
    client: ControllerClient, ref: str, *, timeout_s: float | None, as_json: bool, after_success: bool = False
) -> int:
    """Show ``ref`` until it has an exit code, and return that."""
    stream = snapshots(client, ref, SystemClock(), timeout_s=timeout_s, after_success=after_success)
    if as_json:
        view = _as_json_lines(stream)
    elif render.is_live():
        view = _on_screen(stream)
    else:
        view = _as_lines(stream)
    return view.exit_code or 0


def _as_json_lines(stream: Iterator[Snapshot]) -> RolloutView:
    for snapshot in stream:
        if snapshot.note:
            render.words(snapshot.note)
        for event in snapshot.new_events:
            render.data_json_line({"event": event})
    render.data_json_line({"rollout": snapshot.view})
    return snapshot.view


def _as_lines(stream: Iterator[Snapshot]) -> RolloutView:
    for snapshot in stream:
        if snapshot.note:
            render.words(snapshot.note)
        for event in snapshot.new_events:
            render.data(screens.timeline_line(event, snapshot.view.candidate))
    render.data(screens.ending(snapshot.view))
    return snapshot.view


def _on_screen(stream: Iterator[Snapshot]) -> RolloutView:
    timeline: list[EventView] = []
    with render.live() as live:
        for snapshot in stream:
            timeline += snapshot.new_events
            rows = max(3, live.console.height - ROWS_ABOVE_TIMELINE - len(snapshot.view.alarms))
            live.update(
                screens.live_screen(snapshot.view, timeline, now=snapshot.at, note=snapshot.note, rows=rows),
                refresh=True,
            )
    render.data(screens.ending(snapshot.view))
    return snapshot.view


def _seconds(timeout: str | None) -> float | None:
    try:
        return None if timeout is None else parse_duration_s(timeout)
    except ValueError as error:
        raise UsageError(f"--timeout: {error}") from error
