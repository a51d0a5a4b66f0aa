"""Bodies the API accepts."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from torchserve_rollout.model import MODEL_PATTERN, VERSION_PATTERN

ACTOR_PATTERN = r"^[^\x00-\x1f\x7f]*$"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    actor: str = Field(
        default="api", min_length=1, max_length=128, pattern=ACTOR_PATTERN, description="Who asks; kept in the journal."
    )


class StartBody(_Body):
    """Start a rollout."""

    model: str = Field(pattern=MODEL_PATTERN.pattern, description="A model of the catalogue.")
    version: str = Field(pattern=VERSION_PATTERN.pattern, description="The candidate.")
    spec: str | dict[str, Any] | None = Field(
        default=None,
        description="Name of a file in `rollout_specs` (no path), or the spec itself as YAML text or as an object. "
        "Left out: `<model>.yaml` in `rollout_specs`.",
    )


class ReplayBody(BaseModel):
    """Judge a rollout again."""

    model_config = ConfigDict(extra="forbid")

    spec: str | dict[str, Any] | None = Field(
        default=None, description="As for starting; the rollout's own when left out."
    )


class CommandBody(_Body):
    """Why a command is given."""

    reason: str | None = Field(default=None, max_length=1000, description="One sentence for the journal.")
