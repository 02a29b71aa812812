"""The traffic of a workload: as the user gives it, or measured from the counters that a comparison reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from controller.api import Canary, Metric, parse_duration
from controller.api.durations import is_duration
from controller.cli import words
from controller.cli.errors import CommandError
from controller.cli.recording import fetch_recording
from controller.core.analysis.counters import plan_counters
from controller.core.evidence.readings import totals
from controller.core.simulation.recording import Recording, requests_of, traffic_query
from controller.core.simulation.schedule import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTraffic:
    """What the command line says about the traffic.

    Attributes:
        requests_per_second: of all users; None if it is to be measured, or not known.
        error_rate: part (0-1) of the primary's requests that fails.
        slow_rate: part (0-1) of the primary's requests that is slower than an edge of ``compare.latency``.
        prometheus: where to measure; empty for nowhere.
        window: how far back to measure, as in ``1h``.
    """

    requests_per_second: float | None = None
    error_rate: float | None = None
    slow_rate: float | None = None
    prometheus: str = ""
    window: str = "1h"


def find_traffic(canary: Canary, known: KnownTraffic) -> tuple[Traffic | None, tuple[str, ...]]:
    """The traffic as given, else as measured, with remarks about it; None if nothing is known."""
    compared = [metric for metric in canary.spec.analysis.metrics if metric.compare and not metric.compare.value]
    if not compared:
        return None, ()
    measured, remarks = (
        _measure_traffic(canary, compared, known) if known.prometheus else (Traffic(requests_per_second=0.0), ())
    )
    rates = dict(measured.bad_rates)
    for metric in compared:
        given = known.slow_rate if metric.compare and metric.compare.latency else known.error_rate
        if given is not None:
            edges = len(metric.compare.latency.edges_ms) if metric.compare and metric.compare.latency else 1
            rates[metric.name] = (_checked_rate(given),) * edges
    pace = measured.requests_per_second if known.requests_per_second is None else known.requests_per_second
    if not pace > 0:
        return None, remarks
    return replace(measured, requests_per_second=pace, bad_rates=rates), remarks


def _checked_rate(rate: float) -> float:
    if not 0 < rate < 1:
        raise CommandError(f"--error-rate and --slow-rate must be above 0 and below 1 (0.01 is 1%), got {rate:g}")
    return rate


def _measure_traffic(
    canary: Canary, compared: Sequence[Metric], known: KnownTraffic
) -> tuple[Traffic, tuple[str, ...]]:
    """What the primary served (the target, if there is no primary yet), from its counters."""
    window = parse_seconds("--window", known.window)
    now = datetime.now(UTC)
    queries = {metric.name: plan_counters(canary, metric).query for metric in compared}
    recording = fetch_recording(
        known.prometheus,
        (traffic_query(canary), *queries.values()),
        start=now - timedelta(seconds=window),
        end=now,
        step=min(60.0, window / 2),
    )
    looks = [reading for _, reading in recording.counted(canary, traffic_query(canary))]
    requests = sum(requests_of(reading.canary) + requests_of(reading.primary) for reading in looks)
    remarks = [f"Measured over the last {known.window}: {words.count(requests)} requests."]
    rates, events = dict[str, tuple[float, ...]](), dict[str, float]()
    for metric in compared if requests else ():
        rates[metric.name], total, seen = _bad_rates(canary, metric, recording)
        remarks += [f"{metric.name}: {remark}" for remark in seen]
        if metric.compare and metric.compare.counters:
            events[metric.name] = total / window
    return Traffic(requests_per_second=requests / window, bad_rates=rates, events_per_second=events), tuple(remarks)


def _bad_rates(canary: Canary, metric: Metric, recording: Recording) -> tuple[tuple[float, ...], float, list[str]]:
    """The bad part of the requests, for latency at each edge; if none was bad, as if one had been. And their number."""
    edges = metric.compare.edges_ms if metric.compare else ()
    kinds = [f"slower than {edge:g} ms" for edge in edges] or ["failed"]
    readings = [reading for _, reading in recording.counted(canary, plan_counters(canary, metric).query, edges)]
    primary = [totals(reading.primary, len(kinds)) for reading in readings]
    looks = primary if any(look[0] > 0 for look in primary) else [totals(r.canary, len(kinds)) for r in readings]
    total, *bad = map(sum, zip(*looks, strict=True)) if looks else (0.0,)
    if not total:
        return (), 0.0, ["no requests were counted, so its verdicts cannot be predicted"]
    remarks = [
        f"none of {words.count(total)} requests {kind}; counted as one"
        for kind, seen in zip(kinds, bad, strict=True)
        if seen <= 0
    ]
    return tuple(max(seen, 1.0) / max(total, 2.0) for seen in bad), total, remarks


def parse_seconds(option: str, text: str) -> float:
    """The value of a duration option, in seconds. Raises CommandError if it is not a duration."""
    if not is_duration(text):
        raise CommandError(f'{option} {text!r}: must be a duration as in "30s", "1m30s" or "500ms"')
    return parse_duration(text)
