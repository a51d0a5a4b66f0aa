"""docs/reference/http-api.md says what the code does: every route, parameter, field, status and error type."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.unit.api.in_memory import InMemoryRollouts
from torchserve_rollout import errors
from torchserve_rollout.api.app import create_app
from torchserve_rollout.api.faults import status_of
from torchserve_rollout.api.requests import CommandBody, StartBody
from torchserve_rollout.controller.views import (
    AlarmView,
    AnswerView,
    BaselineView,
    EventView,
    ExplanationView,
    NodeView,
    PairsView,
    PairView,
    ReplayView,
    RolloutView,
    VersionView,
)
from torchserve_rollout.errors import RolloutError
from torchserve_rollout.machine.state import CommandKind

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "http-api.md").read_text("utf-8")


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    return create_app(InMemoryRollouts(), specs_dir=Path(), valid_tokens=None).openapi()


def row_of(route: str) -> str:
    (row,) = re.findall(rf"^\| `{re.escape(route)}` \|.*$", TEXT, re.MULTILINE)
    return str(row)


def test_every_route_is_documented_and_every_documented_route_exists(description: dict[str, Any]) -> None:
    routes = {f"{method.upper()} {path}" for path, item in description["paths"].items() for method in item}
    assert set(re.findall(r"^\| `((?:GET|POST|PUT|DELETE) [^`]+)` \|", TEXT, re.MULTILINE)) == routes


def test_every_query_parameter_is_documented(description: dict[str, Any]) -> None:
    for path, item in description["paths"].items():
        for method, operation in item.items():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query":
                    assert f"`{parameter['name']}=`" in row_of(f"{method.upper()} {path}")


def test_every_action_is_documented() -> None:
    row = row_of("POST /api/v1/rollouts/{ref}/{action}")
    assert [word for word in re.findall(r"`(\w+)`", row) if word in set(CommandKind)] == [k.value for k in CommandKind]


@pytest.mark.parametrize("body", [StartBody, CommandBody])
def test_every_field_of_a_body_is_documented(body: type[BaseModel]) -> None:
    bodies = TEXT.partition("## Bodies")[2].partition("## Answers")[0]
    start, command = bodies.split("`POST /api/v1/rollouts/{ref}/{action}`")
    section = start if body is StartBody else command
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(body.model_fields)


@pytest.mark.parametrize(
    ("word", "view"),
    [
        ("A rollout", RolloutView),
        ("An alarm", AlarmView),
        ("A baseline, for each alarm that is measured against what stable did before the start", BaselineView),
        ("An event", EventView),
        ("An explanation", ExplanationView),
        ("Mirrored requests", PairsView),
        ("A pair", PairView),
        ("A half of it", AnswerView),
        ("A replay", ReplayView),
        ("A version", VersionView),
        ("A node", NodeView),
    ],
)
def test_every_field_of_an_answer_is_documented(word: str, view: type[BaseModel]) -> None:
    (paragraph,) = re.findall(rf"^{word}: (.*?)\n\n", TEXT, re.MULTILINE | re.DOTALL)
    assert set(view.model_fields) <= set(re.findall(r"`(\w+)`", paragraph))


def error_types(kind: type[RolloutError]) -> list[type[RolloutError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in error_types(child))]


@pytest.mark.parametrize("kind", [kind for kind in error_types(RolloutError) if hasattr(errors, kind.__name__)])
def test_every_error_type_stands_beside_its_status(kind: type[RolloutError]) -> None:
    status = status_of(kind.__new__(kind))
    (row,) = re.findall(rf"^\| {status.value} \|.*$", TEXT, re.MULTILINE)
    assert f"`{kind.__name__}`" in row or kind.__name__ == "PackagingError", "packaging is not done over HTTP"
