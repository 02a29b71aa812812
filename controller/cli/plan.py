"""``canary plan``: the steps of a rollout, how long it takes, and the traffic that its verdicts need."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from controller.api import Canary, Metric, Strategy, parse_duration, unsupported_fields
from controller.api.durations import is_duration
from controller.cli import words
from controller.cli.errors import CommandError, reports_errors
from controller.cli.manifests import load_canary
from controller.cli.options import FilesOption, NameOption, Output, OutputOption
from controller.cli.recording import fetch_recording
from controller.core.analysis.counters import plan_counters
from controller.core.evidence.question import Verdict
from controller.core.evidence.readings import totals
from controller.core.simulation.recording import Recording, requests_of, traffic_query
from controller.core.simulation.schedule import Expectation, Schedule, Traffic, plan_schedule


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


@reports_errors
def plan(  # noqa: PLR0917 -- typer passes them by name
    files: FilesOption,
    name: NameOption = "",
    prometheus: Annotated[
        str, typer.Option(metavar="URL", help="Prometheus server to measure the current traffic with.")
    ] = "",
    window: Annotated[str, typer.Option(metavar="DURATION", help="With --prometheus: how far back to measure.")] = "1h",
    requests_per_second: Annotated[
        float | None, typer.Option(metavar="NUMBER", help="Requests of all users, instead of a measurement.")
    ] = None,
    error_rate: Annotated[
        float | None, typer.Option(metavar="PART", help="Part of the primary's requests that fails: 0.01 is 1%.")
    ] = None,
    slow_rate: Annotated[
        float | None,
        typer.Option(metavar="PART", help="Part of the primary's requests slower than an edge of compare.latency."),
    ] = None,
    minimum_interval: Annotated[
        str, typer.Option(metavar="DURATION", help="Value of --minimum-interval of the controller.")
    ] = "10s",
    output: OutputOption = Output.TABLE,
) -> None:
    """Predict how a rollout will run.

    Prints the steps and how long they take. For each metric with compare, prints how many requests a verdict needs and
    when to expect it.
    """
    canary, _ = load_canary(files, name)
    if canary.spec.skip_analysis:
        raise CommandError("spec.skipAnalysis: this Canary is promoted without an analysis, so there is no plan")
    known = KnownTraffic(
        requests_per_second=requests_per_second,
        error_rate=error_rate,
        slow_rate=slow_rate,
        prometheus=prometheus,
        window=window,
    )
    floor = _seconds("--minimum-interval", minimum_interval)
    traffic, remarks = find_traffic(canary, known)
    schedule = plan_schedule(canary.spec.analysis, traffic, floor=floor)
    remarks += tuple(_remarks(canary, schedule, traffic))
    if output is Output.JSON:
        print(json.dumps(_as_json(canary, schedule, traffic, remarks), indent=2))
    else:
        _print(canary, schedule, traffic, remarks)


def _seconds(option: str, text: str) -> float:
    if not is_duration(text):
        raise CommandError(f'{option} {text!r}: must be a duration as in "30s", "1m30s" or "500ms"')
    return parse_duration(text)


# --- traffic ----------------------------------------------------------------------------------------------------------


def find_traffic(canary: Canary, known: KnownTraffic) -> tuple[Traffic | None, tuple[str, ...]]:
    """The traffic as given, else as measured, with remarks about it; None if nothing is known."""
    compared = [metric for metric in canary.spec.analysis.metrics if metric.compare]
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
    return Traffic(requests_per_second=pace, bad_rates=rates), remarks


def _checked_rate(rate: float) -> float:
    if not 0 < rate < 1:
        raise CommandError(f"--error-rate and --slow-rate must be above 0 and below 1 (0.01 is 1%), got {rate:g}")
    return rate


def _measure_traffic(
    canary: Canary, compared: Sequence[Metric], known: KnownTraffic
) -> tuple[Traffic, tuple[str, ...]]:
    """What the primary served (the target, if there is no primary yet), from its counters."""
    window = _seconds("--window", known.window)
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
    rates: dict[str, tuple[float, ...]] = {}
    for metric in compared if requests else ():
        rates[metric.name], seen = _bad_rates(canary, metric, recording)
        remarks += [f"{metric.name}: {remark}" for remark in seen]
    return Traffic(requests_per_second=requests / window, bad_rates=rates), tuple(remarks)


def _bad_rates(canary: Canary, metric: Metric, recording: Recording) -> tuple[tuple[float, ...], list[str]]:
    """The bad part of the requests, for latency at each edge; if none was bad, as if one had been."""
    edges = metric.compare.edges_ms if metric.compare else ()
    kinds = [f"slower than {edge:g} ms" for edge in edges] or ["failed"]
    readings = [reading for _, reading in recording.counted(canary, plan_counters(canary, metric).query, edges)]
    primary = [totals(reading.primary, len(kinds)) for reading in readings]
    looks = primary if any(look[0] > 0 for look in primary) else [totals(r.canary, len(kinds)) for r in readings]
    total, *bad = map(sum, zip(*looks, strict=True)) if looks else (0.0,)
    if not total:
        return (), ["no requests were counted, so its verdicts cannot be predicted"]
    remarks = [
        f"none of {words.count(total)} requests {kind}; counted as one"
        for kind, seen in zip(kinds, bad, strict=True)
        if seen <= 0
    ]
    return tuple(max(seen, 1.0) / max(total, 2.0) for seen in bad), remarks


# --- what follows -----------------------------------------------------------------------------------------------------


def _remarks(canary: Canary, schedule: Schedule, traffic: Traffic | None) -> Iterator[str]:
    """What to know before the rollout starts."""
    analysis = canary.spec.analysis
    if refused := unsupported_fields(canary):
        yield f"The controller would refuse this Canary: {'; '.join(refused)}."
    if schedule.longest is None:
        yield "A closed gate (confirm-traffic-increase, confirm-promotion) can block the rollout without limit."
    compared = [metric.name for metric in analysis.metrics if metric.compare]
    if not compared:
        return
    if analysis.strategy is Strategy.AB_TESTING:
        yield "The number of requests that will match is not known, so the verdicts of comparisons cannot be predicted."
        return
    if traffic is None:
        yield (
            "When the comparisons reach a verdict depends on the traffic: measure it with --prometheus URL, or set "
            "--requests-per-second with --error-rate or --slow-rate."
        )
        return
    for name in compared:
        if name not in traffic.bad_rates:
            yield f"{name}: its rate of bad requests is not known; set --error-rate, --slow-rate or --prometheus."
    for each in schedule.expectations:
        if each.look is None:
            yield _out_of_reach(canary, each)


def _out_of_reach(canary: Canary, each: Expectation) -> str:
    needs = f"needs {words.count(each.needs)}" if math.isfinite(each.needs) else "cannot be reached with any number of"
    short = f"{each.metric}: {each.verdict} at {words.ratio(each.ratio)} {needs} canary requests, the plan counts "
    if each.verdict is Verdict.FAIL:
        return f"{short}{words.count(each.gets)}: the analysis is too short to detect such a canary."
    end = "wait for approval" if canary.spec.analysis.on_inconclusive == "gate" else "be rolled back"
    return f"{short}{words.count(each.gets)}: even a canary as good as the primary would {end} without a verdict."


# --- output -----------------------------------------------------------------------------------------------------------


def _print(canary: Canary, schedule: Schedule, traffic: Traffic | None, remarks: tuple[str, ...]) -> None:
    console = Console()
    name = f"{canary.namespace}/{canary.name}" if canary.namespace else canary.name
    console.print(f"[bold]{name}[/]: {len(schedule.steps)} steps of {words.duration(schedule.interval)}")
    console.print(_steps_table(canary, schedule, traffic))
    console.print()
    longest = "no limit" if schedule.longest is None else words.duration(schedule.longest)
    print(f"Earliest promotion after the first traffic: {words.duration(schedule.shortest)}")
    print(f"Latest promotion or rollback after the first traffic: {longest}")
    if schedule.healthy is not None and canary.spec.analysis.compares:
        print(f"Expected promotion of a canary as good as the primary: {words.duration(schedule.healthy)}")
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
        when = "not in this plan"
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
