"""Raw counters, Istio's of requests or others, pod by pod: the query for them, and what its answer counts.

Raw counters and not ``rate`` or ``increase``: those extrapolate to the window's edges, and a test needs whole requests.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from controller.api import promql
from controller.api.canary import Canary
from controller.api.compare import Compare, CompareErrors
from controller.api.metric import Metric
from controller.api.side_queries import CompareCounters
from controller.core.analysis.matchers import one_of, own_prometheus, quoted, received_by
from controller.core.analysis.side_queries import render_sides, workloads
from controller.core.evidence.comparison import Comparison
from controller.core.evidence.question import Question
from controller.core.evidence.readings import MAX_COUNTS, Reading, SeriesCounts, is_pod, latest
from controller.core.evidence.sequential import SequentialTest
from controller.core.probes import CounterProbe, HistoryProbe, Sample

UNREACHED_FLAGS = "UH|UF|UO|NC"
"""Envoy's response flags of requests that never reached a pod: no healthy upstream, connection failure, overflow, no
cluster. Only the caller's proxy can count them (``reporter="source"``)."""

GIVEN_UP = "0"
"""Istio's code of a request whose caller went away before the answer; its own proxy says 504 with flag UT if it timed
out."""

MAX_NAME = 300
"""Characters of a series' name that are remembered: reporter, host name and port."""
HISTORY_LOOKS, HISTORY_SECONDS = 60, 3600
"""So much of the primary's past is read before a rollout."""
_TOTAL = "total"
_BAD = "bad"


def plan_counters(canary: Canary, metric: Metric) -> CounterProbe:
    """The query for the counters that a metric's ``compare`` looks at.

    Raises:
        TemplateError: ``compare.counters`` has a placeholder that is unknown.
    """
    compare = _compare_of(metric)
    if compare.errors:
        query = errors_query(canary, compare.errors)
    elif compare.counters:
        query = counters_query(canary, metric, compare.counters)
    else:
        query = latency_query(canary, compare.edges_ms)
    return CounterProbe(metric.name, query, own_prometheus(canary), canary.namespace)


def plan_history(canary: Canary, metric: Metric, interval: float) -> HistoryProbe:
    """The counters at the last looks before now, ``interval`` seconds apart."""
    now = plan_counters(canary, metric)
    step = max(1, round(interval))
    looks = max(2, min(HISTORY_LOOKS, HISTORY_SECONDS // step))
    return HistoryProbe(metric.name, now.query, looks, step, now.provider, now.namespace)


def begin(canary: Canary, metric: Metric, reading: Reading, now: datetime) -> Comparison:
    """A comparison that counts from ``reading`` on."""
    compare = _compare_of(metric)
    return Comparison(
        test=SequentialTest.start(question_of(canary, compare), rates=len(compare.edges_ms) or 1),
        reading=latest(Reading(), reading),
        read_at=now,
        since=now,
        young={key: now for key in reading.canary if is_pod(key)},
        query=digest(plan_counters(canary, metric).query),
    )


def question_of(canary: Canary, compare: Compare) -> Question:
    """What is asked of a metric. The risk is shared by all that decide."""
    sharing = sum(1 for each in canary.spec.analysis.metrics if each.compare and not each.dry_run)
    return Question.of(compare, max(1, sharing))


def digest(asked: str) -> str:
    """By what evidence knows that it is still asked for the same."""
    return hashlib.sha256(asked.encode()).hexdigest()[:16]


def _compare_of(metric: Metric) -> Compare:
    if metric.compare is None:
        raise TypeError(f"metric {metric.name} has no compare")
    return metric.compare


def errors_query(canary: Canary, errors: CompareErrors) -> str:
    """One query for both sides: requests by workload, pod and whether they failed, and who called either, at 0.

    Failed by HTTP or by gRPC, or given up by the caller: a route that timed out has code 0 at the pod, flag DC.
    Summed before a label is replaced: two series that differ in nothing but that label would be an error.
    """
    reached = (
        "sum by (destination_workload, reporter, instance, response_code, grpc_response_status)"
        f" ({promql.REQUESTS}{{{received_by(canary)}}})"
    )
    marked = f"{reached} or {_unreached(canary)}"
    codes = f"({errors.response_codes})|{GIVEN_UP}"
    for label, failed in (("response_code", codes), ("grpc_response_status", errors.grpc_statuses)):
        marked = f'label_replace({marked}, "bad", "true", "{label}", {quoted(failed)})'
    callers = f"0 * sum by (reporter, instance) ({promql.REQUESTS}{{{_sent(canary)}}})"
    return f"sum by (destination_workload, reporter, instance, bad) ({marked}) or {callers}"


def counters_query(canary: Canary, metric: Metric, counters: CompareCounters) -> str:
    """One query for both sides: bad and all events by workload and pod.

    The line breaks end what may be a comment.
    """
    return " or ".join(
        _labelled(f"sum by (instance) (\n{query}\n)", workload, count)
        for count, written in ((_TOTAL, counters.total), (_BAD, counters.bad))
        for workload, query in zip(workloads(canary), render_sides(canary, metric, written), strict=True)
    )


def _labelled(series: str, workload: str, count: str) -> str:
    for label, value in (("destination_workload", workload), ("count", count)):
        series = f'label_replace({series}, "{label}", {quoted(value)}, "", "")'
    return series


def latency_query(canary: Canary, edges_ms: Sequence[float]) -> str:
    """One query for both sides: the histogram's buckets at the edges, by workload and pod."""
    edges = one_of(*(spelling for edge in (*edges_ms, math.inf) for spelling in _spellings(edge)))
    return (
        f"sum by (destination_workload, reporter, instance, le) ({promql.BUCKETS}{{{received_by(canary)},le=~{edges}}})"
    )


def _sent(canary: Canary) -> str:
    """Matchers for the requests that callers counted, reached or not."""
    names = canary.names
    return (
        f'reporter="source",destination_service_namespace={quoted(canary.namespace)}'
        f",destination_service_name=~{one_of(names.canary_service, names.primary_service)}"
    )


def _unreached(canary: Canary) -> str:
    """Requests that never reached a pod name a Service and no workload; each Service stands for its workload."""
    names = canary.names
    series = (
        "sum by (destination_service_name, reporter, instance, response_code, grpc_response_status)"
        f' ({promql.REQUESTS}{{{_sent(canary)},response_flags=~".*({UNREACHED_FLAGS}).*"}})'
    )
    for service, workload in ((names.canary_service, names.target), (names.primary_service, names.primary)):
        series = (
            f'label_replace({series}, "destination_workload", {quoted(workload)}'
            f', "destination_service_name", {one_of(service)})'
        )
    return series


def _spellings(edge: float) -> tuple[str, ...]:
    """An edge as Envoy writes it and as Prometheus 3 does: 100 and 100.0, 1800000 and 1.8e+06; infinity is +Inf."""
    plain = _bucket(edge)
    if edge == math.inf:
        return (plain,)
    digits = len(Decimal(plain).normalize().as_tuple().digits)
    canonical = f"{edge:.{digits - 1}e}" if edge >= 1e6 else str(edge)
    return tuple(dict.fromkeys((plain, canonical)))


def _bucket(edge: float) -> str:
    """The name of a bucket, whichever way its edge is spelt; 15 digits forgive the last bit."""
    return "+Inf" if edge == math.inf else f"{edge:.15g}"


def read_samples(canary: Canary, samples: Sequence[Sample], edges_ms: Sequence[float] = ()) -> Reading:
    """The answer to one of the queries above, by side and series; ``edges_ms`` as in `latency_query`, none for errors.

    An answer that cannot be compared has a ``problem``: a value that is no count (negative, infinite, not a number), an
    edge that the histogram does not have, a pod without a name, without a total or on both sides, or more counts than
    are remembered.
    """
    sides: dict[str, dict[str, dict[str, float]]] = {canary.names.target: {}, canary.names.primary: {}}
    callers = set[str]()
    for sample in samples:
        labels = sample.labels
        workload = labels.get("destination_workload", "")
        if not workload and labels.get("reporter") == "source":
            callers.add(labels.get("instance", "")[:MAX_NAME])
        side = sides.get(workload)
        if side is None:
            continue
        name = f"{labels.get('reporter', 'destination')}/{labels.get('instance', '')}"
        counts = side.setdefault(name[:MAX_NAME], {})
        count = _count(sample.value)
        if "le" in labels:
            # For minutes after an upgrade to Prometheus 3 an edge may come in both spellings, one of them still.
            bucket = _bucket(_edge(labels["le"]))
            counts[bucket] = max(count, counts.get(bucket, 0.0))
            continue
        # Istio's requests are part of the total, bad or not; of other counters each says which of the two it is.
        if labels.get("count") != _BAD:
            counts[_TOTAL] = counts.get(_TOTAL, 0.0) + count
        if labels.get("count") == _BAD or labels.get("bad") == "true":
            counts[_BAD] = counts.get(_BAD, 0.0) + count
    canary_side, primary_side = sides[canary.names.target], sides[canary.names.primary]
    most = max(len(canary_side), len(primary_side)) * (1 + (len(edges_ms) or 1))
    if most > MAX_COUNTS:
        return Reading(problem=f"{most} counts of one side, from all its pods, are more than {MAX_COUNTS}")
    problem = (
        _missing_edge("canary", canary_side, edges_ms)
        or _missing_edge("primary", primary_side, edges_ms)
        or _nameless(canary_side, primary_side)
        or (_unlike_pods(canary_side, primary_side) if any("count" in sample.labels for sample in samples) else None)
    )
    reading = Reading(
        _by_rate(canary_side, edges_ms), _by_rate(primary_side, edges_ms), tuple(sorted(callers)), problem
    )
    if not problem and (odd := next(filter(_is_no_count, (sample.value for sample in samples)), None)) is not None:
        return replace(reading, problem=f"{odd} is not a number of requests")
    return reading


def _is_no_count(value: float) -> bool:
    return not 0 <= value < math.inf


def _count(value: float) -> float:
    return value if value >= 0 else math.nan


def _edge(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _by_rate(side: Mapping[str, Mapping[str, float]], edges_ms: Sequence[float]) -> dict[str, SeriesCounts]:
    """Requests and bad ones of each series; at an edge those are bad that took longer."""
    if not edges_ms:
        return {key: (counts.get(_TOTAL, math.nan), counts.get(_BAD, 0.0)) for key, counts in side.items()}
    return {key: _slower(counts, edges_ms) for key, counts in side.items()}


def _slower(buckets: Mapping[str, float], edges_ms: Sequence[float]) -> SeriesCounts:
    total = buckets.get(_bucket(math.inf), math.nan)
    return (total, *(_count(round(total - buckets.get(_bucket(edge), math.nan), 6)) for edge in edges_ms))


def _nameless(canary: Mapping[str, Mapping[str, float]], primary: Mapping[str, Mapping[str, float]]) -> str | None:
    """Why a series is not that of one pod."""
    if any(not name.partition("/")[2] for name in (*canary, *primary)):
        return "a series has no label instance, so its pod is not known"
    return None


def _unlike_pods(canary: Mapping[str, Mapping[str, float]], primary: Mapping[str, Mapping[str, float]]) -> str | None:
    """Why counters of one's own are not those of the pods of one workload each; Istio's name their workload."""
    if shared := next(iter(canary.keys() & primary.keys()), None):
        return f"{shared.partition('/')[2]} counts for both the canary and the primary; a pod belongs to one of them"
    partial = (name for name, counts in (*canary.items(), *primary.items()) if counts.keys() == {_BAD})
    if uncounted := next(partial, None):
        return f"{uncounted.partition('/')[2]} has bad events and no total"
    return None


def _missing_edge(side: str, series: Mapping[str, Mapping[str, float]], edges_ms: Sequence[float]) -> str | None:
    wanted = [_bucket(edge) for edge in (*edges_ms, math.inf)] if edges_ms else []
    for buckets in series.values():
        if missing := [edge for edge in wanted if edge not in buckets]:
            present = ", ".join(edge for edge in wanted if edge in buckets) or "none"
            return (
                f"the {side}'s histogram has no bucket up to {', '.join(missing)} ms; of those asked it has {present}"
            )
    return None
