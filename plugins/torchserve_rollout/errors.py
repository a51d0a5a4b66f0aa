"""Every error the product raises on purpose.

RolloutError
├── UsageError              the caller asked for something that makes no sense         exit 2
│   ├── SpecError           a rollout spec or probe file is wrong; carries all problems
│   └── PackagingError      a version cannot be packaged as asked
├── RefusedError            understood, but not allowed in this state                  exit 6
│   ├── RolloutInProgress
│   ├── VersionIsImmutable
│   └── StaleEpoch
├── NotFoundError           no such rollout, model, version or archive                 exit 1
├── ServerUnreachable       TorchServe or the controller did not answer                exit 5
├── ServerError             it answered with an error                                  exit 1
├── IntegrityError          an archive is not what its digest says                     exit 1
└── MissingExtra            a feature needs an optional dependency                     exit 2

A message says what happened and where; ``hint`` says what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class RolloutError(Exception):
    """Root of the tree. ``exit_code`` is the process exit code of the CLI (DESIGN: 0 done … 6 refused)."""

    exit_code: int = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(RolloutError):
    """The caller asked for something that makes no sense."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in an input. ``path`` is dotted, with indexes: ``steps[1].weight``."""

    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}{self.message}" + (f" ({self.hint})" if self.hint else "")


class SpecError(UsageError):
    """A file does not say what it must. ``problems`` holds all of them, never only the first."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{source}: {count} problem{'s' if count != 1 else ''}\n{lines}")


class PackagingError(UsageError):
    """A version cannot be packaged as asked."""


class RefusedError(RolloutError):
    """Understood, but not allowed in this state."""

    exit_code = 6


class RolloutInProgress(RefusedError):
    """The model already has a rollout that has not ended."""


class VersionIsImmutable(RefusedError):
    """Other content under a version that is already packaged."""


class StaleEpoch(RefusedError):
    """The gateway obeys a newer traffic policy than ours: another controller is at work."""


class NotFoundError(RolloutError):
    """No such rollout, model, version or archive."""


class ServerUnreachable(RolloutError):
    """TorchServe or the controller did not answer."""

    exit_code = 5


class ServerError(RolloutError):
    """A server answered with an error. ``status`` is the HTTP status."""

    def __init__(self, message: str, *, status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class IntegrityError(RolloutError):
    """An archive is not what its recorded digest says."""


class MissingExtra(RolloutError):
    """A feature needs an optional dependency."""

    exit_code = 2

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed",
            hint=f"pip install 'torchserve-rollout[{extra}]'",
        )
