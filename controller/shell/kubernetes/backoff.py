"""How long to wait before trying again."""

from __future__ import annotations

import random


def backoff_seconds(attempt: int, *, first: float = 1.0, limit: float = 60.0) -> float:
    """Seconds to wait after the ``attempt``-th failure, counted from 1.

    They double from ``first`` to ``limit``, less up to half at random, which keeps many Canaries from coming back at
    the same moment.
    """
    longest = min(limit, first * 2.0 ** min(attempt - 1, 30))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 -- spreads load, guards nothing
