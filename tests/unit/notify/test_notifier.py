"""Notifications over real HTTP; whatever goes wrong, the caller never waits and never fails."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from torchserve_rollout.notify.notifier import Message, Notifier


class Inbox(ThreadingHTTPServer):
    """Takes JSON posts; answers ``status`` after ``delay_s``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.received: list[dict[str, Any]] = []
        self.status = 200
        self.delay_s = 0.0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path: str = "") -> str:
        return f"json://127.0.0.1:{self.server_port}/{path}"


class _Take(BaseHTTPRequestHandler):
    server: Inbox

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        time.sleep(self.server.delay_s)
        self.server.received.append({**body, "path": self.path})
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    server = Inbox()
    yield server
    server.shutdown()
    server.server_close()


class Reports(list[tuple[bool, str]]):
    def __call__(self, is_sent: bool, sentence: str) -> None:
        self.append((is_sent, sentence))


def test_a_message_arrives_and_is_reported(inbox: Inbox) -> None:
    notifier, reports = Notifier([inbox.url()]), Reports()
    notifier.tell(Message("m 1.0→2.0: ABORTED", "errors: too many", (), reports))
    notifier.close()
    assert [(each["title"], each["message"]) for each in inbox.received] == [("m 1.0→2.0: ABORTED", "errors: too many")]
    assert reports == [(True, "told everybody")]


def test_those_who_are_meant_are_told_and_those_who_hear_everything(inbox: Inbox) -> None:
    urls = [f"ops={inbox.url('ops')}", f"dev={inbox.url('dev')}", inbox.url("all")]
    notifier, reports = Notifier(urls), Reports()
    notifier.tell(Message("t", "b", ("ops",), reports))
    notifier.close()
    assert sorted(each["path"] for each in inbox.received) == ["/all", "/ops"]
    assert reports == [(True, "told ops")]


def test_a_refusing_or_missing_receiver_is_reported_and_raises_nothing(inbox: Inbox) -> None:
    inbox.status = 500
    notifier, reports = Notifier([inbox.url(), "json://127.0.0.1:1/"]), Reports()
    notifier.tell(Message("t", "b", (), reports))
    notifier.close()
    assert reports == [(False, "could not tell everybody")]


def test_a_slow_receiver_never_holds_up_the_caller(inbox: Inbox) -> None:
    inbox.delay_s = 0.5
    notifier = Notifier([inbox.url()])
    begun = time.monotonic()
    for number in range(1000):
        notifier.tell(Message("t", str(number), (), Reports()))
    assert time.monotonic() - begun < 0.4
    notifier.close(timeout_s=0.1)


def test_without_receivers_nothing_happens() -> None:
    notifier, reports = Notifier([]), Reports()
    notifier.tell(Message("t", "b", (), reports))
    notifier.close()
    assert reports == []


def test_an_address_nobody_knows_is_logged_without_its_secrets(caplog: pytest.LogCaptureFixture) -> None:
    Notifier(["nosuch://user:secret@host"]).close()
    assert "nosuch://" in caplog.text
    assert "secret" not in "".join(
        record.getMessage() for record in caplog.records if record.name.startswith("torchserve")
    )
