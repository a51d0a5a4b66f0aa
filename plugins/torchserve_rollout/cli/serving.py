"""The controller and its API, composed in one process."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI

import torchserve_rollout
from torchserve_rollout.api.app import create_app
from torchserve_rollout.api.server import ApiServer, listen
from torchserve_rollout.controller.loop import Controller
from torchserve_rollout.errors import RolloutError
from torchserve_rollout.settings import Settings
from torchserve_rollout.torchserve.tokens import KeyKind, Tokens

log = logging.getLogger("torchserve_rollout.serve")
POLL_S = 0.5


def run(settings: Settings, stop: threading.Event, *, is_orphan: Callable[[], bool]) -> None:
    """Serve until ``stop`` is set or the process we belong to is gone.

    Raises:
        RolloutError: the port is taken, the journal cannot be opened, or the API died.
    """
    # The port first: when it is taken, another controller is at work and nothing of ours may start.
    with listen(settings.controller_url) as listener:
        controller = Controller(settings)
        api = ApiServer(_app(settings, controller), listener)
        controller.start()
        try:
            api.start()
            log.info("controller %s listens at %s", torchserve_rollout.__version__, settings.controller_url)
            while not stop.wait(POLL_S):
                if is_orphan():
                    log.warning("TorchServe is gone, so the controller stops")
                    return
                if not api.is_running:
                    raise RolloutError("the API server stopped by itself", hint="the log above says why")
            log.info("asked to stop")
        finally:
            api.stop()
            controller.stop()
            log.info("controller stopped")


def _app(settings: Settings, controller: Controller) -> FastAPI:
    host = urlsplit(settings.controller_url).hostname or ""
    # Bound to every interface, it is called by the machine's own names.
    hosts = {socket.gethostname(), socket.getfqdn()} if host in ("0.0.0.0", "::") else {host}  # noqa: S104
    return create_app(
        controller.rollouts,
        specs_dir=settings.specs_dir,
        valid_tokens=_valid_tokens(settings),
        alert_tokens=_alert_tokens(settings.alerts_token_file),
        allowed_hosts=hosts,
    )


def _alert_tokens(file: Path | None) -> Callable[[], set[str]] | None:
    """Read anew for each call, so that the token can be renewed; an empty or missing file opens nothing."""
    if file is None:
        return None

    def tokens() -> set[str]:
        try:
            return {file.read_text("utf-8").strip()} - {""}
        except (OSError, UnicodeDecodeError) as error:
            log.warning("%s: the token of Alertmanager cannot be read: %s", file, error)
            return set()

    return tokens


def _valid_tokens(settings: Settings) -> Callable[[], set[str]] | None:
    if not settings.is_token_required:
        return None
    tokens = Tokens(settings.key_file, settings.management_url)
    return lambda: {tokens.bearer(KeyKind.MANAGEMENT).removeprefix("Bearer ")}
