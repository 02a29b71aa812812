"""Durations as Go and Flagger write them: ``30s``, ``1m30s``, ``500ms``, ``1h``."""

from __future__ import annotations

import math
import re

DURATION_PATTERN = (
    r"^(([0-9]{1,6}(\.[0-9]+)?h)|([0-9]{1,8}(\.[0-9]+)?m)|([0-9]{1,9}(\.[0-9]+)?s)|([0-9]{1,12}(\.[0-9]+)?ms))+$"
)
"""Each part stays below 115 years, so that a time plus a duration is a time. Flagger's CRD only demands
``^[0-9]+(m|s)``; what passes that and Go cannot parse, Flagger reads as 60s."""

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|ms|m|s)")
_PROMQL = re.compile(r"([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def is_duration(text: str) -> bool:
    """Whether ``parse_duration`` accepts ``text``."""
    return re.fullmatch(DURATION_PATTERN, text, re.ASCII) is not None


def parse_duration(text: str) -> float:
    """Seconds in a duration such as ``1m30s``.

    Raises:
        ValueError: when ``text`` is not a duration.
    """
    if not is_duration(text):
        raise ValueError(f'"{text}" is not a duration such as "30s", "1m30s" or "500ms"')
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def promql_duration(text: str) -> str:
    """A duration as PromQL accepts it: units in descending order, each once, no fractions; rounded up to 1ms."""
    return text if _PROMQL.fullmatch(text) else f"{math.ceil(parse_duration(text) * 1000)}ms"


DEFAULT_INTERVAL_FLOOR = "10s"
"""Flagger runs no analysis more often than this, whatever ``analysis.interval`` says. An option of the controller."""
DEFAULT_INTERVAL_FLOOR_SECONDS = parse_duration(DEFAULT_INTERVAL_FLOOR)
