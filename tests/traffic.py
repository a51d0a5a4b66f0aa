"""Bounded traffic at the gateway: so many requests by so many users, every answer kept."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, IncompleteRead
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    """One request as its user saw it; status 0: no answer came (the text says why)."""

    status: int
    version: str
    is_failover: bool
    latency_s: float
    text: str
    is_broken: bool = False
    """The answer began and did not end; ``text`` is what came of it."""
    request: bytes = b""


@dataclass(slots=True)
class TrafficLog:
    """Every answer of one run."""

    answers: list[Answer] = field(default_factory=list)

    @property
    def failed(self) -> list[Answer]:
        """The answers no user should have had."""
        return [answer for answer in self.answers if answer.status != 200 or answer.is_broken]

    @property
    def failovers(self) -> int:
        return sum(answer.is_failover for answer in self.answers)

    def versions(self) -> Counter[str]:
        """How many answers each version gave."""
        return Counter(answer.version for answer in self.answers)


class Traffic:
    """Users asking until ``stop`` or until ``count`` requests were sent, whichever comes first.

    Each user has one connection and asks again ``pause_s`` after each answer. ``bodies`` are sent in turn.
    """

    def __init__(
        self,
        url: str,
        headers: Callable[[], Mapping[str, str]],
        *,
        count: int,
        users: int = 8,
        bodies: Sequence[bytes] = (b"x",),
        pause_s: float = 0.0,
        timeout_s: float = 60.0,
    ) -> None:
        self.log = TrafficLog()
        self._url = urlsplit(url)
        self._headers = headers
        self._bodies = itertools.cycle(bodies)
        self._pause_s = pause_s
        self._timeout_s = timeout_s
        self._left = count
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on, daemon=True) for _ in range(users)]

    def start(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> TrafficLog:
        """End early and wait for the requests under way."""
        self._stop.set()
        return self.finish()

    def finish(self) -> TrafficLog:
        """Wait until every request is answered."""
        for thread in self._threads:
            thread.join(timeout=300)
        assert not any(thread.is_alive() for thread in self._threads), "a user is still waiting for an answer"
        return self.log

    def __enter__(self) -> Traffic:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _take(self) -> bytes | None:
        with self._lock:
            self._left -= 1
            return next(self._bodies) if self._left >= 0 else None

    def _ask_on(self) -> None:
        assert self._url.hostname is not None
        connection = HTTPConnection(self._url.hostname, self._url.port, timeout=self._timeout_s)
        try:
            while not self._stop.is_set() and (body := self._take()) is not None:
                answer = self._ask(connection, body)
                with self._lock:
                    self.log.answers.append(answer)
                self._stop.wait(self._pause_s)
        finally:
            connection.close()

    def _ask(self, connection: HTTPConnection, body: bytes) -> Answer:
        """One request; the connection opens (again) by itself."""
        began = time.monotonic()
        try:
            connection.request("POST", self._url.path, body, dict(self._headers()))
            response = connection.getresponse()
            status, version = response.status, response.getheader("x-model-version", "")
            is_failover = response.getheader("x-rollout-failover") == "1"
            try:
                content, is_broken = response.read(), False
            except IncompleteRead as broken:
                content, is_broken = broken.partial, True
                connection.close()
        except (OSError, HTTPException) as error:
            connection.close()
            return Answer(0, "", False, time.monotonic() - began, repr(error), request=body)
        latency_s = time.monotonic() - began
        return Answer(status, version, is_failover, latency_s, content.decode(errors="replace"), is_broken, body)
