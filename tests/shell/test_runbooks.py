"""The runbooks: what they ask for, what they refuse, and that a second run or a dry run does no harm."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.shell.server import ManagementServer

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
RUNBOOKS = ["runbook-status.sh", "runbook-freeze.sh", "runbook-rollback.sh"]
ROLLOUT = {"id": "assistant-1", "candidate": "2.0", "phase": "PROGRESSING", "started_by": "ada"}
AWAY = (503, {"code": 503, "type": "ServiceUnavailableException", "message": "The rollout controller does not answer"})
POLICY = {"model": "assistant", "epoch": 7, "stable": "1.0", "weights": {"2.0": 50.0}}
READY = [{"modelVersion": "1.0", "workers": [{"id": "9000", "status": "READY"}]}]


@dataclass
class OnCall:
    """A person in TorchServe's directory, with curl and without ts-rollout."""

    home: Path
    server: ManagementServer
    path: str = "/usr/bin:/bin"
    environment: dict[str, str] = field(default_factory=dict)

    def write_key_file(self, key: str = "the-key", *, indent: int | None = 2) -> None:
        keys = {
            "inference": {"key": "the-inference-key", "expiration time": "2030-01-01T00:00:00Z"},
            "management": {"key": key, "expiration time": "2030-01-01T00:00:00Z"},
            "API": {"key": "the-api-key"},
        }
        (self.home / "key_file.json").write_text(json.dumps(keys, indent=indent))

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["bash", str(SCRIPTS / script), *arguments],
            cwd=self.home,
            env={"PATH": self.path, "TS_ROLLOUT_CONFIG": str(self.home / "config.properties"), **self.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "the-key" not in done.stdout + done.stderr, "the key is never shown"
        return done

    def install_cli(self, code: int = 0) -> Path:
        """A ts-rollout that notes how it was called and exits as told."""
        folder = self.home / "bin"
        folder.mkdir(exist_ok=True)
        calls = self.home / "calls"
        script = folder / "ts-rollout"
        script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>"{calls}"\nexit {code}\n')
        script.chmod(0o755)
        self.path = f"{folder}{os.pathsep}/usr/bin:/bin"
        return calls


@pytest.fixture
def on_call(tmp_path: Path) -> Iterator[OnCall]:
    with ManagementServer() as server:
        server.answers["GET /rollouts/assistant"] = (200, ROLLOUT)
        (tmp_path / "config.properties").write_text(
            f"# management_address=http://127.0.0.1:1\nmanagement_address=http://127.0.0.1:1\n"
            f" management_address = {server.url} \n"
        )
        person = OnCall(tmp_path, server)
        person.write_key_file()
        yield person


@pytest.mark.parametrize("script", RUNBOOKS)
def test_help_prints_the_header_and_asks_nobody(on_call: OnCall, script: str) -> None:
    done = on_call.run(script, "--help")
    assert done.returncode == 0
    assert f"Usage:   scripts/{script}" in done.stdout
    assert on_call.server.requests == []


@pytest.mark.parametrize("script", RUNBOOKS)
@pytest.mark.parametrize("arguments", [["--nonsense"], ["a/b"], ["assistant", "again"], ["../x"], ["x y"]])
def test_bad_arguments_are_usage_errors(on_call: OnCall, script: str, arguments: list[str]) -> None:
    done = on_call.run(script, *arguments)
    assert done.returncode == 2
    assert done.stderr
    assert on_call.server.requests == []


@pytest.mark.parametrize("script", ["runbook-freeze.sh", "runbook-rollback.sh"])
def test_a_model_must_be_named(on_call: OnCall, script: str) -> None:
    assert on_call.run(script).returncode == 2
    assert on_call.run(script, "assistant", "--reason").returncode == 2


def test_freeze_pauses_with_the_reason_safely_encoded(on_call: OnCall) -> None:
    on_call.server.answers["PUT /rollouts/assistant"] = (200, ROLLOUT)
    reason = 'p95 & errors = bad? "yes" 100 % ünsafe'
    assert on_call.run("runbook-freeze.sh", "assistant", "--reason", reason).returncode == 0
    assert on_call.server.changes() == [("PUT /rollouts/assistant", {"action": "pause", "reason": reason})]


@pytest.mark.parametrize("reasons", [["operator"], ["alarm", "operator"]])
def test_freeze_of_what_is_frozen_already_does_nothing(on_call: OnCall, reasons: list[str]) -> None:
    on_call.server.answers["GET /rollouts/assistant"] = (200, {**ROLLOUT, "pause_reasons": reasons, "x": "operator"})
    done = on_call.run("runbook-freeze.sh", "assistant")
    assert done.returncode == 0
    assert "frozen already" in done.stderr
    assert on_call.server.changes() == []


@pytest.mark.parametrize("reasons", [[], ["alarm"]])
def test_freeze_of_what_only_an_alarm_paused_is_given(on_call: OnCall, reasons: list[str]) -> None:
    body = {**ROLLOUT, "pause_reasons": reasons, "started_by": "operator"}
    on_call.server.answers |= {"GET /rollouts/assistant": (200, body), "PUT /rollouts/assistant": (200, body)}
    assert on_call.run("runbook-freeze.sh", "assistant").returncode == 0
    assert len(on_call.server.changes()) == 1


def test_rollback_asks_the_controller(on_call: OnCall) -> None:
    on_call.server.answers["PUT /rollouts/assistant"] = (200, ROLLOUT)
    assert on_call.run("runbook-rollback.sh", "assistant", "--reason", "bad answers").returncode == 0
    assert on_call.server.changes() == [
        ("PUT /rollouts/assistant", {"action": "rollback", "reason": "bad answers"}),
    ]


@pytest.mark.parametrize("phase", ["ABORTING", "ABORTED", "ROLLING_BACK", "ROLLED_BACK"])
def test_rollback_of_what_is_back_already_does_nothing(on_call: OnCall, phase: str) -> None:
    on_call.server.answers["GET /rollouts/assistant"] = (200, {**ROLLOUT, "phase": phase})
    done = on_call.run("runbook-rollback.sh", "assistant")
    assert done.returncode == 0
    assert f"{phase} already" in done.stderr
    assert on_call.server.changes() == []


def test_a_second_rollback_does_not_bring_the_bad_version_again(on_call: OnCall) -> None:
    going_back = {**ROLLOUT, "candidate": "1.0", "phase": "SUCCEEDED", "started_by": "ada (rollback of assistant-1)"}
    on_call.server.answers["GET /rollouts/assistant"] = (200, going_back)
    done = on_call.run("runbook-rollback.sh", "assistant")
    assert done.returncode == 0
    assert on_call.server.changes() == []


def test_with_the_controller_away_the_gateway_is_told_first_and_then_the_default(on_call: OnCall) -> None:
    on_call.server.answers |= {
        "GET /rollouts/assistant": AWAY,
        "GET /traffic/assistant": (200, POLICY),
        "GET /models/assistant/1.0": (200, READY),
        "PUT /traffic/assistant": (200, {}),
        "PUT /models/assistant/1.0/set-default": (200, {}),
        "DELETE /traffic/assistant": (200, {}),
    }
    done = on_call.run("runbook-rollback.sh", "assistant")
    assert done.returncode == 0, done.stderr
    assert on_call.server.changes() == [
        ("PUT /traffic/assistant", {"epoch": "8", "stable": "1.0"}),
        ("PUT /models/assistant/1.0/set-default", {}),
        ("DELETE /traffic/assistant", {"epoch": "8"}),
    ]


def test_a_controller_that_hangs_is_as_good_as_none(on_call: OnCall) -> None:
    on_call.server.hanging.add("/rollouts/assistant")
    on_call.server.answers |= {
        "GET /traffic/assistant": (200, POLICY),
        "GET /models/assistant/1.0": (200, READY),
        "PUT /traffic/assistant": (200, {}),
        "PUT /models/assistant/1.0/set-default": (200, {}),
        "DELETE /traffic/assistant": (200, {}),
    }
    assert on_call.run("runbook-rollback.sh", "assistant").returncode == 0
    assert len(on_call.server.changes()) == 3


def test_with_the_controller_away_and_no_policy_the_version_must_be_named(on_call: OnCall) -> None:
    on_call.server.answers |= {
        "GET /rollouts/assistant": AWAY,
        "GET /models/assistant/0.9": (200, READY),
        "PUT /models/assistant/0.9/set-default": (200, {}),
    }
    unnamed = on_call.run("runbook-rollback.sh", "assistant")
    assert unnamed.returncode == 2
    assert "--to VERSION" in unnamed.stderr
    assert on_call.run("runbook-rollback.sh", "assistant", "--to", "0.9").returncode == 0
    assert on_call.server.changes() == [("PUT /models/assistant/0.9/set-default", {})]


def test_no_version_without_a_ready_worker_becomes_the_default(on_call: OnCall) -> None:
    dead = [{"modelVersion": "1.0", "workers": [{"id": "9000", "status": "UNLOADING"}]}]
    on_call.server.answers |= {
        "GET /rollouts/assistant": AWAY,
        "GET /traffic/assistant": (200, POLICY),
        "GET /models/assistant/1.0": (200, dead),
    }
    done = on_call.run("runbook-rollback.sh", "assistant")
    assert done.returncode == 6
    assert "no READY worker" in done.stderr
    assert on_call.server.changes() == []


def test_a_dry_run_changes_nothing_and_shows_what_it_would_do(on_call: OnCall) -> None:
    rollback = on_call.run("runbook-rollback.sh", "assistant", "--dry-run")
    assert rollback.returncode == 0
    assert f"would send: PUT {on_call.server.url}/rollouts/assistant" in rollback.stderr
    assert "action=rollback" in rollback.stderr
    freeze = on_call.run("runbook-freeze.sh", "assistant", "--dry-run")
    assert freeze.returncode == 0
    assert "action=pause" in freeze.stderr
    assert on_call.run("runbook-status.sh", "--dry-run").returncode == 0

    on_call.server.answers |= {
        "GET /rollouts/assistant": AWAY,
        "GET /traffic/assistant": (200, POLICY),
        "GET /models/assistant/1.0": (200, READY),
    }
    by_hand = on_call.run("runbook-rollback.sh", "assistant", "--dry-run")
    assert by_hand.returncode == 0, by_hand.stderr
    for part in ("epoch=8", "set-default", "would send: DELETE"):
        assert part in by_hand.stderr
    assert on_call.server.changes() == []


def test_status_shows_rollouts_policies_and_versions(on_call: OnCall) -> None:
    on_call.server.answers |= {"GET /rollouts": (200, [ROLLOUT]), "GET /traffic": (200, {"policies": [POLICY]})}
    done = on_call.run("runbook-status.sh")
    assert done.returncode == 0, done.stderr
    assert '"assistant-1"' in done.stdout
    assert '"epoch": 7' in done.stdout
    assert "## versions registered: none" in done.stdout


def test_status_still_shows_traffic_when_the_controller_is_away(on_call: OnCall) -> None:
    on_call.server.answers |= {"GET /rollouts": AWAY, "GET /traffic": (200, {"policies": [POLICY]})}
    done = on_call.run("runbook-status.sh")
    assert done.returncode == 0
    assert "controller is away" in done.stdout
    assert '"epoch": 7' in done.stdout


@pytest.mark.parametrize(("status", "code"), [(404, 1), (409, 6), (400, 2), (422, 2), (500, 1), (503, 5), (403, 6)])
def test_answers_become_the_exit_codes_of_the_cli(on_call: OnCall, status: int, code: int) -> None:
    on_call.server.answers["PUT /rollouts/assistant"] = (status, {"message": "the reason why"})
    done = on_call.run("runbook-freeze.sh", "assistant")
    assert done.returncode == code
    assert "the reason why" in done.stderr


@pytest.mark.parametrize("script", RUNBOOKS)
def test_a_torchserve_that_does_not_answer_is_5(on_call: OnCall, script: str) -> None:
    (on_call.home / "config.properties").write_text("management_address=http://127.0.0.1:9\n")
    done = on_call.run(script, "assistant")
    assert done.returncode == 5
    assert "http://127.0.0.1:9" in done.stderr


@pytest.mark.parametrize("indent", [None, 2])
def test_an_expired_key_is_renewed_once(on_call: OnCall, indent: int | None) -> None:
    on_call.server.key = "a-new-key"
    on_call.server.on_renewal = lambda: on_call.write_key_file("a-new-key", indent=indent)
    on_call.server.answers["PUT /rollouts/assistant"] = (200, ROLLOUT)
    done = on_call.run("runbook-freeze.sh", "assistant")
    assert done.returncode == 0, done.stderr
    assert on_call.server.renewals == 1


@pytest.mark.parametrize("script", RUNBOOKS)
def test_a_wrong_key_is_6_and_says_where_to_run_it(on_call: OnCall, script: str) -> None:
    (on_call.home / "key_file.json").unlink()
    done = on_call.run(script, "assistant")
    assert done.returncode == 6
    assert "directory TorchServe was started in" in done.stderr


def test_where_the_cli_is_installed_it_does_the_work(on_call: OnCall) -> None:
    calls = on_call.install_cli()
    assert on_call.run("runbook-status.sh").returncode == 0
    assert on_call.run("runbook-status.sh", "assistant").returncode == 0
    assert on_call.run("runbook-freeze.sh", "assistant", "--reason", "slow").returncode == 0
    assert on_call.run("runbook-rollback.sh", "assistant", "--reason", "slow").returncode == 0
    assert calls.read_text().splitlines() == [
        "status",
        "explain assistant",
        "pause assistant --reason slow",
        "rollback assistant --reason slow",
    ]
    assert on_call.server.changes() == []


@pytest.mark.parametrize("script", ["runbook-freeze.sh", "runbook-rollback.sh"])
def test_the_exit_code_of_the_cli_is_passed_on(on_call: OnCall, script: str) -> None:
    on_call.install_cli(code=6)
    assert on_call.run(script, "assistant").returncode == 6


def test_a_dry_run_does_not_call_the_cli(on_call: OnCall) -> None:
    calls = on_call.install_cli()
    for script in RUNBOOKS:
        done = on_call.run(script, "assistant", "--dry-run")
        assert done.returncode == 0
        assert "would run: ts-rollout" in done.stderr
    assert not calls.exists()


@pytest.mark.parametrize("script", [*RUNBOOKS, "lib/runbook.sh"])
def test_shellcheck_finds_nothing(script: str) -> None:
    done = subprocess.run(
        ["shellcheck", "-x", str(SCRIPTS / script)],
        cwd=SCRIPTS.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
