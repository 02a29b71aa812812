"""``canary plan``: the steps of a rollout and the traffic that its verdicts need, before anyone starts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from controller.api import Canary, Metric, Strategy, parse_duration, unsupported_fields
from controller.api.durations import is_duration
from controller.cli import words
from controller.cli.errors import CommandError, tells_errors
from controller.cli.manifests import load_canary
from controller.cli.recording import fetch_recording
from controller.core.analysis.counters import plan_counters
from controller.core.evidence.question import Verdict
from controller.core.evidence.readings import totals
from controller.core.simulation.recording import Recording, requests_of, traffic_query
from controller.core.simulation.schedule import Expectation, Schedule, Traffic, plan_schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What the command line says beside the files.

    Attributes:
        requests_per_second: of all users; None where it is to be measured, or not known.
        error_rate: part (0-1) of the requests that fail on the primary.
        slow_rate: part (0-1) of the requests that are slower than an edge of ``latency``.
        prometheus: where to measure; empty for not.
        window: for how long until now to look back, as in ``1h``.
        minimum_interval: the controller's floor, as in ``10s``.
    """

    requests_per_second: float | None = None
    error_rate: float | None = None
    slow_rate: float | None = None
    prometheus: str = ""
    window: str = "1h"
    minimum_interval: str = "10s"


@tells_errors
def plan(files: Sequence[str], name: str, options: PlanOptions, output: str) -> None:
    """Print the plan of the one Canary of the files."""
    canary, _ = load_canary(files, name)
    if canary.spec.skip_analysis:
        raise CommandError("spec.skipAnalysis: this Canary promotes without an analysis, there is nothing to plan")
    floor = _seconds("--minimum-interval", options.minimum_interval)
    traffic, remarks = find_traffic(canary, options)
    schedule = plan_schedule(canary.spec.analysis, traffic, floor=floor)
    remarks += tuple(_remarks(canary, schedule, traffic))
    if output == "json":
        print(json.dumps(_as_json(canary, schedule, traffic, remarks), indent=2))
    else:
        _print(canary, schedule, traffic, remarks)


def _seconds(option: str, text: str) -> float:
    if not is_duration(text):
        raise CommandError(f'{option} {text!r}: must be a duration as in "30s", "1m30s" or "500ms"')
    return parse_duration(text)


# --- traffic ----------------------------------------------------------------------------------------------------------


def find_traffic(canary: Canary, options: PlanOptions) -> tuple[Traffic | None, tuple[str, ...]]:
    """The traffic as given, else as measured, and what to know about it; None where nothing is known."""
    compared = [metric for metric in canary.spec.analysis.metrics if metric.compare]
    if not compared:
        return None, ()
    measured, remarks = (
        _measure_traffic(canary, compared, options) if options.prometheus else (Traffic(requests_per_second=0.0), ())
    )
    rates = dict(measured.bad_rates)
    for metric in compared:
        given = options.slow_rate if metric.compare and metric.compare.latency else options.error_rate
        if given is not None:
            edges = len(metric.compare.latency.edges_ms) if metric.compare and metric.compare.latency else 1
            rates[metric.name] = (_checked_rate(given),) * edges
    pace = measured.requests_per_second if options.requests_per_second is None else options.requests_per_second
    if not pace > 0:
        return None, remarks
    return Traffic(requests_per_second=pace, bad_rates=rates), remarks


def _checked_rate(rate: float) -> float:
    if not 0 < rate < 1:
        raise CommandError(f"a rate must be above 0 and below 1 (0.01 is 1%), is {rate:g}")
    return rate


def _measure_traffic(
    canary: Canary, compared: Sequence[Metric], options: PlanOptions
) -> tuple[Traffic, tuple[str, ...]]:
    """What the primary served (the target, where there is no primary yet), from its counters."""
    window = _seconds("--window", options.window)
    now = datetime.now(UTC)
    queries = {metric.name: plan_counters(canary, metric).query for metric in compared}
    recording = fetch_recording(
        options.prometheus,
        (traffic_query(canary), *queries.values()),
        start=now - timedelta(seconds=window),
        end=now,
        step=min(60.0, window / 2),
    )
    looks = [reading for _, reading in recording.counted(canary, traffic_query(canary))]
    requests = sum(requests_of(reading.canary) + requests_of(reading.primary) for reading in looks)
    remarks = [f"Measured over the last {options.window}: {words.count(requests)} requests."]
    rates: dict[str, tuple[float, ...]] = {}
    for metric in compared if requests else ():
        rates[metric.name], seen = _bad_rates(canary, metric, recording)
        remarks += [f"{metric.name}: {remark}" for remark in seen]
    return Traffic(requests_per_second=requests / window, bad_rates=rates), tuple(remarks)


def _bad_rates(canary: Canary, metric: Metric, recording: Recording) -> tuple[tuple[float, ...], list[str]]:
    """The bad part of the requests, for latency at each edge; where none was bad, as if one of them had been."""
    edges = metric.compare.edges_ms if metric.compare else ()
    kinds = [f"slower than {edge:g} ms" for edge in edges] or ["failed"]
    readings = [reading for _, reading in recording.counted(canary, plan_counters(canary, metric).query, edges)]
    primary = [totals(reading.primary, len(kinds)) for reading in readings]
    looks = primary if any(look[0] > 0 for look in primary) else [totals(r.canary, len(kinds)) for r in readings]
    total, *bad = map(sum, zip(*looks, strict=True)) if looks else (0.0,)
    if not total:
        return (), ["nothing was counted, so no verdict can be predicted"]
    remarks = [
        f"none of {words.count(total)} requests {kind}; taken as one of them"
        for kind, seen in zip(kinds, bad, strict=True)
        if seen <= 0
    ]
    return tuple(max(seen, 1.0) / max(total, 2.0) for seen in bad), remarks


# --- what follows -----------------------------------------------------------------------------------------------------


def _remarks(canary: Canary, schedule: Schedule, traffic: Traffic | None) -> Iterator[str]:
    """What a reader should know before he starts."""
    analysis = canary.spec.analysis
    if refused := unsupported_fields(canary):
        yield f"The controller would refuse this Canary: {'; '.join(refused)}."
    if schedule.longest is None:
        yield "A gate (confirm-traffic-increase, confirm-promotion) may hold the rollout for as long as it is closed."
    compared = [metric.name for metric in analysis.metrics if metric.compare]
    if not compared:
        return
    if analysis.strategy is Strategy.AB_TESTING:
        yield "How many requests match is not known before they come, so no verdict of a comparison can be foretold."
        return
    if traffic is None:
        yield (
            "How soon the comparisons have a verdict depends on the traffic: --prometheus URL measures it, "
            "--requests-per-second N with --error-rate or --slow-rate says it."
        )
        return
    for name in compared:
        if name not in traffic.bad_rates:
            yield f"{name}: its rate of bad requests is not known; --error-rate, --slow-rate (latency) or --prometheus."
    for each in schedule.expectations:
        if each.look is None:
            yield _out_of_reach(canary, each)


def _out_of_reach(canary: Canary, each: Expectation) -> str:
    needs = f"needs {words.count(each.needs)}" if math.isfinite(each.needs) else "cannot be had from any number of"
    short = f"{each.metric}: {each.verdict} at {words.ratio(each.ratio)} {needs} canary requests, the plan counts "
    if each.verdict is Verdict.FAIL:
        return f"{short}{words.count(each.gets)}: such a canary is not told from a good one in that time."
    end = "wait for a person" if canary.spec.analysis.on_inconclusive == "gate" else "be rolled back"
    return f"{short}{words.count(each.gets)}: even a canary as good as the primary would {end} without a verdict."


# --- output -----------------------------------------------------------------------------------------------------------


def _print(canary: Canary, schedule: Schedule, traffic: Traffic | None, remarks: tuple[str, ...]) -> None:
    console = Console()
    name = f"{canary.namespace}/{canary.name}" if canary.namespace else canary.name
    console.print(f"[bold]{name}[/]: {len(schedule.steps)} steps of {words.duration(schedule.interval)}")
    console.print(_steps_table(canary, schedule, traffic))
    console.print()
    longest = "no limit" if schedule.longest is None else words.duration(schedule.longest)
    print(f"From first traffic to promotion at the earliest: {words.duration(schedule.shortest)}")
    print(f"From first traffic to promotion or rollback at the latest: {longest}")
    if schedule.healthy is not None and canary.spec.analysis.compares:
        print(f"A canary as good as the primary: {words.duration(schedule.healthy)}")
    if schedule.expectations:
        console.print()
        console.print(_verdict_table(schedule))
    for remark in remarks:
        print(f"- {remark}")


def _steps_table(canary: Canary, schedule: Schedule, traffic: Traffic | None) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    ab_testing = canary.spec.analysis.strategy is Strategy.AB_TESTING
    for column in ("STEP", "AT", "CANARY" if not ab_testing else "MATCHED TO CANARY"):
        table.add_column(column, justify="right")
    if traffic and not ab_testing:
        table.add_column("CANARY REQUESTS", justify="right")
    per_step = traffic.requests_per_second * schedule.interval if traffic else 0.0
    for step in schedule.steps:
        share = "copy" if step.routes.mirrored else f"{step.routes.canary_weight}%"
        copied = canary.spec.analysis.mirror_weight or 100
        part = (copied if step.routes.mirrored else step.routes.canary_weight) / 100
        cells = [str(step.number), words.duration(step.begins_at), share]
        table.add_row(*cells, *([words.count(part * per_step)] if traffic and not ab_testing else []))
    return table


def _verdict_table(schedule: Schedule) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("METRIC", "CANARY IS", "VERDICT", "CANARY REQUESTS", "EXPECTED AT"):
        table.add_column(column, justify="right" if column == "CANARY REQUESTS" else "left")
    for each in schedule.expectations:
        as_bad = "as good" if each.ratio == 1 else f"{words.ratio(each.ratio)} as bad"
        when = "not within the plan"
        if each.look is not None and each.seconds is not None:
            when = f"look {each.look}, after {words.duration(each.seconds)}"
        table.add_row(each.metric, as_bad, str(each.verdict), words.count(each.needs), when)
    return table


def _as_json(canary: Canary, schedule: Schedule, traffic: Traffic | None, remarks: tuple[str, ...]) -> dict[str, Any]:
    return {
        "namespace": canary.namespace,
        "name": canary.name,
        "intervalSeconds": schedule.interval,
        "steps": [
            {
                "step": step.number,
                "beginsAtSeconds": step.begins_at,
                "canaryWeight": step.routes.canary_weight,
                "mirrored": step.routes.mirrored,
            }
            for step in schedule.steps
        ],
        "shortestSeconds": schedule.shortest,
        "longestSeconds": schedule.longest,
        "healthySeconds": schedule.healthy,
        "traffic": None
        if traffic is None
        else {
            "requestsPerSecond": traffic.requests_per_second,
            "badRates": {name: list(rates) for name, rates in traffic.bad_rates.items()},
        },
        "verdicts": [
            {
                "metric": each.metric,
                "verdict": str(each.verdict),
                "ratio": each.ratio,
                "canaryRequests": each.needs if math.isfinite(each.needs) else None,
                "countedInPlan": each.gets,
                "look": each.look,
                "seconds": each.seconds,
            }
            for each in schedule.expectations
        ],
        "remarks": list(remarks),
    }
