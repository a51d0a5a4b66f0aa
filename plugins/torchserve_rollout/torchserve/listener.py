"""One HTTP listener of TorchServe: connections, keys, deadlines, and foreign errors turned into ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import requests
from requests.adapters import HTTPAdapter
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from torchserve_rollout.errors import NotFoundError, ServerError, ServerUnreachable, StaleEpoch
from torchserve_rollout.torchserve.tokens import KeyKind, Tokens

CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 5.0
_POOL_SIZE = 16

Params = Mapping[str, str | int | float]


class Listener:
    """Calls to one address under one kind of key. ``tokens`` is None where authorization is off."""

    def __init__(self, url: str, kind: KeyKind, tokens: Tokens | None) -> None:
        self.url = url
        self._kind = kind
        self._tokens = tokens
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the environment has no business between us and our own server
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=_POOL_SIZE)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def get(self, path: str, params: Params | None = None, *, timeout_s: float = READ_TIMEOUT_S) -> requests.Response:
        """GET, tried three times when the connection fails.

        Raises:
            ServerUnreachable: no answer.
        """
        attempts = Retrying(
            retry=retry_if_exception_type(_ConnectionLost),
            stop=stop_after_attempt(3),
            wait=wait_exponential(multiplier=0.05, max=0.5),
            reraise=True,
        )
        return attempts(self.send, "GET", path, params, timeout_s=timeout_s)

    def send(
        self,
        method: str,
        path: str,
        params: Params | None = None,
        *,
        timeout_s: float = READ_TIMEOUT_S,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Any call, sent once; once more when the key was refused, since a refused call has changed nothing.

        Raises:
            ServerUnreachable: no answer. ``AnswerTimeout`` when the connection stood but no answer came in time.
        """
        bearer = self._tokens.bearer(self._kind) if self._tokens else ""
        answer = self._send_once(method, path, params, timeout_s, json, headers, bearer)
        if self._tokens and _is_key_refusal(answer):
            bearer = self._tokens.after_refusal(self._kind, bearer)
            answer = self._send_once(method, path, params, timeout_s, json, headers, bearer)
        return answer

    def _send_once(
        self,
        method: str,
        path: str,
        params: Params | None,
        timeout_s: float,
        json: Any,
        headers: Mapping[str, str] | None,
        bearer: str,
    ) -> requests.Response:
        authorization = {"Authorization": bearer} if bearer else {}
        try:
            return self._session.request(
                method,
                self.url + path,
                params=params,
                json=json,
                headers={**authorization, **(headers or {})},
                timeout=(CONNECT_TIMEOUT_S, timeout_s),
            )
        except requests.ReadTimeout as error:
            raise AnswerTimeout(f"{self.url}{path}: no answer within {timeout_s:g} s") from error
        except requests.RequestException as error:
            raise _ConnectionLost(f"{self.url}: {_cause(error)}", hint="is TorchServe running there?") from error


class AnswerTimeout(ServerUnreachable):
    """The connection stood, but the answer did not come in time."""


class _ConnectionLost(ServerUnreachable):
    """Refused, reset or closed: for an idempotent call worth another try."""


def raise_for(answer: requests.Response, what: str) -> None:
    """Nothing for a 2xx answer.

    Raises:
        NotFoundError: 404. StaleEpoch: 409 of the traffic API. ServerError: everything else.
    """
    if not answer.ok:
        _raise(answer, what)


def _raise(answer: requests.Response, what: str) -> NoReturn:
    kind, message = _error_of(answer)
    text = f"{what}: {message}"
    if answer.status_code == 404:
        raise NotFoundError(text)
    if answer.status_code == 409 and "Epoch" in kind:
        raise StaleEpoch(text, hint="another controller is at work on this TorchServe")
    if _is_key_refusal(answer):
        raise ServerError(text, status=answer.status_code, hint="the key in key_file.json is not this TorchServe's")
    raise ServerError(f"{text} (HTTP {answer.status_code})", status=answer.status_code)


def _error_of(answer: requests.Response) -> tuple[str, str]:
    try:
        content = answer.json()
        return str(content["type"]), str(content["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return "", answer.text.strip()[:300] or answer.reason


def _is_key_refusal(answer: requests.Response) -> bool:
    return answer.status_code == 400 and _error_of(answer)[0] == "InvalidKeyException"


def _cause(error: BaseException) -> str:
    """The innermost reason: urllib3 wraps "Connection refused" four deep."""
    while (inner := getattr(error, "reason", None) or error.__cause__ or error.__context__) is not None:
        if not isinstance(inner, BaseException):
            break
        error = inner
    return str(error)
