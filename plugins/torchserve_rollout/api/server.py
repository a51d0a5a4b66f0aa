"""Runs the API beside the controller's loop: uvicorn in a thread of its own, so that signals stay with the caller."""

from __future__ import annotations

import errno
import socket
import threading
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from torchserve_rollout.errors import RolloutError, UsageError

STOP_TIMEOUT_S = 5


def listen(url: str) -> socket.socket:
    """A listening socket at the address of ``url``.

    Raises:
        UsageError: the address is none.
        RolloutError: it is taken, or may not be bound.
    """
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.scheme != "http" or not host or port is None:
        raise UsageError(
            f"rollout_controller_address={url}: must be http://HOST:PORT", hint="the default is http://127.0.0.1:8083"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise RolloutError(
                f"port {port} on {host} is taken by another process",
                hint="is a controller running already (ts-rollout status)? Else set rollout_controller_address",
            ) from error
        raise RolloutError(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="set rollout_controller_address"
        ) from error


class ApiServer:
    """Serves ``app`` on ``listener`` until stopped. Owns the socket."""

    def __init__(self, app: FastAPI, listener: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
        )
        self._server = uvicorn.Server(config)
        self._listener = listener
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="api", daemon=True)

    def start(self) -> None:
        """Accept requests from now on; returns at once (the socket listens already)."""
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """False once stopped, or when the server died."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Finish the requests in flight and close the socket."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S + 2)
        self._listener.close()
