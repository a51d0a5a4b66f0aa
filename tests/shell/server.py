"""A management API on loopback that answers as told and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit


class ManagementServer:
    """Answers ``METHOD /path`` with a status and a body; everything else with 404. Wants ``key`` as bearer token."""

    def __init__(self, key: str = "the-key") -> None:
        self.key = key
        self.answers: dict[str, tuple[int, Any]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.renewals = 0
        self.hanging: set[str] = set()
        self.released = threading.Event()
        """Set at the end: requests to ``hanging`` paths wait for it."""
        self.on_renewal: Callable[[], None] = lambda: None
        """Called when a new key is asked for with the API key; a test writes the file here."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def changes(self) -> list[tuple[str, dict[str, str]]]:
        """What was asked for beyond looking."""
        return [asked for asked in self.requests if not asked[0].startswith("GET ")]

    def __enter__(self) -> ManagementServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, target: str, authorization: str) -> tuple[int, Any]:
        parts = urlsplit(target)
        if parts.path == "/token" and authorization == "Bearer the-api-key":
            self.renewals += 1
            self.on_renewal()
            return 200, ""
        if authorization != f"Bearer {self.key}":
            return 400, {"code": 400, "type": "InvalidKeyException", "message": "Token Authorization failed."}
        self.requests.append((f"{method} {parts.path}", dict(parse_qsl(parts.query))))
        return self.answers.get(f"{method} {parts.path}", (404, {"code": 404, "type": "ResourceNotFoundException"}))


def _handler_of(server: ManagementServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            if self.path in server.hanging:
                server.released.wait(60)
            status, body = server.answer(self.command, self.path, self.headers.get("Authorization", ""))
            content = (body if isinstance(body, str) else json.dumps(body, indent=2)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_DELETE = do_POST = _reply

        def log_message(self, format: str, *args: object) -> None:
            """Tests read what was asked from ``requests``."""

    return Handler
