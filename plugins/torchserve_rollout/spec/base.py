"""What all parts of a spec are made of: strict values, quantities with units, no unknown keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from torchserve_rollout.units import format_duration, parse_duration_s


def _read_duration(value: object) -> float:
    if isinstance(value, str | int | float):
        return parse_duration_s(value)
    raise ValueError("is not a duration; write 90s, 5m or 1h30m")


def _write_duration(seconds: float) -> str | float:
    """The readable form where it is exact, else the number of seconds: a stored spec loads as the same spec."""
    text = format_duration(seconds)
    return text if parse_duration_s(text) == seconds else seconds


def read_quantity(value: object) -> float:
    """A bound of an alarm: a number, a share in percent (``5%`` is 0.05) or a duration (``2s`` is 2).

    Raises:
        ValueError: none of these.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        text = value.strip()
        try:
            return float(text.removesuffix("%")) / 100 if text.endswith("%") else parse_duration_s(text)
        except ValueError:
            pass
    raise ValueError(f"{value!r} is not a quantity; write a number (0.05), a share (5%) or a duration (2s)")


DurationS = Annotated[float, BeforeValidator(_read_duration), PlainSerializer(_write_duration)]
Quantity = Annotated[float, BeforeValidator(read_quantity)]
# Strict: YAML's `yes` is not 1.
Number = Annotated[float, Field(strict=True)]
Count = Annotated[int, Field(strict=True)]
# What the gateway's policy parser takes; a policy it refuses could not even be taken back.
GatewayS = Annotated[DurationS, Field(ge=0.001, le=86_400)]
GatewayCount = Annotated[Count, Field(le=100_000)]
WeightPct = Annotated[float, Field(strict=True, ge=0, le=100)]


class Frozen(BaseModel):
    """Unknown keys are errors, values never change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_by_name=False, serialize_by_alias=True
    )

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """The keys as a file writes them."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())
