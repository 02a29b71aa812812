"""For all tests.

Profiles of Hypothesis: ``ci``, the default, uses the same examples in every run, so that a failure comes from a change
and not from chance; ``HYPOTHESIS_PROFILE=search`` searches for new ones.
"""

from __future__ import annotations

import asyncio
import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.register_profile("search", parent=settings.get_profile("ci"), derandomize=False, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure() -> None:
    """Looptime asks for the current event loop even in tests without one, and would create one that is never closed."""
    asyncio.set_event_loop(None)
