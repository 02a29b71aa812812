"""Numbers and times as people read them."""

from __future__ import annotations

import math
from datetime import datetime


def duration(seconds: float) -> str:
    """``1m30s``, ``2h``, ``12s``."""
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole % 3600 // 60, "m"), (whole % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def count(number: float) -> str:
    """``12,480``."""
    return f"{number:,.0f}" if math.isfinite(number) else "no number"


def percent(part: float) -> str:
    """A part (0-1) in percent, with the digits that a small one needs."""
    if part <= 0:
        return "0%"
    digits = max(0, 1 - math.floor(math.log10(part * 100)))
    return f"{part:.{min(digits, 6)}%}"


def ratio(value: float | None) -> str:
    """``2.0x``; a dash where there is none."""
    return "-" if value is None else f"{value:.2g}x" if value < 10 else f"{value:,.0f}x"


def interval(between: tuple[float, float] | None) -> str:
    """`` (0.8 to 1.9)``, behind a ratio; empty where there is none."""
    if between is None:
        return ""
    low, high = between
    return f" ({low:.2g} to {high:.2g})" if math.isfinite(high) else f" ({low:.2g} or more)"


def probability(value: float) -> str:
    return f"{value:.2g}"


def moment(time: datetime) -> str:
    """``2026-11-24 12:00:10``, in UTC."""
    return f"{time:%Y-%m-%d %H:%M:%S}"


def plain(text: str) -> str:
    """``text`` of a cluster without control characters, which a terminal would act on."""
    return "".join(character if character.isprintable() else " " for character in text)


def finite(value: float | None) -> float | None:
    """``value`` for JSON, which has neither infinity nor NaN: None in their place."""
    return value if value is not None and math.isfinite(value) else None
