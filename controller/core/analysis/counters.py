"""Istio's raw request counters, pod by pod: the query for them, and what they counted since the look before.

Raw counters and not ``rate`` or ``increase``: those extrapolate to the window's edges, and a test needs whole requests.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

from controller.api.canary import Canary
from controller.api.metric import CompareErrors, CompareLatency
from controller.core.evidence.question import EvidenceError, saved_number
from controller.core.model import Sample

UNREACHED_FLAGS = "UH|UF|UO|NC"
"""Envoy's response flags of requests that never reached a pod: no healthy upstream, connection failure, overflow, no
cluster. Only the caller's proxy can count them (``reporter="source"``)."""

TOTAL = "total"
BAD = "bad"

Counts: TypeAlias = Mapping[str, float]
"""Cumulative counts of one series: by ``total`` and ``bad``, or by the upper edge of a bucket (``bucket_key``)."""


def errors_query(canary: Canary, errors: CompareErrors) -> str:
    """One query for both sides: requests by workload, pod and whether they failed.

    Summed before a label is replaced: two series that differ in nothing but that label would be an error.
    """
    reached = (
        "sum by (destination_workload, reporter, instance, response_code)"
        f" (istio_requests_total{{{_destination(canary)}}})"
    )
    return (
        f"sum by (destination_workload, reporter, instance, bad) (label_replace({reached} or {_unreached(canary)}"
        f', "bad", "true", "response_code", {_quoted(errors.response_codes)}))'
    )


def latency_query(canary: Canary, latency: CompareLatency) -> str:
    """One query for both sides: the histogram's buckets at the edges, by workload and pod."""
    edges = _one_of(*(spelling for edge in (*latency.edges_ms, math.inf) for spelling in _spellings(edge)))
    return (
        "sum by (destination_workload, reporter, instance, le)"
        f" (istio_request_duration_milliseconds_bucket{{{_destination(canary)},le=~{edges}}})"
    )


def _destination(canary: Canary) -> str:
    names = canary.names
    return (
        f'reporter="destination",destination_workload_namespace={_quoted(canary.namespace)}'
        f",destination_workload=~{_one_of(names.target, names.primary)}"
    )


def _unreached(canary: Canary) -> str:
    """Requests that never reached a pod name a Service and no workload; each Service stands for its workload."""
    names = canary.names
    series = (
        "sum by (destination_service_name, reporter, instance, response_code)"
        f' (istio_requests_total{{reporter="source",response_flags=~".*({UNREACHED_FLAGS}).*"'
        f",destination_service_namespace={_quoted(canary.namespace)}"
        f",destination_service_name=~{_one_of(names.canary_service, names.primary_service)}}})"
    )
    for service, workload in ((names.canary_service, names.target), (names.primary_service, names.primary)):
        series = (
            f'label_replace({series}, "destination_workload", {_quoted(workload)}'
            f', "destination_service_name", {_one_of(service)})'
        )
    return series


def _quoted(text: str) -> str:
    """A string of PromQL; JSON's escapes are among those of Go that it takes."""
    return json.dumps(text, ensure_ascii=False)


def _one_of(*texts: str) -> str:
    """A quoted RE2 expression for exactly these texts."""
    return _quoted("|".join(re.escape(text).replace(r"\-", "-") for text in texts))


def _spellings(edge: float) -> tuple[str, ...]:
    """An edge as Envoy writes it and as Prometheus 3 does: 100 and 100.0, 1800000 and 1.8e+06; infinity is +Inf."""
    if edge == math.inf:
        return ("+Inf",)
    plain = bucket_key(edge)
    digits = len(Decimal(plain).normalize().as_tuple().digits)
    canonical = f"{edge:.{digits - 1}e}" if edge >= 1e6 else str(edge)
    return tuple(dict.fromkeys((plain, canonical)))


def bucket_key(edge: float) -> str:
    """The name of a bucket among ``Counts``, whichever way its edge is spelt; 15 digits forgive the last bit."""
    return f"{edge:.15g}"


def is_pod(key: str) -> bool:
    """Whether a series is what a pod counted itself, and not what its callers could not bring to it."""
    return key.startswith("destination/")


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
                {key: {name: saved_number(counts, name) for name in counts} for key, counts in status[side].items()}
                for side in ("canary", "primary")
            )
            return cls(*sides)
        except (KeyError, TypeError, AttributeError) as error:
            raise EvidenceError(f"saved evidence: counters are malformed: {error!r}") from error


def read_samples(canary: Canary, samples: Sequence[Sample]) -> Reading:
    """The answer to one of the queries above, by side and series.

    A sample that is no count (negative, not a number) is NaN, so that the look does not count and says why.
    """
    sides: dict[str, dict[str, dict[str, float]]] = {canary.names.target: {}, canary.names.primary: {}}
    for sample in samples:
        labels = sample.labels
        side = sides.get(labels.get("destination_workload", ""))
        if side is None:
            continue
        counts = side.setdefault(f"{labels.get('reporter', '')}/{labels.get('instance', '')}", {})
        count = sample.value if sample.value >= 0 else math.nan
        if "le" in labels:
            # For minutes after an upgrade to Prometheus 3 an edge may come in both spellings, one of them still.
            key = bucket_key(float(labels["le"]))
            counts[key] = max(count, counts.get(key, 0.0))
            continue
        counts[TOTAL] = counts.get(TOTAL, 0.0) + count
        counts[BAD] = counts.get(BAD, 0.0) + (count if labels.get("bad") == "true" else 0.0)
    return Reading(sides[canary.names.target], sides[canary.names.primary])


def since(before: Reading, now: Reading) -> Reading:
    """What was counted between two readings.

    The canary's pods are no older than its rollout: one that is new began at 0. A pod of the primary that is new may
    have served for weeks, and only have missed a scrape: it counts from its second reading on.
    """
    known = {key: counts for key, counts in now.primary.items() if key in before.primary or not is_pod(key)}
    return Reading(_since(before.canary, now.canary), _since(before.primary, known))


def _since(before: Mapping[str, Counts], now: Mapping[str, Counts]) -> dict[str, Counts]:
    return {key: _delta(before.get(key, {}), counts) for key, counts in now.items()}


def _delta(before: Counts, now: Counts) -> Counts:
    """A series that fell began again at 0: its pod's proxy restarted."""
    if any(now.get(name, 0.0) < count for name, count in before.items()):
        return now
    return {name: count - before.get(name, 0.0) for name, count in now.items()}


def latest(before: Reading, now: Reading) -> Reading:
    """The newest counts of every series; one that is missing now may come back after a scrape that failed."""
    return Reading({**before.canary, **_readable(now.canary)}, {**before.primary, **_readable(now.primary)})


def _readable(side: Mapping[str, Counts]) -> dict[str, Counts]:
    return {key: counts for key, counts in side.items() if all(math.isfinite(count) for count in counts.values())}


def total_of(side: Mapping[str, Counts]) -> dict[str, float]:
    """The sum over all series of a side, by name."""
    totals: dict[str, float] = {}
    for counts in side.values():
        for name, count in counts.items():
            totals[name] = totals.get(name, 0.0) + count
    return totals
