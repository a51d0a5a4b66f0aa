"""Bounded traffic at the gateway: so many requests by so many users, every answer kept."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import requests


@dataclass(frozen=True, slots=True)
class Answer:
    """One request as its user saw it; status 0: no answer came (the text says why)."""

    status: int
    version: str
    is_failover: bool
    latency_s: float
    text: str


@dataclass(slots=True)
class TrafficLog:
    """Every answer of one run."""

    answers: list[Answer] = field(default_factory=list)

    @property
    def failed(self) -> list[Answer]:
        """The answers no user should have had."""
        return [answer for answer in self.answers if answer.status != 200]

    @property
    def failovers(self) -> int:
        return sum(answer.is_failover for answer in self.answers)

    def versions(self) -> Counter[str]:
        """How many answers each version gave."""
        return Counter(answer.version for answer in self.answers)


class Traffic:
    """Users asking until ``stop`` or until ``count`` requests were sent, whichever comes first."""

    def __init__(
        self,
        url: str,
        headers: Callable[[], Mapping[str, str]],
        *,
        count: int,
        users: int = 8,
        body: bytes = b"x",
        timeout_s: float = 60.0,
    ) -> None:
        self.log = TrafficLog()
        self._url = url
        self._headers = headers
        self._body = body
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

    def _take(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left >= 0

    def _ask_on(self) -> None:
        with requests.Session() as session:
            while not self._stop.is_set() and self._take():
                answer = self._ask(session)
                with self._lock:
                    self.log.answers.append(answer)

    def _ask(self, session: requests.Session) -> Answer:
        began = time.monotonic()
        try:
            response = session.post(self._url, data=self._body, headers=self._headers(), timeout=self._timeout_s)
        except requests.RequestException as error:
            return Answer(0, "", False, time.monotonic() - began, repr(error))
        return Answer(
            status=response.status_code,
            version=response.headers.get("x-model-version", ""),
            is_failover=response.headers.get("x-rollout-failover") == "1",
            latency_s=time.monotonic() - began,
            text=response.text,
        )
