"""What differs where a canary was rolled back: which callers, codes and response flags carry its excess of failures."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import TypeAlias

from controller.api import promql
from controller.api.canary import Canary
from controller.core.analysis.matchers import own_prometheus, received_by
from controller.core.probes import ProbeResult, Samples, TrafficProbe

Kind: TypeAlias = tuple[str, ...]
"""Caller, code, gRPC status and response flags."""

LEAST_SECONDS, MOST_SECONDS = 60, 3600
"""So far back failures are counted: two scrapes at least, and no more than is quick to read."""
SHOWN = 2
_LEAST_PART = 0.1
_LABELS = ("source_workload", "response_code", "grpc_response_status", "response_flags")


def plan_failures(canary: Canary, since: datetime, now: datetime) -> TrafficProbe:
    """The query for all requests of both sides since then, by what may differ."""
    seconds = min(max(LEAST_SECONDS, round((now - since).total_seconds())), MOST_SECONDS)
    increase = f"increase({promql.REQUESTS}{{{received_by(canary)}}}[{seconds}s])"
    query = f"sum by (destination_workload, {', '.join(_LABELS)}) ({increase}) > 0"
    return TrafficProbe("failures", query, own_prometheus(canary), canary.namespace)


def describe_failures(canary: Canary, answer: ProbeResult) -> str:
    """The kinds of failures that the canary had more of than its share, the most first; empty where there are none."""
    tried, kept = defaultdict[Kind, float](float), defaultdict[Kind, float](float)
    sides = {canary.names.target: tried, canary.names.primary: kept}
    for sample in answer.samples if isinstance(answer, Samples) else ():
        side = sides.get(sample.labels.get("destination_workload", ""))
        if side is not None and 0 <= sample.value < 1e15:
            side[tuple(sample.labels.get(label, "")[:63] for label in _LABELS)] += sample.value
    tried_total, kept_total = sum(tried.values()), sum(kept.values())
    share = tried_total / kept_total if kept_total else 0.0
    excess = {kind: count - share * kept[kind] for kind, count in tried.items() if _failed(kind)}
    whole = sum(value for value in excess.values() if value > 0)
    largest = sorted(excess, key=lambda kind: (-excess[kind], kind))[:SHOWN]
    return ", ".join(
        f"{_words(kind)}: {tried[kind]:,.0f} of {tried_total:,.0f} requests"
        f" (primary {kept[kind]:,.0f} of {kept_total:,.0f})"
        for kind in largest
        if excess[kind] >= max(1.0, _LEAST_PART * whole)
    )


def _failed(kind: Kind) -> bool:
    """Whether requests like these failed, by HTTP or by gRPC, or were given up by their caller (code 0)."""
    _, code, grpc, _ = kind
    return code.startswith("5") or code == "0" or grpc not in ("", "0")


def _words(kind: Kind) -> str:
    caller, code, grpc, flags = kind
    status = f"gRPC status {grpc}" if grpc not in ("", "0") else f"code {code}"
    flagged = f" {flags}" if flags not in ("", "-") else ""
    return f"{status}{flagged} to {caller}" if caller not in ("", "unknown") else f"{status}{flagged}"
