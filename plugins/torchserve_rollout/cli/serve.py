"""``serve``: the controller and its API in one process."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Annotated

import typer

from torchserve_rollout.cli.options import TsConfig, settings_of

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"


def serve(
    ctx: typer.Context,
    parent_pid: Annotated[
        int | None, typer.Option("--parent-pid", help="Stop when this process is gone.", show_default=False)
    ] = None,
    ts_config: TsConfig = None,
    as_json: Annotated[bool, typer.Option("--json", help="Log one JSON object a line.")] = False,
) -> int:
    """Run the controller and its HTTP API until SIGTERM.

    TorchServe does this by itself where rollout_controller=embedded.
    """
    settings = settings_of(ctx, ts_config)
    _log_to_stderr(_JsonLines() if as_json else _plain_lines())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # Imported here: no other verb should wait for the web server, the database and the statistics.
    from torchserve_rollout.cli.serving import run

    run(settings, stop, is_orphan=_orphan_check(parent_pid))
    return 0


def _orphan_check(parent_pid: int | None) -> Callable[[], bool]:
    """Whether the process we belong to is gone."""
    if parent_pid is None:
        return lambda: False
    if os.getppid() == parent_pid:
        # A child of it: the kernel tells, and no later process with the same pid can deceive us.
        return lambda: os.getppid() != parent_pid
    return lambda: not _is_alive(parent_pid)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _plain_lines() -> logging.Formatter:
    """One line an event: time (UTC), level, where, what."""
    line = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", TIME_FORMAT)
    line.converter = time.gmtime
    return line


class _JsonLines(logging.Formatter):
    """One JSON object an event; a traceback is a field of it."""

    def __init__(self) -> None:
        super().__init__()
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "at": f"{self.formatTime(record, TIME_FORMAT)}.{record.msecs:03.0f}Z",
            "level": record.levelname,
            "where": record.name,
            "what": record.getMessage(),
        }
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False)


def _log_to_stderr(lines: logging.Formatter) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(lines)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for chatty in ("alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
