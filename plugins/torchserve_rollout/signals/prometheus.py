"""One number from a Prometheus server, or a clear reason why there is none."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from torchserve_rollout.errors import RolloutError, ServerError, ServerUnreachable, UsageError

TIMEOUT_S = 5.0
_LONGEST_ANSWER_BYTES = 1_000_000


class NoNumber(RolloutError):
    """A source answered, but not with one finite number."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a metrics server is reached.

    ``credentials`` is a file that holds ``user:password`` (basic) or a token (bearer), read anew for each question so
    that it can be renewed; ``ca`` is a file with the certificates to trust instead of the system's.
    """

    credentials: Path | None = None
    ca: Path | None = None
    timeout_s: float = TIMEOUT_S

    def auth(self) -> AuthBase | None:
        """What to send along.

        Raises:
            UsageError: the file cannot be read.
        """
        if self.credentials is None:
            return None
        try:
            secret = self.credentials.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{self.credentials}: the credentials cannot be read: {error}") from error
        user, colon, password = secret.partition(":")
        return HTTPBasicAuth(user, password) if colon else _Bearer(secret)


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", errors="replace")

    def json(self) -> Any:
        """The document. Raises ValueError: it is none."""
        return json.loads(self.content)


def ask(url: str, access: Access, params: Mapping[str, str] | None = None) -> Answer:
    """One GET, with a limit on the time for each part of the answer and on its size; redirects are not followed.

    Raises:
        ServerUnreachable: no answer in time. UsageError: no credentials.
    """
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(
                url,
                params=dict(params or {}),
                auth=access.auth() or _no_auth,
                timeout=access.timeout_s,
                verify=str(access.ca) if access.ca else True,
                allow_redirects=False,
                stream=True,
            )
            content = answer.raw.read(_LONGEST_ANSWER_BYTES + 1, decode_content=True)
    except (requests.RequestException, ValueError, OSError) as error:
        raise ServerUnreachable(f"{_bare(url)} does not answer ({type(error).__name__})") from error
    if len(content) > _LONGEST_ANSWER_BYTES:
        raise NoNumber(f"{_bare(url)} answered more than a megabyte")
    return Answer(answer.status_code, content)


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Nothing, not even what a netrc file says."""
    return request


def _bare(url: str) -> str:
    return url.partition("?")[0]


class Prometheus:
    """Instant queries of one server. ``url`` is its address, with a path where it has one."""

    def __init__(self, url: str, access: Access | None = None) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._access = access or Access()

    def value(self, query: str) -> float:
        """What ``query`` is now.

        Raises:
            NoNumber: no series, several of them, NaN, infinite. ServerError: it refused the query.
            ServerUnreachable: no answer in time.
        """
        timeout = f"{self._access.timeout_s:g}s"
        answer = ask(self._url, self._access, {"query": query, "timeout": timeout})
        try:
            content = answer.json()
        except ValueError:
            content = {}
        if answer.status != 200 or not isinstance(content, dict) or content.get("status") != "success":
            said = str(content.get("error", "")) if isinstance(content, dict) else ""
            raise ServerError(
                f"{self._url} answered {answer.status}{': ' if said else ''}{said[:300]}",
                status=answer.status,
            )
        return finite(_single(content.get("data") or {}), query)


def _single(data: Mapping[str, Any]) -> object:
    kind, result = data.get("resultType"), data.get("result")
    if kind == "scalar" and isinstance(result, list):
        return result[1]
    if kind != "vector" or not isinstance(result, list):
        raise NoNumber(f"the query gives a {kind}, not one number")
    if not result:
        raise NoNumber("the query gives no series: nothing was scraped, or it went stale")
    if len(result) > 1:
        raise NoNumber(f"the query gives {len(result)} series, not one: wrap it in sum(…) or name more labels")
    return result[0]["value"][1]


def finite(value: object, what: str) -> float:
    """``value`` as a number that can be compared.

    Raises:
        NoNumber: it is none, or NaN or infinite.
    """
    try:
        number = float(str(value))
    except ValueError:
        raise NoNumber(f"{what} gives {str(value)[:80]!r}, which is not a number") from None
    if not math.isfinite(number):
        raise NoNumber(f"{what} gives {number}, which nothing can be compared with")
    return number
