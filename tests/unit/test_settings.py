"""What is read from config.properties."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from torchserve_rollout.errors import SpecError, UsageError
from torchserve_rollout.settings import (
    CONFIG_VARIABLE,
    KNOWN_KEYS,
    load_settings,
    read_properties,
    settings_from_properties,
)

ROOT = Path(__file__).resolve().parents[2]


def test_comments_continuations_and_equal_signs_in_values_are_read_as_torchserve_reads_them() -> None:
    text = '# a comment\n! another\n a = 1 \nurls=https://x/.*,\\\n   https://y/.*\njson={"k"=2}\nnothing\n'
    assert read_properties(text) == {"a": "1", "urls": "https://x/.*,https://y/.*", "json": '{"k"=2}'}


def test_the_configuration_we_ship_is_understood() -> None:
    settings = load_settings(ROOT / "config" / "config.properties", home=ROOT)
    assert settings.is_token_required
    assert settings.inference_url == "http://127.0.0.1:8085"
    assert settings.gateway_url == "http://127.0.0.1:8080"
    assert settings.specs_dir == ROOT / "config" / "rollouts"
    assert settings.journal_url == f"sqlite:///{ROOT / 'rollout-state' / 'journal.db'}"
    assert settings.key_file == ROOT / "key_file.json"


def test_without_a_configuration_the_defaults_hold_below_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    assert load_settings(home=tmp_path).model_store == tmp_path / "model-store"


def test_a_configuration_that_was_named_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.properties"):
        load_settings(Path("nowhere.properties"), home=tmp_path)
    monkeypatch.setenv(CONFIG_VARIABLE, "elsewhere.properties")
    with pytest.raises(UsageError, match=r"elsewhere\.properties"):
        load_settings(home=tmp_path)


def test_all_problems_of_our_keys_come_at_once(tmp_path: Path) -> None:
    values = {"rollout_tik": "1s", "rollout_tick": "soon", "rollout_colour": "red"}
    with pytest.raises(SpecError) as wrong:
        settings_from_properties(values, home=tmp_path)
    assert {problem.path for problem in wrong.value.problems} == {"rollout_tik", "rollout_tick", "rollout_colour"}


@pytest.mark.parametrize(("text", "seconds"), [("200ms", 0.2), ("2s", 2.0), ("1m", 60.0)])
def test_the_tick_is_a_duration(tmp_path: Path, text: str, seconds: float) -> None:
    assert settings_from_properties({"rollout_tick": text}, home=tmp_path).tick_s == seconds


@pytest.mark.parametrize("text", ["1ms", "2m", "0s"])
def test_a_tick_outside_its_bounds_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError, match="between"):
        settings_from_properties({"rollout_tick": text}, home=tmp_path)


def test_the_keys_of_the_gateways_reference_are_known() -> None:
    page = (ROOT / "docs" / "reference" / "traffic-api.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `(rollout_\w+)` \|", page, re.MULTILINE))
    assert {"rollout_gateway_address", "rollout_default_deadline_s"} <= documented <= KNOWN_KEYS
