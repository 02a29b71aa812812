"""What a comparison has seen; for latency at the edge with the most evidence."""

from __future__ import annotations

from controller.core.analysis.comparison import Comparison
from controller.core.evidence.sequential import LatencyTest, RateTest


def tests_of(comparison: Comparison) -> tuple[RateTest, ...]:
    """The test; for latency that of each edge."""
    test = comparison.test
    return test.tests if isinstance(test, LatencyTest) else (test,)


def strongest_edge(comparison: Comparison) -> int:
    """Which of the tests has the most evidence that the canary is worse."""
    tests = tests_of(comparison)
    return max(range(len(tests)), key=lambda index: tests[index].log_evidence)
