"""Users of the demonstration: threads that ask the gateway real questions without a pause and keep every answer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import requests

QUESTIONS: tuple[tuple[str, str], ...] = (
    ("What is the capital of France?", "paris"),
    ("What is 2+2?", "is 4|= 4"),
    ("How many days are in a week?", "seven|7"),
    ("Who wrote Romeo and Juliet?", "shakespeare"),
    ("What is the largest mammal?", "whale"),
    ("What is the currency of the United States?", "dollar"),
    ("Who painted the Mona Lisa?", "leonardo"),
    ("What is the tallest mountain in the world?", "everest"),
)
"""A question and what a right answer contains (alternatives with ``|``)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One request as its user saw it. ``version`` is empty when no answer came."""

    at: float
    status: int
    version: str
    is_failover: bool
    is_right: bool
    latency_s: float
    text: str

    @property
    def is_failed(self) -> bool:
        return self.status != 200


class Traffic:
    """``users`` threads, each asking the next question as soon as it has its answer.

    ``token`` is asked before every request: TorchServe's tokens change while it runs.
    """

    def __init__(self, url: str, token: Callable[[], str], *, users: int = 2, max_new_tokens: int = 16) -> None:
        self._url = url
        self._token = token
        self._max_new_tokens = max_new_tokens
        self._answers: list[Answer] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask_on, args=(n,), name=f"user-{n}", daemon=True) for n in range(users)
        ]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=90)

    def answers(self, since: float = 0.0) -> list[Answer]:
        """Every answer that arrived after ``since`` (time.time())."""
        with self._lock:
            return [answer for answer in self._answers if answer.at >= since]

    def wait_for(self, count: int, deadline_s: float) -> bool:
        """Whether ``count`` answers arrived before the deadline."""
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            if len(self.answers()) >= count:
                return True
            self._stop.wait(0.05)
        return False

    def _ask_on(self, start: int) -> None:
        session = requests.Session()
        number = start
        while not self._stop.is_set():
            question, right = QUESTIONS[number % len(QUESTIONS)]
            number += 1
            answer = self._ask(session, question, right)
            with self._lock:
                self._answers.append(answer)

    def _ask(self, session: requests.Session, question: str, right: str) -> Answer:
        began = time.monotonic()
        try:
            response = session.post(
                self._url,
                json={"prompt": question, "max_new_tokens": self._max_new_tokens, "temperature": 0},
                headers={"Authorization": f"Bearer {self._token()}"},
                timeout=120,
            )
            text = response.json().get("text", "") if response.status_code == 200 else response.text
            status, headers = response.status_code, response.headers
        except (requests.RequestException, ValueError) as error:
            return Answer(time.time(), 0, "", False, False, time.monotonic() - began, str(error))
        return Answer(
            at=time.time(),
            status=status,
            version=headers.get("x-model-version", ""),
            is_failover=headers.get("x-rollout-failover") == "1",
            is_right=any(part in text.lower() for part in right.split("|")),
            latency_s=time.monotonic() - began,
            text=text,
        )


def by_version(answers: list[Answer]) -> dict[str, int]:
    """How many answers each version gave."""
    return dict(sorted(Counter(answer.version for answer in answers if not answer.is_failed).items()))
