"""The keys of TorchServe's token authorization: read from ``key_file.json``, renewed before they expire.

TorchServe makes new keys at each start and whenever somebody renews one; the answer of the token API is empty, the new
key stands only in the file. An old key is dead at once, and there is one inference key for everybody: renewing it early
would lock out the users who hold it. So the management key is renewed at half its life, the inference key only when it
is dead anyway.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import requests
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from torchserve_rollout.clock import Clock, SystemClock
from torchserve_rollout.errors import ServerError, ServerUnreachable
from torchserve_rollout.model import Word

# Java prints up to nine digits and a Z; Python 3.10 reads neither.
_INSTANT = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?Z$")
_EXPIRED_MARGIN = timedelta(seconds=5)
_TIMEOUT_S = 5.0


class KeyKind(Word):
    """Which listener a key opens."""

    MANAGEMENT = "management"
    INFERENCE = "inference"


@dataclass(frozen=True, slots=True)
class _Key:
    text: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _KeyFile:
    api_key: str
    keys: dict[KeyKind, _Key]
    written_at: datetime

    @property
    def lifetime(self) -> timedelta:
        """How long a new key lives: the file is written when a key is made."""
        return max(key.expires_at for key in self.keys.values()) - self.written_at


def _instant(text: str) -> datetime:
    match = _INSTANT.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time")
    whole = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return whole + timedelta(seconds=float(match[2] or 0))


def _read(path: Path) -> _KeyFile:
    written_at = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    keys = {kind: _Key(content[kind]["key"], _instant(content[kind]["expiration time"])) for kind in KeyKind}
    return _KeyFile(content["API"]["key"], keys, written_at)


class Tokens:
    """Thread-safe bearer keys of one TorchServe.

    Args:
        key_file: ``key_file.json`` in the directory TorchServe was started in.
        management_url: where the token API is.
    """

    def __init__(self, key_file: Path, management_url: str, clock: Clock | None = None) -> None:
        self._path = key_file
        self._management_url = management_url
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()

    def bearer(self, kind: KeyKind) -> str:
        """The value of the Authorization header for ``kind``; renews the key first when it is due.

        Raises:
            ServerUnreachable: there is no readable key file, or the key is expired and cannot be renewed.
        """
        with self._lock:
            file = self._load()
            if self._is_due(file, kind):
                file = self._renewed(file, kind)
            return f"Bearer {file.keys[kind].text}"

    def after_refusal(self, kind: KeyKind, refused: str) -> str:
        """A bearer to try once more after ``refused`` was not accepted: what the file says now, or a renewed key."""
        with self._lock:
            file = self._load()
            if f"Bearer {file.keys[kind].text}" == refused:
                file = self._renewed(file, kind)
            return f"Bearer {file.keys[kind].text}"

    def incarnation(self) -> str:
        """Changes when TorchServe is started anew; says nothing about the keys themselves."""
        with self._lock:
            return hashlib.sha256(self._load().api_key.encode()).hexdigest()[:16]

    def _is_due(self, file: _KeyFile, kind: KeyKind) -> bool:
        left = file.keys[kind].expires_at - self._clock.now()
        return left < (file.lifetime / 2 if kind is KeyKind.MANAGEMENT else _EXPIRED_MARGIN)

    def _renewed(self, file: _KeyFile, kind: KeyKind) -> _KeyFile:
        try:
            answer = requests.get(
                f"{self._management_url}/token",
                params={"type": kind.value},
                headers={"Authorization": f"Bearer {file.api_key}"},
                timeout=_TIMEOUT_S,
            )
        except requests.RequestException as error:
            if file.keys[kind].expires_at > self._clock.now():
                return file  # still good; the next call tries again
            raise ServerUnreachable(f"{self._management_url}: cannot renew the {kind} key: {error}") from error
        if answer.status_code != 200:
            fresh = self._load()
            if fresh.api_key != file.api_key:
                return fresh  # TorchServe was restarted between reading and asking
            raise ServerError(
                f"TorchServe refuses the API key of {self._path} ({answer.status_code})",
                status=answer.status_code,
                hint="the file is of another TorchServe; start this command in the directory TorchServe was started in",
            )
        return self._load()

    def _load(self) -> _KeyFile:
        # TorchServe truncates the file and writes it anew: a reader may see half of it.
        attempts = Retrying(
            retry=retry_if_exception_type((ValueError, KeyError)),
            stop=stop_after_attempt(10),
            wait=wait_fixed(0.05),
            reraise=True,
        )
        try:
            return attempts(_read, self._path)
        except OSError as error:
            raise ServerUnreachable(
                f"{self._path}: {error.strerror or error}: TorchServe's tokens cannot be read",
                hint="is TorchServe running, and was it started in this directory by this user?",
            ) from error
        except (ValueError, KeyError) as error:
            raise ServerUnreachable(f"{self._path}: not a key file of TorchServe: {error}") from error
