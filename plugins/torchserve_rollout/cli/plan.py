"""``plan``: what a spec would do, step by step, before anything moves."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from torchserve_rollout.analysis.power import needs
from torchserve_rollout.cli import render
from torchserve_rollout.cli.options import AsJson
from torchserve_rollout.cli.spec_files import read_text
from torchserve_rollout.errors import UsageError
from torchserve_rollout.model import MODEL_PATTERN, RESERVED_VERSIONS, VERSION_PATTERN, VersionName
from torchserve_rollout.spec import plan as planning
from torchserve_rollout.spec.load import load_spec


def plan(
    spec: Annotated[Path, typer.Option("--spec", help="Spec file.", show_default=False)],
    model: Annotated[
        str | None, typer.Option("--model", help="Model name. Default: the spec's.", show_default=False)
    ] = None,
    version: Annotated[str, typer.Option("--version", help="The candidate, as it is to be called.")] = "candidate",
    stable: Annotated[str, typer.Option("--stable", help="The stable version, as it is to be called.")] = "stable",
    is_first: Annotated[bool, typer.Option("--first", help="The model has no stable version yet.")] = False,
    rate: Annotated[
        str | None,
        typer.Option("--rate", help="Requests of the model, as 10/s, 600/m or 5000/h.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what a spec would do, step by step.

    With times, and with what each alarm needs to see an effect; nothing moves and no server is asked.
    """
    loaded = load_spec(read_text(spec), str(spec))
    if model is not None:
        if not MODEL_PATTERN.fullmatch(model):
            raise UsageError(f"--model: {model!r} is not a model name", hint="letters, digits, '.', '_' and '-'")
        loaded = loaded.model_copy(update={"model": model})
    made = planning.plan(loaded, None if is_first else _version("--stable", stable), _version("--version", version))
    needed = () if is_first else needs(loaded, None if rate is None else _rate_per_s(rate))
    if as_json:
        render.data_json({**asdict(made), "needs": [asdict(need) for need in needed]})
        return
    lines = [*planning.render(made), *(f"  needs    {need.step}: {need.sentence}" for need in needed)]
    render.data("\n".join([*lines, *(f"  warning  {need.warning}" for need in needed if need.warning)]))


def _rate_per_s(text: str) -> float:
    """``10/s``, ``600/m``, ``5000/h`` or a bare number a second, as requests a second."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/(s|m|h))?", text.strip())
    rate = float(found[1]) / {"s": 1, "m": 60, "h": 3600}[found[2] or "s"] if found else 0.0
    if rate <= 0:
        raise UsageError(f"--rate: {text!r} is not a rate", hint="write 10/s, 600/m or 5000/h")
    return rate


def _version(option: str, name: str) -> VersionName:
    if not VERSION_PATTERN.fullmatch(name) or name in RESERVED_VERSIONS:
        hint = f"letters, digits, '.', '_' and '-'; never {' or '.join(sorted(RESERVED_VERSIONS))}"
        raise UsageError(f"{option}: {name!r} is not a version name", hint=hint)
    return VersionName(name)
