"""Reading TorchServe's key file: Java's times, half-written files, and when a key is due."""

from __future__ import annotations

import json
import os
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from torchserve_rollout.errors import ServerUnreachable
from torchserve_rollout.torchserve.tokens import KeyKind, Tokens

WRITTEN = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)
NOBODY = "http://127.0.0.1:1"


class HandClock:
    """Time as the test says."""

    def __init__(self, now: datetime) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time

    def monotonic_s(self) -> float:
        return self.time.timestamp()


def write_keys(path: Path, *, expires: str = "2026-11-23T13:00:00.123456789Z", api: str = "api-key") -> Path:
    """A key file written at `WRITTEN`, its keys good for an hour."""
    key = {"expiration time": expires}
    content = {"management": {"key": "m", **key}, "inference": {"key": "i", **key}, "API": {"key": api}}
    path.write_text(json.dumps(content))
    os.utime(path, (WRITTEN.timestamp(), WRITTEN.timestamp()))
    return path


def tokens_at(path: Path, minutes: float) -> Tokens:
    return Tokens(path, NOBODY, HandClock(WRITTEN + timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    "expires", ["2026-11-23T13:00:00.123456789Z", "2026-11-23T13:00:00.5Z", "2026-11-23T13:00:00Z"]
)
def test_the_times_java_writes_are_understood(tmp_path: Path, expires: str) -> None:
    tokens = tokens_at(write_keys(tmp_path / "key_file.json", expires=expires), minutes=10)
    assert tokens.bearer(KeyKind.MANAGEMENT) == "Bearer m"
    assert tokens.bearer(KeyKind.INFERENCE) == "Bearer i"


def test_a_key_that_is_due_but_cannot_be_renewed_is_used_while_it_lives(tmp_path: Path) -> None:
    assert tokens_at(write_keys(tmp_path / "key_file.json"), minutes=45).bearer(KeyKind.MANAGEMENT) == "Bearer m"


@pytest.mark.parametrize("kind", KeyKind)
def test_a_dead_key_that_cannot_be_renewed_is_an_error(tmp_path: Path, kind: KeyKind) -> None:
    with pytest.raises(ServerUnreachable, match="cannot renew"):
        tokens_at(write_keys(tmp_path / "key_file.json"), minutes=61).bearer(kind)


def test_a_file_that_is_being_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "key_file.json"
    path.write_text('{"management": {"key"')
    writer = threading.Timer(0.1, write_keys, [path])
    writer.start()
    assert tokens_at(path, minutes=1).bearer(KeyKind.MANAGEMENT) == "Bearer m"
    writer.join()


def test_what_is_no_key_file_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "key_file.json").write_text('{"hello": "world"}')
    with pytest.raises(ServerUnreachable, match="not a key file"):
        tokens_at(tmp_path / "key_file.json", minutes=1).bearer(KeyKind.MANAGEMENT)


def test_another_start_of_torchserve_is_another_incarnation(tmp_path: Path) -> None:
    path = tmp_path / "key_file.json"
    tokens = tokens_at(write_keys(path), minutes=1)
    first = tokens.incarnation()
    assert tokens.incarnation() == first
    write_keys(path, api="another")
    assert tokens.incarnation() != first
    assert "api-key" not in first
