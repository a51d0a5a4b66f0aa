"""Every promised exit code from a real process: 0 done, 1 failed, 2 usage, 3 back, 4 held, 5 away, 6 refused."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.api.in_memory import SPEC_TEXT, new_view
from tests.unit.cli.home import Home


def test_done_is_0(home: Home) -> None:
    assert home.cli("status").code == 0


@pytest.mark.parametrize(
    ("phase", "code"), [("SUCCEEDED", 0), ("FAILED", 1), ("ABORTED", 3), ("ROLLED_BACK", 3), ("HELD", 4)]
)
def test_watch_exits_as_the_rollout_ended(home: Home, phase: str, code: int) -> None:
    home.rollouts.views.append(new_view())
    home.rollouts.end(phase, "because")
    done = home.cli("watch", "assistant")
    assert done.code == code, done.err
    assert f"{phase}: because" in done.out


def test_what_is_not_there_is_1(home: Home) -> None:
    done = home.cli("abort", "nobody")
    assert done.code == 1
    assert "nobody" in done.err
    assert done.out == ""


def test_a_bad_option_is_2(home: Home) -> None:
    for arguments in (
        ["status", "--nonsense"],
        ["nonsense"],
        ["start", "assistant"],
        ["watch", "x", "--timeout", "soon"],
    ):
        assert home.cli(*arguments).code == 2, arguments


def test_a_bad_spec_is_2_with_all_its_problems(home: Home) -> None:
    spec = home.directory / "bad.yaml"
    spec.write_text("model: assistant\nsteps: [{weigth: 5, bake: soon}]\n")
    for verb in (
        ["lint", str(spec)],
        ["plan", "--spec", str(spec)],
        ["start", "assistant", "2.0", "--spec", str(spec)],
    ):
        done = home.cli(*verb)
        assert done.code == 2, verb
        assert "steps[0].weigth" in done.out + done.err
        assert "steps[0].bake" in done.out + done.err
    assert home.rollouts.started == []


def test_a_missing_config_file_is_2(home: Home) -> None:
    done = home.cli("--ts-config", "no/such.properties", "status")
    assert done.code == 2
    assert "no/such.properties" in done.err


def test_a_controller_that_does_not_answer_is_5(home: Home) -> None:
    home.stop()
    for verb in (["status"], ["watch", "assistant"], ["abort", "assistant"], ["explain"], ["history"]):
        done = home.cli(*verb)
        assert done.code == 5, verb
        assert home.controller_url in done.err
        assert "doctor" in done.err


def test_tokens_that_cannot_be_read_are_5(home: Home) -> None:
    (home.directory / "key_file.json").unlink()
    done = home.cli("status")
    assert done.code == 5
    assert "key_file.json" in done.err


def test_a_refused_command_is_6(home: Home) -> None:
    home.rollouts.views.append(new_view())
    home.rollouts.end("SUCCEEDED", "done")
    done = home.cli("promote", "assistant")
    assert done.code == 6
    assert "SUCCEEDED" in done.err


def test_a_command_that_the_tick_refuses_is_6_with_its_reason(home: Home) -> None:
    home.rollouts.views.append(new_view())
    home.rollouts.refusal = "2.0 is not prepared yet"
    done = home.cli("promote", "assistant")
    assert done.code == 6
    assert "refused to promote: 2.0 is not prepared yet" in done.err


def test_a_wrong_token_is_6(home: Home) -> None:
    home.write_config(disable_token_authorization="true")
    done = home.cli("status")
    assert done.code == 6
    assert "token" in done.err


def test_a_second_rollout_is_6(home: Home) -> None:
    home.rollouts.views.append(new_view())
    (home.directory / "spec.yaml").write_text(SPEC_TEXT)
    assert home.cli("start", "assistant", "3.0", "--spec", "spec.yaml").code == 6


def test_with_json_an_error_is_an_object_on_stdout_and_words_on_stderr(home: Home) -> None:
    done = home.cli("abort", "nobody", "--json")
    error = json.loads(done.out)["error"]
    assert (error["code"], error["type"]) == (1, "NotFoundError")
    assert error["hint"]
    assert error["message"] in done.err


def test_a_defect_becomes_one_sentence_and_a_file_with_the_traceback(home: Home, tmp_path: Path) -> None:
    line, environment = home.command("plan", "--spec", "spec.yaml")
    (home.directory / "spec.yaml").write_text(SPEC_TEXT)
    # A broken installation: the module is there and cannot do what it must.
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import torchserve_rollout.spec.plan as p\ndef plan(*a):\n    raise ZeroDivisionError('oh')\np.plan = plan\n"
    )
    environment["PYTHONPATH"] = f"{broken}{os.pathsep}{environment['PYTHONPATH']}"
    environment["TMPDIR"] = str(tmp_path)
    done = subprocess.run(
        line, cwd=home.directory, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert "plan failed unexpectedly: ZeroDivisionError: oh" in done.stderr
    (log,) = tmp_path.glob("ts-rollout-plan-*.log")
    assert str(log) in done.stderr
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_a_reader_that_leaves_early_is_no_complaint(home: Home) -> None:
    # More than a pipe holds, so that the writer cannot be done before the reader leaves.
    name = "fine" * 50 + ".yaml"
    line, environment = home.command("lint", *[name] * 500)
    (home.directory / name).write_text(SPEC_TEXT)
    process = subprocess.Popen(
        line, cwd=home.directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.wait(30)
    process.stderr.close()
