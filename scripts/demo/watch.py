"""What happened, seen from outside: the controller's journal as a timeline, and the gateway's weight as it moves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests
from rich.console import Console
from rich.text import Text

# Left out: "done", which repeats action by action what "decided" has announced.
TOLD_KINDS = frozenset({"accepted", "decided", "verdict", "command", "failed", "drift"})
VERDICT_STYLES = {"PASS": "green", "FAIL": "bold red", "INCONCLUSIVE": "yellow", "ERROR": "red"}
PHASE_STYLES = {"SUCCEEDED": "bold green", "ABORTED": "bold red", "ROLLED_BACK": "bold red", "HELD": "bold yellow"}


@dataclass(slots=True)
class TrafficMoves:
    """When the candidate's effective weight became 0 and which version was the default, by polling the server."""

    management_url: str
    token: Callable[[], str]
    model: str
    weights: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    defaults: list[tuple[float, str]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> TrafficMoves:
        self._thread = threading.Thread(target=self._poll, name="traffic-moves", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def zero_since(self, version: str, after: float) -> float | None:
        """When ``version`` first had no traffic after ``after`` (time.time()); None if it never lost it."""
        return next((at for at, seen in self.weights if at >= after and seen.get(version, 0.0) == 0), None)

    def default_since(self, version: str, after: float) -> float | None:
        """When ``version`` was first seen as the default after ``after``."""
        return next((at for at, seen in self.defaults if at >= after and seen == version), None)

    def _poll(self) -> None:
        session = requests.Session()
        while not self._stop.wait(0.05):
            headers = {"Authorization": f"Bearer {self.token()}"}
            try:
                policy = session.get(f"{self.management_url}/traffic/{self.model}", headers=headers, timeout=5)
                described = session.get(f"{self.management_url}/models/{self.model}", headers=headers, timeout=5)
            except requests.RequestException:
                continue
            now = time.time()
            weights = policy.json()["effective_weights"] if policy.status_code == 200 else {}
            if not self.weights or self.weights[-1][1] != weights:
                self.weights.append((now, weights))
            if described.status_code == 200:
                default = described.json()[0]["modelVersion"]
                if not self.defaults or self.defaults[-1][1] != default:
                    self.defaults.append((now, default))


@dataclass(slots=True)
class Followed:
    """A rollout that ended: its last view and its events."""

    rollout: dict[str, Any]
    events: list[dict[str, Any]]

    @property
    def decided_at(self) -> float | None:
        """When the way back was decided (time.time()); None if it never was."""
        for event in self.events:
            if event["phase"] in ("ABORTING", "ROLLING_BACK"):
                return datetime.fromisoformat(event["at"]).timestamp()
        return None


def follow(
    controller_url: str, token: Callable[[], str], ref: str, console: Console, began: float, deadline_s: float
) -> Followed:
    """Print one row per event until the rollout ends or the deadline passes."""
    events: list[dict[str, Any]] = []
    end = time.monotonic() + deadline_s
    while True:
        headers = {"Authorization": f"Bearer {token()}"}
        after = events[-1]["seq"] if events else 0
        rollout = requests.get(f"{controller_url}/api/v1/rollouts/{ref}", headers=headers, timeout=30).json()
        fresh = requests.get(
            f"{controller_url}/api/v1/rollouts/{ref}/events", params={"after": after}, headers=headers, timeout=30
        ).json()
        for event in fresh:
            is_told = is_worth_telling(event, events)
            events.append(event)
            if is_told:
                console.print(row(event, rollout["candidate"], began), soft_wrap=not console.is_terminal)
        if rollout["is_terminal"] or rollout["phase"] == "HELD" or time.monotonic() > end:
            return Followed(rollout, events)
        time.sleep(0.25)


def is_worth_telling(event: dict[str, Any], before: list[dict[str, Any]]) -> bool:
    """Whether ``event`` says something new: not an action already announced, nor a further step of the way back."""
    way_back = ("ABORTING", "ROLLING_BACK")
    if event["kind"] not in TOLD_KINDS:
        return False
    return event["phase"] not in way_back or all(each["phase"] not in way_back for each in before)


def row(event: dict[str, Any], version: str, began: float) -> Text:
    """``+12.3 s  2.0   25 %  PASS          sentence``"""
    since_s = datetime.fromisoformat(event["at"]).timestamp() - began
    verdict = event.get("verdict") or ""
    return Text.assemble(
        (f"{since_s:+8.1f} s  ", "dim"),
        (f"{version:<5}", "cyan"),
        f"{event['weight_pct']:>4g} %  ",
        (f"{verdict:<13}", VERDICT_STYLES.get(verdict, "")),
        (event["sentence"], PHASE_STYLES.get(event["phase"], "")),
    )
