"""``canary plan``: the steps of a rollout, how long it takes, and the traffic that its verdicts need."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from controller.api.durations import DEFAULT_INTERVAL_FLOOR
from controller.cli.errors import CommandError, reports_errors
from controller.cli.manifests import load_canary
from controller.cli.options import FilesOption, NameOption, Output, OutputOption
from controller.cli.plan.report import as_json, find_remarks, print_plan
from controller.cli.plan.traffic import KnownTraffic, find_traffic, parse_seconds
from controller.core.simulation.schedule import plan_schedule


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
    ] = DEFAULT_INTERVAL_FLOOR,
    output: OutputOption = Output.TABLE,
) -> None:
    """Predict how a rollout will run.

    Prints the steps and how long they take. For each metric with compare, prints how many requests a verdict needs and
    when to expect it.
    """
    canary, templates = load_canary(files, name)
    if canary.spec.skip_analysis:
        raise CommandError("spec.skipAnalysis: this Canary is promoted without an analysis, so there is no plan")
    known = KnownTraffic(
        requests_per_second=requests_per_second,
        error_rate=error_rate,
        slow_rate=slow_rate,
        prometheus=prometheus,
        window=window,
    )
    floor = parse_seconds("--minimum-interval", minimum_interval)
    traffic, remarks = find_traffic(canary, known)
    schedule = plan_schedule(canary.spec.analysis, traffic, floor=floor)
    remarks += tuple(find_remarks(canary, templates, schedule, traffic, floor=floor))
    if output is Output.JSON:
        print(json.dumps(as_json(canary, schedule, traffic, remarks), indent=2))
    else:
        print_plan(canary, schedule, traffic, remarks)
