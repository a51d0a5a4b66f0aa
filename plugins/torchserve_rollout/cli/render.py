"""The only place that prints: data to stdout, words to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from torchserve_rollout.errors import RolloutError, SpecError

# What a table may take where there is no terminal to ask.
PIPE_WIDTH_CHARS = 240


def stdout_console() -> Console:
    """Where data goes. Made anew each time: tests and pipes exchange the streams."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH_CHARS)


def stderr_console() -> Console:
    """Where words go."""
    return Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else PIPE_WIDTH_CHARS)


def is_live() -> bool:
    """Whether a person looks at a terminal that can redraw."""
    return stdout_console().is_terminal and not stdout_console().is_dumb_terminal


def jsonable(value: Any) -> Any:
    """Views and lists of views as plain JSON values."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [jsonable(item) for item in value]
    return value


def data_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(jsonable(value), indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def data_json_line(value: Any) -> None:
    """One JSON value on one line of stdout, for streams."""
    sys.stdout.write(json.dumps(jsonable(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def data(renderable: RenderableType) -> None:
    """Something to look at, on stdout. Lines of text are never broken: whoever reads them may be a program."""
    if isinstance(renderable, Group):
        for part in renderable.renderables:
            data(part)
        return
    stdout_console().print(renderable, soft_wrap=isinstance(renderable, str | Text))


def live() -> Live:
    """A screen on stdout that is redrawn in place; the last one stays."""
    return Live(console=stdout_console(), auto_refresh=False)


@contextmanager
def byte_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr for work in named stages; silent where there is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr_console(), transient=True, disable=not sys.stderr.isatty()) as bar:
        stages: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = bar.add_task(stage, total=total)
            bar.update(stages[stage], completed=done, total=total)

        yield report


def words(text: str) -> None:
    """A remark, on stderr; never part of the data."""
    stderr_console().print(Text(text), soft_wrap=True)


def error(failure: RolloutError, *, as_json: bool = False) -> None:
    """What went wrong and what to do next, on stderr; with ``--json`` also as one object on stdout."""
    message = Text.assemble(("error: ", "bold red"), failure.message)
    stderr_console().print(message, soft_wrap=True)
    if failure.hint:
        stderr_console().print(Text.assemble(("  try: ", "bold"), failure.hint), soft_wrap=True)
    if as_json:
        data_json({"error": error_body(failure)})


def error_body(failure: RolloutError) -> dict[str, Any]:
    """The object that ``--json`` gives for an error; the HTTP API's shape with the exit code as ``code``."""
    body: dict[str, Any] = {
        "code": failure.exit_code,
        "type": type(failure).__name__,
        "message": failure.message,
        "hint": failure.hint,
    }
    if isinstance(failure, SpecError):
        body["problems"] = [{"path": p.path, "message": p.message, "hint": p.hint} for p in failure.problems]
    return body
