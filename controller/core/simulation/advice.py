"""What to change in an analysis so that a verdict comes within the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.analysis import Analysis
from controller.api.durations import DEFAULT_INTERVAL_FLOOR_SECONDS, parse_duration
from controller.core.evidence.question import Verdict
from controller.core.simulation.expectations import Expectation, Outlook, Traffic
from controller.core.simulation.steps import plan_looks

INTERVALS = ("10s", "15s", "20s", "30s", "1m", "2m", "3m", "5m", "10m", "15m", "20m", "30m", "1h")
HARMFUL_RATIOS = (2.0, 3.0, 5.0, 10.0)
HARMFUL_MARGINS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
HARMLESS_RATIOS = (1.25, 1.1, 1.0)
HARMLESS_MARGINS = (0.05, 0.02, 0.01, 0.0)


@dataclass(frozen=True, slots=True)
class Change:
    """One edit that brings a verdict within the plan.

    Attributes:
        field: ``interval``, or a field of the metric's ``compare``.
        value: what to set.
        then: what can be expected of the verdict with it.
    """

    field: str
    value: str | float
    then: Expectation


def suggest(
    analysis: Analysis, traffic: Traffic, missed: Expectation, *, floor: float = DEFAULT_INTERVAL_FLOOR_SECONDS
) -> tuple[Change, ...]:
    """The smallest edits, one of each kind, any of which gives a verdict that does not fit the plan.

    More time is always among them where any number of requests is enough. The others ask an easier question: for PASS
    from a larger harm on, for FAIL about a smaller one.
    """
    fields: Mapping[str, tuple[float, ...]] = (
        {"harmful_ratio": HARMFUL_RATIOS, "harmful_margin": HARMFUL_MARGINS}
        if missed.verdict is Verdict.PASS
        else {"harmless_ratio": HARMLESS_RATIOS, "harmless_margin": HARMLESS_MARGINS}
    )
    found = [_first(traffic, missed, floor, longer(analysis))]
    found += [_first(traffic, missed, floor, _asking(analysis, missed, field, fields[field])) for field in fields]
    return tuple(change for change in found if change)


Edit = tuple[str, str | float, Analysis]


def _first(traffic: Traffic, missed: Expectation, floor: float, edits: Iterator[Edit]) -> Change | None:
    for field, value, edited in edits:
        then = expect_again(edited, traffic, missed, floor)
        if then and then.look is not None:
            return Change(field, value, then)
    return None


def expect_again(
    analysis: Analysis, traffic: Traffic, before: Expectation, floor: float = DEFAULT_INTERVAL_FLOOR_SECONDS
) -> Expectation | None:
    """The same expectation of another analysis; None where nothing can be expected."""
    metric = next(each for each in analysis.metrics if each.name == before.metric and each.compare)
    outlook = Outlook.of(analysis, plan_looks(analysis, floor=floor), traffic, metric)
    if outlook is None:
        return None
    return outlook.succeed() if before.verdict is Verdict.PASS else outlook.fail(before.ratio)


def longer(analysis: Analysis) -> Iterator[Edit]:
    for interval in INTERVALS:
        if parse_duration(interval) > analysis.interval_seconds:
            yield "interval", interval, analysis.model_copy(update={"interval": interval})


def _asking(analysis: Analysis, missed: Expectation, field: str, values: tuple[float, ...]) -> Iterator[Edit]:
    compare = next(each.compare for each in analysis.metrics if each.name == missed.metric and each.compare)
    now = getattr(compare.limits, field)
    for value in values:
        if value > now if missed.verdict is Verdict.PASS else value < now:
            yield field, value, with_compare(analysis, missed.metric, {field: value})


def with_compare(analysis: Analysis, name: str, update: Mapping[str, Any]) -> Analysis:
    """The analysis with other values in the ``compare`` of one metric, by their names in Python."""
    metrics = (
        each.model_copy(update={"compare": each.compare.model_copy(update=dict(update))})
        if each.name == name and each.compare
        else each
        for each in analysis.metrics
    )
    return analysis.model_copy(update={"metrics": tuple(metrics)})
