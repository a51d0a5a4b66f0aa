"""docs/reference/cli.md says what the code does: every verb, argument and option, and nothing else."""

from __future__ import annotations

import re

import pytest
import typer.main

from tests.unit.cli.home import ROOT
from torchserve_rollout.cli.main import VERBS, app

TEXT = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## `ts-rollout (\w+)[^`]*`\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
PREAMBLE = TEXT.partition("\n## ")[0]


def options_in(section: str) -> set[str]:
    return set(re.findall(r"^\| `(--[a-z-]+)`", section, re.MULTILINE))


def parameters_of(verb: str) -> tuple[set[str], list[str]]:
    command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    options = {name for each in command.params if each.param_type_name == "option" for name in each.opts}
    arguments = [each.metavar or each.name for each in command.params if each.param_type_name == "argument"]
    return options, arguments


def test_every_verb_has_a_section_and_every_section_a_verb() -> None:
    assert list(SECTIONS) == list(VERBS)


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_option_is_documented_and_every_documented_option_exists(verb: str) -> None:
    assert options_in(SECTIONS[verb]) == parameters_of(verb)[0]


@pytest.mark.parametrize("verb", list(VERBS))
def test_the_heading_names_every_argument(verb: str) -> None:
    (heading,) = re.findall(rf"^## `ts-rollout {verb} ?([^`]*)`", TEXT, re.MULTILINE)
    named = [name.strip("[]….").upper() for name in heading.split()]
    assert named == [name.strip("[].").upper() for name in parameters_of(verb)[1]]


def test_the_options_before_the_verb_are_documented() -> None:
    callback = typer.main.get_command(app)
    options = {name for each in callback.params for name in each.opts if name.startswith("--")}
    assert options_in(PREAMBLE) == options | {"--help"}


def test_every_exit_code_is_documented() -> None:
    assert re.findall(r"^\| (\d) \|", PREAMBLE, re.MULTILINE) == [str(code) for code in range(7)]
