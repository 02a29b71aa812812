"""Istio's counters of a few pods, as one query for them answers now; tests let the pods serve, restart and vanish."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from controller.core.probes import Sample, Samples

CANARY, PRIMARY = "backend", "backend-primary"


def traffic(totals: Mapping[str, float], scraped_at: float) -> Samples:
    """The requests of each workload, all scraped in that second."""
    of_all = (("requests", totals), ("scraped", dict.fromkeys(totals, scraped_at)))
    return Samples(
        tuple(
            Sample({"destination_workload": workload, "of": what}, value)
            for what, values in of_all
            for workload, value in values.items()
        )
    )


@dataclass
class Mesh:
    """Counters of a query for errors by (workload, reporter, pod), and of one for latency by (workload, pod).

    Attributes:
        requests: all requests and bad ones.
        buckets: requests by upper edge in ms, not cumulative.
        callers: those that have sent requests to either side.
        hidden: pods that the next scrape misses.
        prometheus: its major version, which spells edges.
    """

    requests: dict[tuple[str, str, str], tuple[float, float]] = field(default_factory=dict)
    buckets: dict[tuple[str, str], dict[float, float]] = field(default_factory=dict)
    callers: set[str] = field(default_factory=lambda: {"gateway"})
    hidden: set[str] = field(default_factory=set)
    prometheus: int = 3

    def serve(self, workload: str, total: float, bad: float, *, pod: str = "", reporter: str = "destination") -> None:
        """A pod (by default the only one of its workload) has answered so many requests more."""
        key = workload, reporter, pod or workload
        before = self.requests.get(key, (0.0, 0.0))
        self.requests[key] = before[0] + total, before[1] + bad

    def take(self, workload: str, durations: Mapping[float, float], *, pod: str = "") -> None:
        """A pod has answered so many requests more within each edge (ms), and above the one below."""
        counts = self.buckets.setdefault((workload, pod or workload), {})
        for edge, count in durations.items():
            counts[edge] = counts.get(edge, 0.0) + count

    def restart(self, pod: str) -> None:
        """The pod's proxy counts from 0."""
        self.requests = {key: counts for key, counts in self.requests.items() if key[2] != pod}
        self.buckets = {key: counts for key, counts in self.buckets.items() if key[1] != pod}

    def errors(self) -> Samples:
        """What a query for errors gives."""
        samples = [Sample({"reporter": "source", "instance": name}, 0.0) for name in sorted(self.callers)]
        for (workload, reporter, pod), (total, bad) in self.requests.items():
            labels = {"destination_workload": workload, "reporter": reporter, "instance": pod}
            if pod not in self.hidden:
                samples += [Sample(labels, total - bad), *([Sample({**labels, "bad": "true"}, bad)] if bad else [])]
        return Samples(tuple(samples))

    def latency(self) -> Samples:
        """What a query for latency gives."""
        samples: list[Sample] = []
        for (workload, pod), counts in self.buckets.items():
            labels = {"destination_workload": workload, "reporter": "destination", "instance": pod}
            cumulative = 0.0
            for edge in sorted(counts) if pod not in self.hidden else ():
                cumulative += counts[edge]
                samples.append(Sample({**labels, "le": self._spell(edge)}, cumulative))
        return Samples(tuple(samples))

    def traffic(self, scraped: datetime) -> Samples:
        """What a query for the requests of both sides gives, if all pods were scraped at that time."""
        totals: dict[str, float] = {}
        for (workload, reporter, pod), (total, _) in self.requests.items():
            if reporter == "destination" and pod not in self.hidden:
                totals[workload] = totals.get(workload, 0.0) + total
        return traffic(totals, scraped.timestamp())

    def _spell(self, edge: float) -> str:
        if edge == math.inf:
            return "+Inf"
        return str(edge) if self.prometheus > 2 else f"{edge:g}"
