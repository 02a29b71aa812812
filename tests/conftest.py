"""For all tests.

How hard Hypothesis tries: ``ci``, the default, tries the same examples every time, so that a failure is somebody's
change and not the draw; ``HYPOTHESIS_PROFILE=search`` looks for new ones, for as long as it takes.
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
    """Looptime asks for the current event loop in tests without one too; that would create one that nobody closes."""
    asyncio.set_event_loop(None)
