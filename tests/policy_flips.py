"""Policies changed under load: what every answer's version must have been allowed by.

Each policy allows one version only. A request may be answered by any version that some policy in force between its
start and its end allowed; a policy may be in force from the moment it is sent until its successor is confirmed.
"""

from __future__ import annotations

import bisect
import itertools
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import requests

from tests.torchserve_process import TorchServeProcess


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and who answered it; times are seconds of the monotonic clock."""

    begin_s: float
    end_s: float
    status: int
    version: str


@dataclass(slots=True)
class Flips:
    """What happened. ``policies`` holds (sent at, version allowed), ``confirmed_s`` when each was confirmed."""

    policies: list[tuple[float, str]] = field(default_factory=list)
    confirmed_s: list[float] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    @property
    def failed(self) -> list[Asked]:
        """Requests that got no good answer."""
        return [each for each in self.asked if each.status != 200]

    def allowed(self, request: Asked) -> set[str]:
        """The versions that may have answered ``request``."""
        # The last policy whose successor came before the request, and the first one that was sent after it.
        first = max(0, bisect.bisect_left(self.confirmed_s, request.begin_s) - 1)
        end = bisect.bisect_right(self.policies, request.end_s, key=lambda policy: policy[0])
        return {version for _, version in self.policies[first:end]}

    @property
    def misrouted(self) -> list[Asked]:
        """Requests whose version no policy in force allowed."""
        return [each for each in self.asked if each.version not in self.allowed(each)]

    @property
    def telling(self) -> int:
        """Requests for which only one version was right: those that could have told a mistake."""
        return sum(len(self.allowed(each)) == 1 for each in self.asked)


def flip(
    server: TorchServeProcess,
    model: str,
    versions: Sequence[str],
    *,
    flips: int,
    hold_s: float,
    first_epoch: int = 1,
    users: int = 4,
) -> Flips:
    """Put ``flips`` policies in force, each for ``hold_s`` seconds, while ``users`` ask without a pause.

    Half of the policies give all traffic to a stable version, half to a candidate; neighbours allow different versions.
    """
    seen = Flips()
    stop = threading.Event()
    lock = threading.Lock()
    stable = versions[0]

    def put(session: requests.Session, epoch: int, version: str) -> None:
        parameters: dict[str, str | int] = {"epoch": epoch, "stable": stable, "lease_s": 600}
        if version != stable:
            parameters["weights"] = f"{version}:100"
        sent_s = time.monotonic()
        answer = session.put(
            server.url(server.ports.management, f"/traffic/{model}"),
            params=parameters,
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        with lock:
            seen.policies.append((sent_s, version))
            seen.confirmed_s.append(time.monotonic())

    def ask() -> None:
        mine: list[Asked] = []
        with requests.Session() as session:
            session.headers.update(server.inference_headers())
            url = server.url(server.ports.gateway, f"/predictions/{model}")
            while not stop.is_set():
                begin_s = time.monotonic()
                answer = session.post(url, data=b"{}", timeout=30)
                version = answer.headers.get("x-model-version", "")
                mine.append(Asked(begin_s, time.monotonic(), answer.status_code, version))
        with lock:
            seen.asked += mine

    with requests.Session() as session, ThreadPoolExecutor(users) as pool:
        session.headers.update(server.management_headers())
        order = itertools.cycle(versions)
        put(session, first_epoch, next(order))
        running = [pool.submit(ask) for _ in range(users)]
        try:
            for epoch in range(first_epoch + 1, first_epoch + flips):
                time.sleep(hold_s)
                put(session, epoch, next(order))
        finally:
            stop.set()
        for each in running:
            each.result()
    return seen
