"""What a verb may raise, made into an exit code; a traceback goes into a file, never to a user."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import typer

from torchserve_rollout.cli import render
from torchserve_rollout.errors import RolloutError

P = ParamSpec("P")
INTERRUPTED = 130


def guarded(verb: Callable[P, int | None]) -> Callable[P, None]:
    """A Typer command from a function that returns its exit code (None: 0)."""

    @functools.wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        as_json = kwargs.get("as_json") is True
        try:
            code = verb(*args, **kwargs)
        except RolloutError as failure:
            render.error(failure, as_json=as_json)
            raise typer.Exit(failure.exit_code) from None
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            render.words("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader (head, less) has gone; Python's own flush at exit must not complain about it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except Exception as failure:  # the last line of defence: no traceback reaches a user
            render.error(unexpected(verb.__name__, failure), as_json=as_json)
            raise typer.Exit(1) from None
        raise typer.Exit(code or 0)

    return run


def unexpected(verb: str, failure: BaseException) -> RolloutError:
    """A defect of ours as one sentence; the traceback is written where the hint says."""
    name = verb.strip("_")
    sentence = f"{name} failed unexpectedly: {type(failure).__name__}: {failure}".partition("\n")[0]
    try:
        log = write_traceback(name, failure)
    except OSError as refused:
        return RolloutError(sentence, hint=f"the traceback could not be written either: {refused}")
    return RolloutError(sentence, hint=f"report it with the traceback in {log}")


def write_traceback(name: str, failure: BaseException) -> Path:
    """Write the traceback into a fresh file that only its owner reads."""
    descriptor, path = tempfile.mkstemp(prefix=f"ts-rollout-{name}-", suffix=".log")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"ts-rollout {_arguments()}\n")
        file.writelines(traceback.format_exception(failure))
    return Path(path)


def _arguments() -> str:
    return " ".join(sys.argv[1:])
