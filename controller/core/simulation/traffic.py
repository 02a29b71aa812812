"""The traffic of a workload, measured from the counters that its comparisons read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.api.canary import Canary
from controller.api.metric import Metric
from controller.core.analysis.counters import plan_counters
from controller.core.evidence.dispersion import clumping
from controller.core.evidence.readings import totals
from controller.core.simulation.expectations import Traffic
from controller.core.simulation.recording import Recording, requests_of, traffic_query


@dataclass(frozen=True, slots=True)
class Counted:
    """What one metric with ``compare`` counted of the primary, or of the target where there was no primary yet.

    Attributes:
        total: requests, or events of its own.
        bad: those that were bad, for latency at each edge.
        dispersion: how much they clump, from 1; likewise.
    """

    total: float
    bad: tuple[float, ...]
    dispersion: tuple[float, ...]

    @property
    def rates(self) -> tuple[float, ...]:
        """The bad part (0-1); if none was bad, as if one had been."""
        return tuple(max(seen, 1.0) / max(self.total, 2.0) for seen in self.bad) if self.total else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a recording says of the traffic.

    Attributes:
        seconds: how long it is.
        requests: of all users.
        counted: by metric; empty where there were no requests.
        own: the metrics that count other events than requests.
    """

    seconds: float
    requests: float
    counted: Mapping[str, Counted]
    own: frozenset[str]

    @property
    def traffic(self) -> Traffic:
        """What a plan reads of it."""
        return Traffic(
            requests_per_second=self.requests / self.seconds,
            bad_rates={name: counted.rates for name, counted in self.counted.items()},
            dispersion={name: counted.dispersion for name, counted in self.counted.items()},
            events_per_second={
                name: self.counted[name].total / self.seconds for name in self.own & self.counted.keys()
            },
        )


def counting(canary: Canary) -> tuple[Metric, ...]:
    """The metrics whose traffic can be measured: those that compare a share of something."""
    return tuple(metric for metric in canary.spec.analysis.metrics if metric.compare and not metric.compare.value)


def traffic_queries(canary: Canary) -> tuple[str, ...]:
    """Every query whose answers `measure_traffic` reads."""
    return (traffic_query(canary), *(plan_counters(canary, metric).query for metric in counting(canary)))


def measure_traffic(canary: Canary, recording: Recording) -> Measured:
    """What was served while the recording was made.

    Raises:
        RecordingError: the recording does not hold the answers.
    """
    looks = [reading for _, reading in recording.counted(canary, traffic_query(canary))]
    requests = sum(requests_of(reading.canary) + requests_of(reading.primary) for reading in looks)
    metrics = counting(canary) if requests else ()
    return Measured(
        seconds=(recording.points - 1) * recording.step,
        requests=requests,
        counted={metric.name: _count(canary, metric, recording) for metric in metrics},
        own=frozenset(metric.name for metric in metrics if metric.compare and metric.compare.counters),
    )


def _count(canary: Canary, metric: Metric, recording: Recording) -> Counted:
    edges = metric.compare.edges_ms if metric.compare else ()
    rates = len(edges) or 1
    readings = [reading for _, reading in recording.counted(canary, plan_counters(canary, metric).query, edges)]
    looks = [totals(reading.primary, rates) for reading in readings]
    if not any(look[0] > 0 for look in looks):
        looks = [totals(reading.canary, rates) for reading in readings]
    total, *bad = map(sum, zip(*looks, strict=True)) if looks else (0.0,) * (1 + rates)
    clumps = tuple(clumping([(look[0], look[rate]) for look in looks]) for rate in range(1, 1 + rates))
    return Counted(total, tuple(bad), clumps)
