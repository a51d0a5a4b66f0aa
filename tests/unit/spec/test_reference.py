"""docs/reference/spec.md names every field of the schema, with its default, and none that does not exist."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from torchserve_rollout.spec.load import load_probe, load_spec
from torchserve_rollout.spec.metric import MetricSpec
from torchserve_rollout.spec.probe import Expectation, ProbeSpec, PromptSpec
from torchserve_rollout.spec.schema import (
    AlarmSpec,
    BreakerSpec,
    CohortSpec,
    DeadlineSpec,
    GateSpec,
    MirrorSpec,
    PrepareSpec,
    ReplayBudgetSpec,
    RolloutSpec,
    StepSpec,
    StickySpec,
)
from torchserve_rollout.spec.signals import CATALOGUE

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "spec.md").read_text("utf-8")
SECTIONS: dict[str, type[BaseModel]] = {
    "Top level": RolloutSpec,
    "Steps": StepSpec,
    "Sticky": StickySpec,
    "Cohort": CohortSpec,
    "Mirror": MirrorSpec,
    "Gates": GateSpec,
    "Alarms": AlarmSpec,
    "Metric": MetricSpec,
    "Prepare": PrepareSpec,
    "Deadlines": DeadlineSpec,
    "Breaker": BreakerSpec,
    "Replay budget": ReplayBudgetSpec,
    "Probe files": ProbeSpec,
    "Prompts": PromptSpec,
    "Expect": Expectation,
}
CASES = [(title, name) for title, model in SECTIONS.items() for name in model.model_fields]


def key_of(title: str, name: str) -> str:
    """The field as a file writes it."""
    return SECTIONS[title].model_fields[name].alias or name


def rows(title: str) -> dict[str, tuple[str, str]]:
    """Type and default of each field in one section's table."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| .+ \|$", section, re.MULTILINE)
    return {name: (kind, default) for name, kind, default in found}


@pytest.mark.parametrize("title", SECTIONS)
def test_a_section_names_the_fields_of_its_model_in_order(title: str) -> None:
    assert list(rows(title)) == [key_of(title, name) for name in SECTIONS[title].model_fields]


@pytest.mark.parametrize(("title", "name"), CASES)
def test_a_default_is_the_one_of_the_schema(title: str, name: str) -> None:
    model = SECTIONS[title]
    field, said = model.model_fields[name], rows(title)[key_of(title, name)][1]
    if field.is_required():
        assert said == "required"
        return
    default = field.get_default(call_default_factory=True)
    written = _as_written(model, name, default)
    if written is not None:
        assert said == f"`{written}`"
    else:
        assert "`" not in said


def _as_written(model: type[BaseModel], name: str, default: Any) -> str | None:
    """The default as it stands in a file; None for nothing, an empty list, or a part with defaults of its own."""
    if default in (None, "") or isinstance(default, tuple | dict | BaseModel):
        return None
    if isinstance(default, Enum):
        return str(default)
    # The schema's own way of writing, so that 30.0 seconds are "30s".
    written = model.model_construct().model_dump(mode="json", include={name})[name]
    return f"{written:g}" if isinstance(written, float) else str(written)


@pytest.mark.parametrize(("title", "name"), CASES)
def test_the_values_of_a_choice_are_all_named(title: str, name: str) -> None:
    annotation = SECTIONS[title].model_fields[name].annotation
    choices: list[str] = []
    enums = [each for each in (annotation, *get_args(annotation)) if isinstance(each, type) and issubclass(each, Enum)]
    if enums:
        choices = [str(member.value) for member in enums[0]]
    elif all(isinstance(arg, str) for arg in get_args(annotation)):
        choices = list(get_args(annotation))
    if name == "signal":
        choices = list(CATALOGUE)
    if choices:
        assert rows(title)[key_of(title, name)][0] == ", ".join(f"`{choice}`" for choice in choices)


def test_the_examples_load() -> None:
    spec, shadow, metrics, probe = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(load_spec(spec.split("alarms:")[0] + metrics, "docs/reference/spec.md").alarms) == 5
    assert load_spec(spec, "docs/reference/spec.md").model == "assistant"
    assert load_spec(shadow, "docs/reference/spec.md").strategy == "shadow"
    assert load_probe(probe, "docs/reference/spec.md").name == "smoke"
