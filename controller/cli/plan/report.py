"""A plan as a table and as JSON, with remarks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.alias_generators import to_camel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from controller.api import Canary, MetricTemplate, Strategy, unsupported_fields
from controller.api.durations import DEFAULT_INTERVAL_FLOOR_SECONDS
from controller.cli.tables import new_table
from controller.core.analysis.comparisons import plan_comparison
from controller.core.analysis.counters import question_of
from controller.core.analysis.sides import doubts
from controller.core.analysis.values import window_of
from controller.core.evidence.question import Verdict
from controller.core.evidence.values import most_scatter
from controller.core.probes import QueryFailed
from controller.core.simulation.advice import Change, suggest
from controller.core.simulation.expectations import Expectation, Traffic
from controller.core.simulation.schedule import Schedule
from controller.views import words


def find_remarks(
    canary: Canary,
    templates: Mapping[str, MetricTemplate],
    schedule: Schedule,
    traffic: Traffic | None,
    *,
    floor: float = DEFAULT_INTERVAL_FLOOR_SECONDS,
) -> Iterator[str]:
    """What to know before the rollout starts; ``floor`` is the controller's least interval, seconds."""
    analysis = canary.spec.analysis
    if refused := unsupported_fields(canary):
        yield f"The controller rejects this Canary: {'; '.join(refused)}."
    if schedule.longest is None:
        yield "A closed gate (confirm-traffic-increase, confirm-promotion) can block the rollout without limit."
    yield from _value_remarks(canary, templates, schedule)
    compared = [metric.name for metric in analysis.metrics if metric.compare and not metric.compare.value]
    if not compared:
        return
    yield from (f"{path}: {doubt}." for path, doubt in doubts(canary))
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
    yield from (
        " ".join(_out_of_reach(canary, each, suggest(analysis, traffic, each, floor=floor)))
        for each in schedule.expectations
        if each.look is None and not each.dry_run
    )


def _value_remarks(canary: Canary, templates: Mapping[str, MetricTemplate], schedule: Schedule) -> Iterator[str]:
    """How much each value may scatter for a verdict within the plan; looks whose queries overlap count once."""
    for metric in canary.spec.analysis.metrics:
        if metric.compare is None or metric.compare.value is None:
            continue
        planned, question = plan_comparison(canary, metric, templates), question_of(canary, metric.compare)
        if isinstance(planned, QueryFailed):
            yield f"{metric.name}: {planned.reason}."
            continue
        every = max(1, math.ceil(window_of(planned[0].query) / schedule.interval)) * schedule.interval
        lasts = len(schedule.steps) * schedule.interval - metric.compare.warmup_seconds
        looks = max(0, math.floor(lasts / every))
        counted = f"{metric.name}: {looks} looks count, one every {words.duration(every)}"
        scatter = most_scatter(question, looks)
        if scatter:
            harm = words.ratio(question.harmful.ratio)
            yield (
                f"{counted}. FAIL at {harm} as bad and PASS at as good need the canary's value over the primary's to"
                f" scatter by less than {scatter:.0%} from look to look."
            )
        else:
            yield f"{counted}: too few for a verdict; make the analysis longer."


def _out_of_reach(canary: Canary, each: Expectation, changes: tuple[Change, ...]) -> Iterator[str]:
    """What a verdict that does not fit the plan means, and which edits it would fit with."""
    needs = f"needs {words.count(each.needs)}" if math.isfinite(each.needs) else "cannot be reached with any number of"
    yield (
        f"{each.metric}: {each.verdict} of a canary {_as_bad(each)} {needs} canary requests, the plan counts"
        f" {words.count(each.gets)}:"
    )
    if each.verdict is Verdict.FAIL:
        yield "the analysis is too short to detect such a canary."
    else:
        ends = {"gate": "wait for approval without a verdict", "rollback": "be rolled back without a verdict"}
        end = ends.get(canary.spec.analysis.on_inconclusive or "", "be promoted without proof")
        yield f"even a canary as good as the primary would {end}."
    if changes:
        yield f"It fits with {', or with '.join(map(_change, changes))}."


def _as_bad(each: Expectation) -> str:
    return "as good" if each.ratio == 1 else f"{words.ratio(each.ratio)} as bad"


def _change(change: Change) -> str:
    value = change.value if isinstance(change.value, str) else f"{change.value:g}"
    when = f"{change.then.verdict} after {words.duration(change.then.seconds or 0)}"
    return f"{to_camel(change.field)}: {value} ({when})"


def print_plan(canary: Canary, schedule: Schedule, traffic: Traffic | None, remarks: tuple[str, ...]) -> None:
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
    ab_testing = canary.spec.analysis.strategy is Strategy.AB_TESTING
    columns = ["STEP", "AT", "MATCHED TO CANARY" if ab_testing else "CANARY"]
    if traffic and not ab_testing:
        columns.append("CANARY REQUESTS")
    table = new_table(*columns, right=columns)
    per_step = traffic.requests_per_second * schedule.interval if traffic else 0.0
    for step in schedule.steps:
        share = "copy" if step.routes.mirrored else f"{step.routes.canary_weight}%"
        copied = canary.spec.analysis.mirror_weight or 100
        part = (copied if step.routes.mirrored else step.routes.canary_weight) / 100
        cells = [str(step.number), words.duration(step.begins_at), share]
        table.add_row(*cells, *([words.count(part * per_step)] if traffic and not ab_testing else []))
    return table


def _verdict_table(schedule: Schedule) -> Table:
    table = new_table("METRIC", "CANARY IS", "VERDICT", "CANARY REQUESTS", "EXPECTED AT", right={"CANARY REQUESTS"})
    for each in schedule.expectations:
        when = "not in this plan"
        if each.look is not None and each.seconds is not None:
            when = f"look {each.look}, after {words.duration(each.seconds)}"
        name = f"{each.metric} (dry run)" if each.dry_run else each.metric
        table.add_row(Text(name), _as_bad(each), str(each.verdict), words.count(each.needs), when)
    return table


def as_json(canary: Canary, schedule: Schedule, traffic: Traffic | None, remarks: tuple[str, ...]) -> dict[str, Any]:
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
                "canaryRequests": words.finite(each.needs),
                "countedInPlan": each.gets,
                "look": each.look,
                "seconds": each.seconds,
                "dryRun": each.dry_run,
            }
            for each in schedule.expectations
        ],
        "remarks": list(remarks),
    }
