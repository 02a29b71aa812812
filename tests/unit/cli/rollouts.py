"""A cluster in the middle of a rollout that compares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.core.probes import Samples, Value
from tests.builders import ERROR_RATE, canary_manifest
from tests.unit.core.cluster import Cluster, progressing
from tests.unit.core.evidence.traffic import CANARY, PRIMARIES, Traffic

ANALYSIS: Mapping[str, Any] = {
    "interval": "10s",
    "threshold": 3,
    "stepWeight": 10,
    "metrics": [
        ERROR_RATE,
        {"name": "errors", "compare": {"errors": {}, "harmfulRatio": 9, "warmup": "0s"}},
        {"name": "latency", "compare": {"latency": {"edges": ["100ms"]}, "warmup": "0s"}},
    ],
}


def rolling_out(
    bad: int = 20, error_rate: float = 0.5, looks: int = 2, analysis: Mapping[str, Any] = ANALYSIS
) -> Cluster:
    """A rollout two looks old whose canary fails ``bad`` of 1,000 requests, the primary 1%."""
    primary = dict.fromkeys(PRIMARIES, (1000, 10))
    traffic = Traffic(looks + 1, lambda point: {**primary, CANARY: (1000, bad)} if point else primary)
    cluster = progressing(0, canary_manifest(analysis=analysis))
    cluster.answers["metric/error-rate"] = Value(error_rate)
    for point in range(looks + 1):
        cluster.answers["counters/errors"] = Samples(traffic.samples(point))
        cluster.tick(10)
    return cluster
