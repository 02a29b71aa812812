"""Istio's raw request counters, pod by pod: the query for them, and what they counted since the look before.

Raw counters and not ``rate`` or ``increase``: those extrapolate to the window's edges, and a test needs whole requests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from controller.api.canary import Canary
from controller.api.metric import CompareErrors, CompareLatency
from controller.core.evidence_question import EvidenceError
from controller.core.model import Sample

UNREACHED_FLAGS = "UH|UF|UO|NC"
"""Envoy's response flags of requests that never reached a pod: no healthy upstream, connection failure, overflow, no
cluster. Only the caller's proxy can count them (``reporter="source"``)."""

TOTAL = "total"
BAD = "bad"

Counts: TypeAlias = Mapping[str, float]
"""Cumulative counts of one series: by ``total`` and ``bad``, or by the upper edge of a bucket in ms (``+Inf`` too)."""


def errors_query(canary: Canary, errors: CompareErrors) -> str:
    """One query for both sides: requests by workload, pod and whether they failed."""
    return (
        f"sum by (destination_workload, reporter, instance, bad) ({_mark_bad(_destination(canary), errors)})"
        f" or sum by (destination_workload, reporter, instance, bad) ({_mark_bad(_unreached(canary), errors)})"
    )


def latency_query(canary: Canary, latency: CompareLatency) -> str:
    """One query for both sides: the histogram's buckets at the edges, by workload and pod."""
    # Prometheus 3 writes an edge of 100 as "100.0", earlier ones as Envoy does.
    edges = "|".join(f"{edge:g}(\\\\.0)?" for edge in latency.edges_ms)
    selector = f'{_selector(canary)},le=~"{edges}|\\\\+Inf"'
    return (
        "sum by (destination_workload, reporter, instance, le)"
        f" (istio_request_duration_milliseconds_bucket{{{selector}}})"
    )


def _selector(canary: Canary) -> str:
    names = canary.names
    return (
        f'reporter="destination",destination_workload_namespace="{canary.namespace}"'
        f',destination_workload=~"{names.target}|{names.primary}"'
    )


def _destination(canary: Canary) -> str:
    return f"istio_requests_total{{{_selector(canary)}}}"


def _unreached(canary: Canary) -> str:
    """Requests that never reached a pod name a Service and no workload; each Service stands for its workload."""
    names = canary.names
    series = (
        f'istio_requests_total{{reporter="source",response_flags=~".*({UNREACHED_FLAGS}).*"'
        f',destination_service_namespace="{canary.namespace}"'
        f',destination_service_name=~"{names.canary_service}|{names.primary_service}"}}'
    )
    for service, workload in ((names.canary_service, names.target), (names.primary_service, names.primary)):
        series = (
            f'label_replace({series}, "destination_workload", "{workload}", "destination_service_name", "{service}")'
        )
    return series


def _mark_bad(series: str, errors: CompareErrors) -> str:
    return f'label_replace({series}, "bad", "true", "response_code", "{errors.response_codes}")'


@dataclass(frozen=True, slots=True)
class Reading:
    """What every pod's counters say, or what they counted since the reading before.

    Attributes:
        canary: counts by series (reporter and pod) of the target's pods.
        primary: the same of the primary's.
    """

    canary: Mapping[str, Counts] = field(default_factory=dict)
    primary: Mapping[str, Counts] = field(default_factory=dict)

    def to_status(self) -> dict[str, Any]:
        return {
            "canary": {key: dict(counts) for key, counts in self.canary.items()},
            "primary": {key: dict(counts) for key, counts in self.primary.items()},
        }

    @classmethod
    def from_status(cls, status: Mapping[str, Any]) -> Reading:
        """The reading that ``to_status`` saved. Raises EvidenceError where it is malformed."""
        try:
            sides = (
                {key: {name: float(count) for name, count in counts.items()} for key, counts in status[side].items()}
                for side in ("canary", "primary")
            )
            return cls(*sides)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EvidenceError(f"saved evidence: counters are malformed: {error!r}") from error


def read_samples(canary: Canary, samples: Sequence[Sample]) -> Reading:
    """The answer to one of the queries above, by side and series. A sample that is not a count is left out."""
    sides: dict[str, dict[str, dict[str, float]]] = {canary.names.target: {}, canary.names.primary: {}}
    for sample in samples:
        labels = sample.labels
        side = sides.get(labels.get("destination_workload", ""))
        if side is None or not (math.isfinite(sample.value) and sample.value >= 0):
            continue
        counts = side.setdefault(f"{labels.get('reporter', '')}/{labels.get('instance', '')}", {})
        if "le" in labels:
            counts[_edge(labels["le"])] = sample.value
            continue
        counts[TOTAL] = counts.get(TOTAL, 0.0) + sample.value
        counts[BAD] = counts.get(BAD, 0.0) + (sample.value if labels.get("bad") == "true" else 0.0)
    return Reading(sides[canary.names.target], sides[canary.names.primary])


def _edge(le: str) -> str:
    return f"{float(le):g}"


def since(before: Reading, now: Reading) -> Reading:
    """What was counted between two readings."""
    return Reading(_since(before.canary, now.canary), _since(before.primary, now.primary))


def _since(before: Mapping[str, Counts], now: Mapping[str, Counts]) -> dict[str, Counts]:
    return {key: _delta(before.get(key, {}), counts) for key, counts in now.items()}


def _delta(before: Counts, now: Counts) -> Counts:
    """A series that is new began at 0, and one that fell began again at 0 (its pod's proxy restarted)."""
    if any(now.get(name, 0.0) < count for name, count in before.items()):
        return now
    return {name: count - before.get(name, 0.0) for name, count in now.items()}


def latest(before: Reading, now: Reading) -> Reading:
    """The newest counts of every series; one that is missing now may come back after a scrape that failed."""
    return Reading({**before.canary, **now.canary}, {**before.primary, **now.primary})


def total_of(side: Mapping[str, Counts]) -> dict[str, float]:
    """The sum over all series of a side, by name."""
    totals: dict[str, float] = {}
    for counts in side.values():
        for name, count in counts.items():
            totals[name] = totals.get(name, 0.0) + count
    return totals
