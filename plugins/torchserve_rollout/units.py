"""Durations and percentages as people write them, and back."""

from __future__ import annotations

import re

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration_s(text: str | int | float) -> float:
    """Seconds in ``"90s"``, ``"1m30s"``, ``"250ms"``, ``"2h"``; a bare number is seconds.

    Raises:
        ValueError: the text is not a duration, or it is negative or not finite.
    """
    if isinstance(text, bool):
        raise ValueError(f"{text!r} is not a duration; write 90s, 5m or 1h30m")
    if isinstance(text, int | float):
        if not 0 <= text < float("inf"):
            raise ValueError(f"{text!r} is not a duration; it must be finite and not negative")
        return float(text)
    stripped = text.strip()
    parts = _PART.findall(stripped)
    if not parts or "".join(number + unit for number, unit in parts) != stripped:
        raise ValueError(f"{text!r} is not a duration; write 90s, 5m or 1h30m")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """The shortest readable form: ``250ms``, ``1.5s``, ``1m30s``, ``2h``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms" if seconds else "0s"
    if seconds < 60:
        return f"{seconds:.3g}s"
    left = round(seconds)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts)


def format_pct(weight_pct: float) -> str:
    """``5 %``, ``0.5 %``."""
    return f"{weight_pct:g} %"
