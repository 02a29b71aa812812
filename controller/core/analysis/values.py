"""``compare.value``: the two queries for the number of each side, and what their answers mean."""

from __future__ import annotations

import re
from datetime import datetime

from controller.api.canary import Canary
from controller.api.durations import is_duration, parse_duration
from controller.api.metric import Metric
from controller.api.side_queries import CompareValue
from controller.core.analysis.counters import digest, question_of
from controller.core.analysis.side_queries import render_sides
from controller.core.analysis.thresholds import TemplateError, Templates, find_source
from controller.core.evidence.readings import Reading
from controller.core.evidence.values import VALUE, ValueComparison
from controller.core.probes import MetricProbe, NoValues, ProbeResult, QueryFailed, Value

_RANGE = re.compile(r"\[\s*([0-9a-z.]+)\s*(?::[^\]]*)?\]")
"""A range in PromQL: ``[5m]``, or ``[5m:30s]`` of a subquery."""


def plan_values(canary: Canary, metric: Metric, templates: Templates) -> tuple[MetricProbe, MetricProbe]:
    """The queries for the canary's and the primary's number.

    Raises:
        TemplateError: the template is missing, has an unknown placeholder, does not tell the sides apart, or is not
            for Prometheus: of no other query is it known how far back it looks, so how far looks overlap.
    """
    value = _value_of(metric)
    source = find_source(canary, value.template_ref, value.query or "", templates)
    if source.provider is not None and source.provider.type != "prometheus":
        raise TemplateError(f"compare.value needs a MetricTemplate of type prometheus, not {source.provider.type}")
    of_canary, of_primary = render_sides(canary, metric, source.query)
    return (
        MetricProbe(metric.name, of_canary, source.provider, source.namespace, side="canary"),
        MetricProbe(metric.name, of_primary, source.provider, source.namespace, side="primary"),
    )


def read_values(of_canary: ProbeResult, of_primary: ProbeResult) -> Reading | QueryFailed:
    """The two numbers as a reading; a side without one has none in it."""
    failed = next((answer for answer in (of_canary, of_primary) if isinstance(answer, QueryFailed)), None)
    return failed or Reading(_side(of_canary), _side(of_primary))


def _side(answer: ProbeResult) -> dict[str, tuple[float, ...]]:
    match answer:
        case Value(number):
            return {VALUE: (number,)}
        case NoValues():
            return {}
        case _:
            raise TypeError(f"a value is answered by Value, NoValues or QueryFailed, not by {answer!r}")


def begin_values(canary: Canary, metric: Metric, now: datetime, query: str = "") -> ValueComparison:
    """A comparison of the numbers of looks after ``now``; ``query`` as it is sent, for how far back it reaches."""
    if metric.compare is None:
        raise TypeError(f"metric {metric.name} has no compare")
    value = _value_of(metric)
    asked = (value.query, value.template_ref, metric.interval, sorted(metric.template_variables.items()))
    return ValueComparison(
        question=question_of(canary, metric.compare),
        better=value.better,
        since=now,
        query=digest(repr(asked)),
        window=window_of(query),
    )


def window_of(query: str) -> float:
    """Seconds that a query of PromQL reaches back: its longest range; 0 without one."""
    ranges = (text for text in _RANGE.findall(query) if is_duration(text))
    return max(map(parse_duration, ranges), default=0.0)


def _value_of(metric: Metric) -> CompareValue:
    if metric.compare is None or metric.compare.value is None:
        raise TypeError(f"metric {metric.name} has no compare.value")
    return metric.compare.value
