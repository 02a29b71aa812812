"""Recorded answers: what instant queries said at every point of an evenly spaced grid of times."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controller.api.canary import Canary
from controller.api.compare import CompareErrors
from controller.api.errors import CanaryError
from controller.core.analysis.counters import errors_query, read_samples
from controller.core.evidence.readings import Reading, SeriesCounts, latest, since, totals
from controller.core.probes import Sample

LULL = 3
"""So many points without a request on the canary end a rollout; fewer are a lull in it."""


class RecordingError(CanaryError):
    """A recording that does not hold what is asked of it."""


@dataclass(frozen=True, slots=True)
class Series:
    """One element of a query's vector over time: labels, and the value at each point where it had one."""

    labels: Mapping[str, str]
    values: Mapping[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The answers to some queries on a grid of times.

    Attributes:
        start: time of point 0.
        step: seconds from one point to the next.
        points: how many points there are.
        answers: by query, in the order of the server.
    """

    start: datetime
    step: float
    points: int
    answers: Mapping[str, tuple[Series, ...]] = field(default_factory=dict)

    def time(self, point: int) -> datetime:
        return self.start + timedelta(seconds=point * self.step)

    def samples(self, query: str, point: int) -> tuple[Sample, ...]:
        """What an instant query would have given at ``point``.

        Raises:
            RecordingError: the query was not recorded.
        """
        if query not in self.answers:
            raise RecordingError(
                f"the recording does not hold the query {query!r}: it was made for other metrics, or for another target"
            )
        return tuple(
            Sample(series.labels, series.values[point]) for series in self.answers[query] if point in series.values
        )

    def every(self, step: float) -> Recording:
        """The same on a coarser grid of ``step`` seconds.

        Raises:
            RecordingError: ``step`` is not a multiple of this recording's.
        """
        stride = round(step / self.step)
        if stride < 1 or abs(stride * self.step - step) > 1e-6:
            raise RecordingError(
                f"the recording has an answer every {self.step:g}s, which cannot serve an analysis every {step:g}s: "
                "analysis.interval must be a multiple of it; record again, with --prometheus"
            )
        if stride == 1:
            return self
        answers = {
            query: tuple(
                Series(one.labels, {point // stride: one.values[point] for point in one.values if point % stride == 0})
                for one in series
            )
            for query, series in self.answers.items()
        }
        return Recording(start=self.start, step=step, points=-(-self.points // stride), answers=answers)

    def counted(self, canary: Canary, query: str, edges_ms: Sequence[float] = ()) -> Iterator[tuple[int, Reading]]:
        """For each point but the first, what a query for counters (`counters`) counted since the point before."""
        before = read_samples(canary, self.samples(query, 0), edges_ms) if self.points else Reading()
        for point in range(1, self.points):
            now = read_samples(canary, self.samples(query, point), edges_ms)
            yield point, since(before, now)
            before = latest(before, now)


def traffic_query(canary: Canary) -> str:
    """Who got requests: the query of the first metric that compares errors, or one of its kind."""
    compared = (metric.compare.errors for metric in canary.spec.analysis.metrics if metric.compare)
    return errors_query(canary, next((errors for errors in compared if errors), CompareErrors()))


def requests_of(side: Mapping[str, SeriesCounts]) -> float:
    """All requests of one side, from a reading of `traffic_query`; 0 where a counter could not be read."""
    total = totals(side, rates=1)[0]
    return total if math.isfinite(total) else 0.0
