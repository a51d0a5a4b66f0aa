"""What each verb does, through Typer's runner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.unit.api.in_memory import BEGUN, ODD_PAIR, SPEC_TEXT, new_view
from tests.unit.cli.home import ROOT, Home
from torchserve_rollout.cli import init as init_verb
from torchserve_rollout.cli.main import VERBS, app
from torchserve_rollout.controller.views import NodeView, VersionView

PROBE_TEXT = "name: smoke\nprompts:\n  - {prompt: hello, expect: {contains_any: [hi]}}\n"
HANDLER = """\
class H:
    def initialize(self, context):
        pass

    def handle(self, data, context):
        return data
"""


@pytest.fixture
def run(home: Home, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(home.directory)
    monkeypatch.delenv("TS_ROLLOUT_CONFIG", raising=False)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    return invoke


def test_the_help_lists_every_verb_with_one_line_and_the_exit_codes(run: Any) -> None:
    text = run("--help").stdout
    listed = [
        line.split()[0]
        for line in text.partition("Commands:")[2].splitlines()
        if line[:3].strip(" ") and line[:2] == "  "
    ]
    assert listed[: len(VERBS)] == list(VERBS)
    assert "..." not in text.partition("Commands:")[2], "every first sentence fits its line"
    assert "4 held" in text


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_has_help_for_every_option(run: Any, verb: str) -> None:
    result = run(verb, "--help")
    assert result.exit_code == 0
    options = [line for line in result.stdout.splitlines() if line.startswith("  --")]
    assert options
    assert any("-h, --help" in line for line in result.stdout.splitlines())


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_takes_json(run: Any, verb: str) -> None:
    assert "--json" in run(verb, "--help").stdout


def test_the_version_is_printed(run: Any) -> None:
    assert run("--version").stdout == "0.1.0\n"


def test_start_sends_the_spec_and_prints_the_id_first(run: Any, home: Home) -> None:
    Path("mine.yaml").write_text(SPEC_TEXT)
    result = run("start", "assistant", "2.0", "--spec", "mine.yaml", "--reason", "new weights")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[0] == "assistant-1"
    assert "ts-rollout watch assistant-1" in result.stderr
    ((model, version, spec, actor),) = home.rollouts.started
    assert spec is not None
    assert (model, version, spec.steps[0].weight) == ("assistant", "2.0", 5)
    assert actor.endswith(": new weights")


def test_start_without_spec_leaves_the_choice_to_the_controller(run: Any, home: Home) -> None:
    assert json.loads(run("start", "assistant", "2.0", "--json").stdout)["id"] == "assistant-1"
    assert home.rollouts.started[0][2] is None


@pytest.mark.parametrize("verb", ["pause", "resume", "promote", "abort", "rollback"])
def test_commands_are_passed_on(run: Any, home: Home, verb: str) -> None:
    home.rollouts.views.append(new_view())
    result = run(verb, "assistant", "--reason", "on call")
    assert result.exit_code == 0, result.stderr
    assert home.rollouts.commands[0][:2] == ("assistant-1", verb)
    assert home.rollouts.commands[0][3] == "on call"
    assert result.stdout == "assistant 1.0 → 2.0  PROGRESSING  step 1 of 2  5 %\n"
    assert json.loads(run(verb, "assistant", "--json").stdout)["id"] == "assistant-1"


def test_status_as_json_has_nodes_models_and_rollouts(run: Any, home: Home) -> None:
    home.rollouts.views.append(new_view())
    home.rollouts.fleet.append(NodeView(node="local", is_reachable=True, error=""))
    body = json.loads(run("status", "--json").stdout)
    assert [node["node"] for node in body["nodes"]] == ["local"]
    assert [view["id"] for view in body["rollouts"]] == ["assistant-1"]
    assert body["models"] == []


def test_history_lists_only_what_has_ended(run: Any, home: Home) -> None:
    home.rollouts.views += [new_view(), new_view(id="assistant-2")]
    assert run("history").stdout == ""
    home.rollouts.end("ABORTED", "errors fired")
    result = run("history", "assistant")
    assert "assistant-2" in result.stdout
    assert "ada" in result.stdout
    assert "errors fired" in result.stdout
    assert "assistant-1" not in result.stdout
    assert [view["id"] for view in json.loads(run("history", "--json").stdout)] == ["assistant-2"]


def test_explain_takes_the_latest_rollout_when_none_is_named(run: Any, home: Home) -> None:
    home.rollouts.views += [new_view(), new_view(id="assistant-2", reason="the second")]
    assert "the second" in run("explain").stdout
    assert json.loads(run("explain", "assistant-1", "--json").stdout)["rollout"]["id"] == "assistant-1"


def test_pairs_shows_what_both_versions_answered(run: Any, home: Home) -> None:
    home.rollouts.views += [new_view(id="assistant-2")]
    home.rollouts.mirrored += [ODD_PAIR]
    assert "503 model_error" in run("pairs").stdout
    content = json.loads(run("pairs", "assistant-2", "--json").stdout)
    assert (content["seen"], content["lost"]) == (901, 7)
    assert content["pairs"][0]["candidate"]["body"] == ODD_PAIR.candidate.body


def test_explain_without_any_rollout_says_so(run: Any) -> None:
    result = run("explain")
    assert result.exit_code == 1
    assert "no rollout yet" in result.stderr


def test_lint_names_every_problem_and_checks_the_probes_a_spec_names(run: Any, home: Home) -> None:
    spec = home.directory / "spec.yaml"
    spec.write_text(SPEC_TEXT + "  - {name: q, signal: probe_score, probe: probes/q.yaml, min: 0.9}\n")
    result = run("lint", "spec.yaml")
    assert result.exit_code == 2
    assert "alarms[1].probe: probes/q.yaml: no such file" in result.stderr
    assert result.stdout == ""
    (home.directory / "probes").mkdir()
    (home.directory / "probes" / "q.yaml").write_text("name: q\nprompts: []\n")
    assert "alarms[1].probe: probes/q.yaml: prompts" in run("lint", "spec.yaml").stderr
    (home.directory / "probes" / "q.yaml").write_text(PROBE_TEXT)
    result = run("lint", "spec.yaml", "probes/q.yaml")
    assert (result.exit_code, result.stdout) == (0, "spec.yaml: ok\nprobes/q.yaml: ok\n")


def test_probes_beside_the_spec_are_found_by_lint_and_by_start(run: Any, home: Home) -> None:
    folder = home.directory / "elsewhere"
    folder.mkdir()
    (folder / "smoke.yaml").write_text(PROBE_TEXT)
    (folder / "spec.yaml").write_text(SPEC_TEXT + "gates: [{probe: smoke.yaml}]\n")
    assert run("lint", "elsewhere/spec.yaml").exit_code == 0
    assert run("start", "assistant", "2.0", "--spec", "elsewhere/spec.yaml").exit_code == 0
    sent = home.rollouts.started[0][2]
    assert sent is not None
    assert sent.gates[0].probe == str(folder / "smoke.yaml"), "the controller looks under TorchServe's home only"


def test_lint_as_json_lists_files_with_their_problems(run: Any) -> None:
    Path("bad.yaml").write_text("model: assistant\nfalover: none\n")
    (entry,) = json.loads(run("lint", "bad.yaml", "--json").stdout)
    assert entry["file"] == "bad.yaml"
    assert "falover" in {problem["path"] for problem in entry["problems"]}


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"- a list", b"{", b"a: 1\na: 2\n", b"a: 1\n---\nb: 2\n"])
def test_lint_survives_any_file(run: Any, content: bytes) -> None:
    Path("odd.yaml").write_bytes(content)
    result = run("lint", "odd.yaml")
    assert result.exit_code == 2
    assert "odd.yaml: " in result.stderr


def test_plan_prints_steps_with_times_and_asks_no_server(run: Any, home: Home) -> None:
    home.stop()
    Path("spec.yaml").write_text(SPEC_TEXT)
    result = run("plan", "--spec", "spec.yaml", "--version", "2.0", "--stable", "1.0")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "assistant: 2.0 beside 1.0, at least 16m"
    assert any(line.split()[:3] == ["+1m", "step", "2"] for line in lines)
    body = json.loads(run("plan", "--spec", "spec.yaml", "--model", "other", "--first", "--json").stdout)
    assert body["model"] == "other"
    assert body["stable"] is None


def test_a_packaged_version_is_listed_offline(run: Any, home: Home) -> None:
    Path("handler.py").write_text(HANDLER)
    result = run("package", "assistant", "1.0", "--handler", "handler.py", "--tag", "team=search")
    assert result.exit_code == 0, result.stderr
    assert Path(result.stdout.strip()).is_file()
    again = run("package", "assistant", "1.0", "--handler", "handler.py", "--tag", "team=search", "--json")
    assert json.loads(again.stdout)["is_new"] is False
    home.stop()
    listed = run("models", "assistant")
    assert "assistant-1.0.mar" in listed.stdout
    assert "what is registered is unknown" in listed.stderr
    (entry,) = json.loads(run("models", "--offline", "--json").stdout)
    assert (entry["model"], entry["version"], entry["is_registered"]) == ("assistant", "1.0", False)


def test_a_tag_without_a_value_is_refused(run: Any) -> None:
    Path("handler.py").write_text(HANDLER)
    result = run("package", "assistant", "1.0", "--handler", "handler.py", "--tag", "team")
    assert result.exit_code == 2
    assert "'team' is not KEY=VALUE" in result.stderr


def test_models_shows_what_the_controller_knows(run: Any, home: Home) -> None:
    home.rollouts.versions.append(
        VersionView(
            model="assistant",
            version="1.0",
            digest="sha256:0123456789abcdef",
            size_bytes=2_500_000,
            packaged_at=BEGUN,
            archive="assistant-1.0.mar",
            is_registered=True,
            is_default=True,
            ready_workers=2,
        )
    )
    row = run("models").stdout.splitlines()[-1].split()
    assert " ".join(row) == "assistant 1.0 0123456789ab 2.5 MB 2026-03-01 12:00:00 assistant-1.0.mar default 2"
    assert run("models", "other").stdout == ""


def test_the_config_can_stand_before_and_behind_the_verb(run: Any, home: Home) -> None:
    elsewhere = str(home.directory / "config" / "config.properties")
    assert run("--ts-config", elsewhere, "status").exit_code == 0
    assert run("status", "--ts-config", elsewhere).exit_code == 0
    assert run("--ts-config", "nosuch", "status", "--ts-config", elsewhere).exit_code == 0


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a wheel carries, in a place of its own: the jar is built elsewhere."""
    root = tmp_path / "bundle"
    (root / "plugins").mkdir(parents=True)
    (root / "plugins" / "torchserve-rollout-gateway.jar").write_bytes(b"jar")
    (root / "config").symlink_to(ROOT / "config")
    monkeypatch.setattr(init_verb, "bundle_path", lambda name: root / name)
    return root


def test_init_lays_out_a_home_and_keeps_what_was_changed(run: Any, bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "home"
    first = run("init", str(target), "--json")
    assert first.exit_code == 0, first.stderr
    assert set(json.loads(first.stdout)["files"].values()) == {"written"}
    assert (target / "plugins" / "torchserve-rollout-gateway.jar").read_bytes() == b"jar"
    assert (target / "config" / "config.properties").read_bytes() == (ROOT / "config/config.properties").read_bytes()
    assert (target / "model-store").is_dir()

    second = run("init", str(target), "--json")
    assert set(json.loads(second.stdout)["files"].values()) == {"unchanged"}

    (target / "config" / "config.properties").write_text("mine=1\n")
    third = run("init", str(target))
    assert "kept       config/config.properties" in third.stdout
    assert "--force" in third.stderr
    assert (target / "config" / "config.properties").read_text() == "mine=1\n"

    assert run("init", str(target), "--force").exit_code == 0
    assert (target / "config" / "config.properties").read_text() != "mine=1\n"
    assert not list(target.rglob("*.part"))


def test_init_updates_what_nobody_changed(run: Any, bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "home"
    assert run("init", str(target)).exit_code == 0
    (bundle / "plugins" / "torchserve-rollout-gateway.jar").write_bytes(b"a newer jar")
    outcomes = json.loads(run("init", str(target), "--json").stdout)["files"]
    assert outcomes.pop("plugins/torchserve-rollout-gateway.jar") == "updated"
    assert set(outcomes.values()) == {"unchanged"}
    assert (target / "plugins" / "torchserve-rollout-gateway.jar").read_bytes() == b"a newer jar"


@pytest.mark.parametrize("record", ["", "[]", "{", None])
def test_init_keeps_every_other_content_where_its_record_is_lost(
    run: Any, bundle: Path, tmp_path: Path, record: str | None
) -> None:
    target = tmp_path / "home"
    run("init", str(target))
    if record is None:
        (target / "config" / ".laid-out.json").unlink()
    else:
        (target / "config" / ".laid-out.json").write_text(record)
    (bundle / "plugins" / "torchserve-rollout-gateway.jar").write_bytes(b"a newer jar")
    outcomes = json.loads(run("init", str(target), "--json").stdout)["files"]
    assert outcomes["plugins/torchserve-rollout-gateway.jar"] == "kept"


def test_init_without_a_jar_says_how_to_build_it(run: Any, bundle: Path, tmp_path: Path) -> None:
    (bundle / "plugins" / "torchserve-rollout-gateway.jar").unlink()
    result = run("init", str(tmp_path / "new"))
    assert result.exit_code == 1
    assert "build_jar.py" in result.stderr
    assert not (tmp_path / "new").exists()


def test_init_where_nothing_can_be_written_is_a_usage_error(run: Any, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run("init", str(tmp_path / "file"))
    assert result.exit_code == 2
    assert str(tmp_path / "file") in result.stderr


def test_plan_tells_how_many_requests_an_alarm_needs_and_warns_of_a_short_bake(run: Any) -> None:
    Path("spec.yaml").write_text(SPEC_TEXT)
    result = run("plan", "--spec", "spec.yaml", "--rate", "60/m")
    assert "needs    step 1: errors sees error_rate 7 % against 1 % after about" in result.stdout
    assert "warning  step 1 bakes 1m, too short for errors:" in result.stdout
    needs = json.loads(run("plan", "--spec", "spec.yaml", "--rate", "10", "--json").stdout)["needs"]
    assert {need["step"] for need in needs} == {"step 1", "step 2"}
    refused = run("plan", "--spec", "spec.yaml", "--rate", "often")
    assert refused.exit_code == 2 and "write 10/s, 600/m or 5000/h" in refused.stderr
