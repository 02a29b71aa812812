"""The traffic of a workload: as the user gives it, or measured from the counters that a comparison reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from controller.api import Canary, parse_duration
from controller.api.durations import is_duration
from controller.cli.errors import CommandError
from controller.cli.recording import fetch_recording
from controller.core.simulation.expectations import Traffic
from controller.core.simulation.traffic import Measured, counting, measure_traffic, traffic_queries
from controller.views import words


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
    compared = counting(canary)
    if not compared:
        return None, ()
    measured = _measure(canary, known) if known.prometheus else None
    traffic = measured.traffic if measured else Traffic(requests_per_second=0.0)
    remarks = tuple(_remarks(canary, known, measured)) if measured else ()
    rates = dict(traffic.bad_rates)
    for metric in compared:
        given = known.slow_rate if metric.compare and metric.compare.latency else known.error_rate
        if given is not None:
            edges = len(metric.compare.latency.edges_ms) if metric.compare and metric.compare.latency else 1
            rates[metric.name] = (_checked_rate(given),) * edges
    pace = traffic.requests_per_second if known.requests_per_second is None else known.requests_per_second
    if not pace > 0:
        return None, remarks
    return replace(traffic, requests_per_second=pace, bad_rates=rates), remarks


def _checked_rate(rate: float) -> float:
    if not 0 < rate < 1:
        raise CommandError(f"--error-rate and --slow-rate must be above 0 and below 1 (0.01 is 1%), got {rate:g}")
    return rate


def _measure(canary: Canary, known: KnownTraffic) -> Measured:
    window = parse_seconds("--window", known.window)
    now = datetime.now(UTC)
    recording = fetch_recording(
        known.prometheus,
        traffic_queries(canary),
        start=now - timedelta(seconds=window),
        end=now,
        step=min(canary.spec.analysis.tick_seconds(), window / 2),
    )
    return measure_traffic(canary, recording)


def _remarks(canary: Canary, known: KnownTraffic, measured: Measured) -> Iterator[str]:
    """How much was measured, what had to be assumed, and how much bad requests clump."""
    yield f"Measured over the last {known.window}: {words.count(measured.requests)} requests."
    for metric in counting(canary):
        if metric.name not in measured.counted:
            continue
        counted = measured.counted[metric.name]
        if not counted.total:
            yield f"{metric.name}: no requests were counted, so its verdicts cannot be predicted"
            continue
        edges = metric.compare.edges_ms if metric.compare else ()
        kinds = [f"slower than {edge:g} ms" for edge in edges] or ["failed"]
        for kind, seen in zip(kinds, counted.bad, strict=True):
            if seen <= 0:
                yield f"{metric.name}: none of {words.count(counted.total)} requests {kind}; counted as one"
        clumps = max(counted.dispersion)
        if clumps > 1:
            yield f"{metric.name}: bad requests come in clumps, so that verdicts need {clumps:.1f} times the requests"


def parse_seconds(option: str, text: str) -> float:
    """The value of a duration option, in seconds. Raises CommandError if it is not a duration."""
    if not is_duration(text):
        raise CommandError(f'{option} {text!r}: must be a duration as in "30s", "1m30s" or "500ms"')
    return parse_duration(text)
