"""Where the files shipped beside the Python package are: handlers, configuration, plugin jar."""

from __future__ import annotations

from pathlib import Path

from torchserve_rollout.errors import NotFoundError

_PACKAGE = Path(__file__).resolve().parent.parent


def bundle_path(name: str) -> Path:
    """The shipped directory ``name`` (``handlers``, ``config`` or ``plugins``).

    In an installed wheel it lies in ``torchserve_rollout/bundle``; in a checkout at the root of the repository.

    Raises:
        NotFoundError: neither is there, so the installation is incomplete.
    """
    candidates = (_PACKAGE / "bundle" / name, _PACKAGE.parent.parent / name)
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise NotFoundError(
        f"the shipped directory {name!r} is in neither {candidates[0]} nor {candidates[1]}",
        hint="install torchserve-rollout again",
    )


def handlers_path() -> Path:
    """The directory of the shipped handlers."""
    return bundle_path("handlers")


def config_path() -> Path:
    """The directory of the shipped configuration: metrics.yaml, probes, rollouts."""
    return bundle_path("config")
