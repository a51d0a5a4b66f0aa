"""Who may call: only names we listen on, only pages of our own, only holders of TorchServe's management token."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from torchserve_rollout.api.faults import error_response, status_of
from torchserve_rollout.errors import RolloutError

ValidTokens = Callable[[], set[str]]
OPEN_PATHS = frozenset({"/api/v1/health", "/api/v1/openapi.json"})
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


def host_name(authority: str) -> str:
    """The name in a ``Host`` header or an origin, lower case, without port and brackets; empty when it has none."""
    try:
        return urlsplit(authority if "//" in authority else f"//{authority}").hostname or ""
    except ValueError:
        return ""


class Guard:
    """ASGI middleware in front of the whole API.

    ``valid_tokens`` is None where TorchServe itself asks for no token. ``path_tokens`` gives further tokens that open
    one path only. A browser that was lured to a foreign name
    resolving to 127.0.0.1 (DNS rebinding) still sends that name as ``Host``, and is refused.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_hosts: Iterable[str],
        valid_tokens: ValidTokens | None,
        path_tokens: Mapping[str, ValidTokens] = MappingProxyType({}),
    ) -> None:
        self.app = app
        self.path_tokens = path_tokens
        self.allowed_hosts = LOOPBACK_NAMES | {name.lower() for name in allowed_hosts}
        self.valid_tokens = valid_tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            # In a thread: reading the tokens can mean renewing them at TorchServe.
            refusal: ASGIApp | None = await run_in_threadpool(self._refusal, Headers(scope=scope), scope["path"])
        except RolloutError as error:  # the tokens cannot be read
            refusal = error_response(status_of(error), type(error).__name__, error.message, error.hint)
        await (refusal or self.app)(scope, receive, send)

    def _refusal(self, headers: Headers, path: str) -> ASGIApp | None:
        if host_name(headers.get("host", "")) not in self.allowed_hosts:
            return error_response(
                HTTPStatus.MISDIRECTED_REQUEST,
                "UnknownHost",
                f"this controller does not answer to the name {headers.get('host', '')!r}",
                "call it by the host of rollout_controller_address in config.properties",
            )
        origin = headers.get("origin")
        if origin is not None and host_name(origin) not in self.allowed_hosts:
            return error_response(
                HTTPStatus.FORBIDDEN, "ForeignOrigin", f"a page of {origin!r} may not call this controller"
            )
        if path not in OPEN_PATHS and self.valid_tokens is not None and not self._is_known(headers, path):
            return error_response(
                HTTPStatus.UNAUTHORIZED,
                "NotAuthorized",
                "the bearer token is missing or is not TorchServe's current management token",
                "send 'Authorization: Bearer <management key of key_file.json>'; the key changes when it expires",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return None

    def _is_known(self, headers: Headers, path: str) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or self.valid_tokens is None:
            return False
        presented = given.strip().encode()
        # Every token is compared, and each in constant time.
        known = self.path_tokens[path]() if path in self.path_tokens else set()
        if any([hmac.compare_digest(presented, token.encode()) for token in known]):
            return True  # without asking TorchServe for its own
        matches = [hmac.compare_digest(presented, token.encode()) for token in self.valid_tokens()]
        return any(matches)
