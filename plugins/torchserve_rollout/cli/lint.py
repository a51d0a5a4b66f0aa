"""``lint``: every problem of spec and probe files, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from torchserve_rollout.cli import render
from torchserve_rollout.cli.options import AsJson, TsConfig, settings_of
from torchserve_rollout.cli.spec_files import find_probe, probe_holders, read_text
from torchserve_rollout.errors import Problem, SpecError, UsageError
from torchserve_rollout.spec.load import load_probe, load_spec
from torchserve_rollout.spec.yaml_text import read_mapping

BAD_SPEC = 2


def lint(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Spec or probe files.", show_default=False)],
    ts_config: TsConfig = None,
    as_json: AsJson = False,
) -> int:
    """Check spec and probe files; exit 2 when there is a problem.

    The probe files that a spec names are checked too: relative to the directory of TorchServe, else to the spec.
    """
    home = settings_of(ctx, ts_config).home
    found = {str(file): problems_of_file(file, home) for file in files}
    if as_json:
        listed = {
            name: [{"path": p.path, "message": p.message, "hint": p.hint} for p in ps] for name, ps in found.items()
        }
        render.data_json([{"file": name, "problems": problems} for name, problems in listed.items()])
    else:
        for name, problems in found.items():
            for problem in problems:
                render.words(f"{name}: {problem}")
            if not problems:
                render.data(f"{name}: ok")
    return BAD_SPEC if any(found.values()) else 0


def problems_of_file(file: Path, home: Path) -> list[Problem]:
    """Everything wrong in a spec or probe file, and in the probe files it names (under ``home``, else beside it)."""
    try:
        text = read_text(file)
        data = read_mapping(text, str(file))
    except SpecError as error:
        return list(error.problems)
    except UsageError as error:
        return [Problem("", error.message)]
    if "prompts" in data:
        return _problems_of_text(load_probe, text, str(file))
    problems = _problems_of_text(load_spec, text, str(file))
    for path, holder in probe_holders(data):
        name = holder["probe"]
        problems += [Problem(path, f"{name}: {problem}") for problem in _probe_problems(name, home, file.parent)]
    return problems


def _problems_of_text(load: Any, text: str, source: str) -> list[Problem]:
    try:
        load(text, source)
    except SpecError as error:
        return list(error.problems)
    return []


def _probe_problems(name: str, home: Path, spec_folder: Path) -> list[str]:
    path = find_probe(name, home, spec_folder)
    if path is None:
        return [f"no such file in {home} or {spec_folder}"]
    try:
        return [str(problem) for problem in _problems_of_text(load_probe, read_text(path), str(path))]
    except UsageError as error:
        return [error.message]
