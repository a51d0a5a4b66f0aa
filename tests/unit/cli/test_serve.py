"""``serve`` as a real process: it answers, logs one line an event, stops when asked, and never outlives its parent."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.torchserve_process import wait_until
from tests.unit.cli.home import Home

LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING) [\w.]+: .+$")


@pytest.fixture
def away(tmp_path: Path) -> Home:
    """A home where nothing serves yet; TorchServe itself is away throughout."""
    return Home(tmp_path)


@contextmanager
def serving(home: Home, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    line, environment = home.command("serve", "--ts-config", "config/config.properties", *arguments)
    with (home.directory / "log").open("wb") as log:
        process = subprocess.Popen(line, cwd=home.directory, env=environment, stdout=log, stderr=log)
        try:
            wait_until(lambda: is_answering(home), 60, "the controller to answer")
            yield process
        finally:
            process.kill()
            process.wait()


def is_answering(home: Home) -> bool:
    try:
        return requests.get(f"{home.controller_url}/api/v1/health", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def log_of(home: Home) -> list[str]:
    return (home.directory / "log").read_text().splitlines()


def test_it_answers_over_its_own_journal_and_stops_on_sigterm(away: Home) -> None:
    with serving(away) as process:
        assert away.cli("history", "--json").json() == []
        (node,) = away.cli("status", "--json").json()["nodes"]
        assert not node["is_reachable"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not is_answering(away)
    assert (away.directory / "rollout-state" / "journal.db").is_file()
    assert [line for line in log_of(away) if not LOG_LINE.match(line)] == []
    assert log_of(away)[-1].endswith("controller stopped")


def test_a_taken_port_is_one_clear_sentence(away: Home) -> None:
    away.serve()
    try:
        done = away.cli("serve")
    finally:
        away.stop()
    assert done.code == 1
    assert "is taken by another process" in done.err
    assert "rollout_controller_address" in done.err
    assert not (away.directory / "rollout-state").exists(), "nothing of ours started"


def test_it_stops_when_its_parent_is_gone(away: Home) -> None:
    # The parent starts the controller as TorchServe does, tells its pid, and waits to be killed.
    line, environment = away.command("serve", "--ts-config", "config/config.properties", "--parent-pid")
    script = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([*sys.argv[1:], str(os.getpid())], stderr=open('log', 'wb'))\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, *line], cwd=away.directory, env=environment, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child_pid = int(parent.stdout.readline())
    try:
        wait_until(lambda: is_answering(away), 60, "the controller to answer")
        parent.kill()
        parent.wait()
        wait_until(lambda: "controller stopped" in "\n".join(log_of(away)), 30, "the controller to stop")
    finally:
        parent.stdout.close()
        parent.kill()
        if not any("controller stopped" in text for text in log_of(away)):
            os.kill(child_pid, signal.SIGKILL)
    assert any("TorchServe is gone" in text for text in log_of(away))


def test_the_log_can_be_json(away: Home) -> None:
    with serving(away, "--json") as process:
        process.terminate()
        assert process.wait(30) == 0
    events = [json.loads(text) for text in log_of(away)]
    assert events[-1]["what"] == "controller stopped"
    assert set(events[0]) == {"at", "level", "where", "what"}


def test_a_journal_that_cannot_be_opened_is_a_usage_error(away: Home) -> None:
    away.write_config(rollout_database="nonsense")
    done = away.cli("serve")
    assert done.code == 2
    assert "nonsense" in done.err
