"""Traffic for tests: what pods serve from point to point, as Prometheus would have recorded it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeAlias

from controller.core.probes import Sample
from controller.core.simulation.recording import Recording, Series
from tests.builders import NOW

Served: TypeAlias = Mapping[tuple[str, str], tuple[int, int]]
"""Requests and bad ones since the point before, by workload and pod."""

CANARY = ("backend", "10.0.0.9")
PRIMARIES = (("backend-primary", "10.0.0.1"), ("backend-primary", "10.0.0.2"), ("backend-primary", "10.0.0.3"))


class Traffic:
    """Istio's request counters of every pod at every point."""

    def __init__(self, points: int, served: Callable[[int], Served]) -> None:
        self.points = points
        self._series: dict[tuple[tuple[str, str], ...], dict[int, float]] = {}
        for point in range(points):
            for (workload, pod), (total, bad) in served(point).items():
                labels = {"destination_workload": workload, "reporter": "destination", "instance": pod}
                self._add(labels, point, total - bad)
                self._add({**labels, "bad": "true"}, point, bad)

    def _add(self, labels: Mapping[str, str], point: int, more: float) -> None:
        """What is counted stays counted to the end."""
        values = self._series.setdefault(tuple(sorted(labels.items())), {})
        so_far = values.get(point, 0.0)
        values.update(dict.fromkeys(range(point, self.points), so_far + more))

    def series(self) -> tuple[Series, ...]:
        return tuple(Series(dict(labels), dict(values)) for labels, values in self._series.items())

    def samples(self, point: int) -> tuple[Sample, ...]:
        return tuple(Sample(one.labels, one.values[point]) for one in self.series() if point in one.values)


def gauge(points: int, value: Callable[[int], float | None]) -> tuple[Series, ...]:
    """A query without labels that has a value at some points."""
    known = {point: number for point in range(points) if (number := value(point)) is not None}
    return (Series({}, known),)


def recorded(
    points: int, answers: Mapping[str, tuple[Series, ...]], *, start: datetime = NOW, step: float = 10.0
) -> Recording:
    return Recording(start=start, step=step, points=points, answers=answers)
