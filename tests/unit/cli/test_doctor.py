"""``doctor``: each wrong thing is named with what to do; a sound configuration passes."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.unit.cli.home import ROOT, Home
from torchserve_rollout.cli.checks import check_machine, check_servers
from torchserve_rollout.cli.config_checks import HANDLER_LABELS, HANDLER_SERIES, check_config
from torchserve_rollout.cli.findings import Finding, Health
from torchserve_rollout.settings import Settings, read_properties


@pytest.fixture
def values() -> dict[str, str]:
    """The configuration we ship."""
    return read_properties((ROOT / "config" / "config.properties").read_text())


@pytest.fixture
def server_home(tmp_path: Path) -> Path:
    """A directory with a sound metrics.yaml."""
    (tmp_path / "config").mkdir()
    write_metrics(tmp_path, HANDLER_LABELS)
    return tmp_path


def write_metrics(home: Path, labels: list[str], left_out: str = "") -> None:
    lines = ["model_metrics:", "  counter:"]
    for series in HANDLER_SERIES:
        if series != left_out:
            lines += [f"    - name: {series}", "      unit: Count", f"      dimensions: [{', '.join(labels)}]"]
    (home / "config" / "metrics.yaml").write_text("\n".join(lines))


def found(values: dict[str, str], home: Path, name: str) -> Finding:
    (finding,) = (finding for finding in check_config(values, home) if finding.name == name)
    return finding


def test_the_configuration_we_ship_is_sound(values: dict[str, str], server_home: Path) -> None:
    assert [finding for finding in check_config(values, server_home) if finding.health is not Health.OK] == []


@pytest.mark.parametrize(
    ("key", "value", "health", "todo"),
    [
        ("rollout_gateway_address", "http://127.0.0.1:8085", Health.BAD, "inference_address"),
        ("inference_address", "http://0.0.0.0:8085", Health.BAD, "inference_address=http://127.0.0.1:8085"),
        ("rollout_grpc_gateway_address", "127.0.0.1:7075", Health.BAD, "grpc_inference_port=7075"),
        ("grpc_inference_address", "192.0.2.7", Health.BAD, "grpc_inference_address=127.0.0.1"),
        ("management_address", "http://0.0.0.0:8081", Health.WARNING, "firewall"),
        ("metrics_mode", "log", Health.BAD, "metrics_mode=prometheus"),
        ("enable_model_api", "false", Health.BAD, "enable_model_api=true"),
        ("allowed_urls", "https://models.example/.*,.*", Health.BAD, "allowed_urls=(?!)"),
        ("allowed_urls", "file://.*", Health.BAD, "allowed_urls=(?!)"),
        ("allowed_urls", "(", Health.BAD, "allowed_urls=(?!)"),
        ("allowed_urls", "https://models[.]example/.*", Health.OK, ""),
        ("disable_token_authorization", "true", Health.WARNING, "disable_token_authorization=false"),
        ("rollout_controller", "embeded", Health.BAD, "rollout_controller=embedded"),
        ("rollout_controller", "off", Health.WARNING, "rollout_controller=embedded"),
        ("metrics_config", "config/nosuch.yaml", Health.BAD, "metrics_config=config/metrics.yaml"),
    ],
)
def test_a_wrong_key_is_named_with_what_to_write(
    values: dict[str, str], server_home: Path, key: str, value: str, health: Health, todo: str
) -> None:
    finding = found({**values, key: value}, server_home, key)
    assert finding.health is health, finding
    assert todo in finding.todo


@pytest.mark.parametrize(
    ("key", "health"),
    [
        ("metrics_mode", Health.BAD),
        ("metrics_config", Health.BAD),
        ("enable_model_api", Health.BAD),
        ("allowed_urls", Health.BAD),
        ("inference_address", Health.BAD),
        ("workflow_store", Health.WARNING),
        ("rollout_controller", Health.OK),
        ("disable_token_authorization", Health.OK),
    ],
)
def test_a_missing_key_means_torchserves_own_default(
    values: dict[str, str], server_home: Path, key: str, health: Health
) -> None:
    del values[key]
    name = "rollout_gateway_address" if key == "inference_address" else key
    assert found(values, server_home, name).health is health


def test_a_metrics_file_without_our_series_or_with_other_labels_is_bad(
    values: dict[str, str], server_home: Path
) -> None:
    write_metrics(server_home, HANDLER_LABELS, left_out=HANDLER_SERIES[0])
    assert HANDLER_SERIES[0] in found(values, server_home, "metrics_config").sentence
    write_metrics(server_home, ["ModelName", "ModelVersion", "Level"])
    assert "in this order" in found(values, server_home, "metrics_config").sentence
    (server_home / "config" / "metrics.yaml").write_text("- nonsense\n")
    assert found(values, server_home, "metrics_config").health is Health.BAD


def machine(settings: Settings, name: str) -> Finding:
    plugins = settings.home / "plugins"
    (finding,) = (finding for finding in check_machine(settings, plugins) if finding.name == name)
    return finding


def test_java_is_found_and_an_old_one_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert machine(Settings(home=tmp_path), "java").health is Health.OK
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    finding = machine(Settings(home=tmp_path), "java")
    assert finding.health is Health.BAD
    assert "11.0.2" in finding.sentence
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))
    assert machine(Settings(home=tmp_path), "java").health is Health.BAD


def test_the_jar_must_be_there_once(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert "ts-rollout init" in machine(settings, "gateway jar").todo
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "torchserve-rollout-gateway.jar").touch()
    assert machine(settings, "gateway jar").health is Health.OK
    (tmp_path / "plugins" / "torchserve-rollout-gateway-old.jar").touch()
    assert machine(settings, "gateway jar").health is Health.BAD


def test_a_state_directory_that_is_a_file_cannot_hold_the_journal(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    finding = machine(Settings(home=tmp_path, state_dir=tmp_path / "state"), "journal")
    assert finding.health is Health.BAD
    assert machine(Settings(home=tmp_path, state_dir=tmp_path / "new" / "state"), "journal").health is Health.OK


def test_a_database_is_asked_and_its_password_never_shown(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="postgresql://ada:secret@127.0.0.1:9/rollouts")
    finding = machine(settings, "journal")
    assert finding.health is Health.BAD
    assert "secret" not in finding.sentence + finding.todo
    assert machine(Settings(home=tmp_path, database_url="sqlite://"), "journal").health is Health.OK


def test_servers_that_are_away_are_all_reported(tmp_path: Path) -> None:
    closed = "http://127.0.0.1:9"
    settings = Settings(
        home=tmp_path,
        inference_url=closed,
        management_url=closed,
        metrics_url=closed,
        gateway_url=closed,
        controller_url=closed,
    )
    findings = list(check_servers(settings))
    assert {finding.health for finding in findings} == {Health.BAD}
    assert all(finding.todo for finding in findings)


def test_the_verb_exits_1_and_says_what_to_do(home: Home) -> None:
    done = home.cli("doctor")
    assert done.code == 1
    assert "→ set metrics_mode=prometheus" in done.out
    assert "checks failed" in done.out
    listed = {finding["name"]: finding["health"] for finding in home.cli("doctor", "--json").json()}
    assert listed["controller answers"] == "ok"
    assert listed["tokens"] == "ok"


def test_the_verb_without_a_configuration_says_where_to_run_it(home: Home) -> None:
    (home.directory / "config" / "config.properties").unlink()
    done = home.cli("doctor", "--json")
    assert done.code == 1
    (finding,) = (finding for finding in json.loads(done.out) if finding["name"] == "config.properties")
    assert "ts-rollout init" in finding["todo"]


def test_a_key_file_of_another_user_is_reported(home: Home) -> None:
    key_file = home.directory / "key_file.json"
    key_file.write_text("{}")
    key_file.chmod(stat.S_IRUSR)
    listed = {finding["name"]: finding["health"] for finding in home.cli("doctor", "--json").json()}
    assert listed["tokens"] == "bad"
