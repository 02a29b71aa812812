"""Metrics of an analysis: which queries to run, and what their answers mean.

Messages are Flagger's (flagger/pkg/controller/scheduler_metrics.go, v1.44).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from controller.api import promql
from controller.api.canary import Canary
from controller.api.durations import parse_duration, promql_duration
from controller.api.errors import CanaryError
from controller.api.metric import REQUEST_DURATION, REQUEST_SUCCESS_RATE, Bounds, Metric, MetricSource
from controller.api.metric_template import MetricProvider, MetricTemplate
from controller.api.references import NamespacedRef
from controller.core.model import Check
from controller.core.probes import MetricProbe, NoValues, ProbeResult, QueryFailed, Sample, Value

BUILTIN_QUERIES: Mapping[str, str] = {
    REQUEST_SUCCESS_RATE: promql.success_rate(promql.TARGET, promql.INTERVAL),
    REQUEST_DURATION: promql.latency(promql.TARGET, promql.INTERVAL),
}
"""Istio's own two metrics, percent and milliseconds."""

Templates: TypeAlias = Mapping[str, MetricTemplate | str]
"""MetricTemplates by ``NAMESPACE/NAME``, or what is wrong with one."""

MAX_QUERY = 100_000
"""Characters of a rendered query. Variables within a template could multiply without end."""


class TemplateError(CanaryError):
    """A query cannot be made: its template is missing, or has a placeholder that cannot be filled."""


def render_query(template: str, values: Mapping[str, str]) -> str:
    """``template`` with each ``{{ key }}`` replaced by ``values[key]``; keys as in ``target`` or ``variables.region``.

    Raises:
        TemplateError: a placeholder is unknown (an error in Flagger too, for a key missing from ``variables``) or not
            closed, or the query is longer than ``MAX_QUERY``.
    """
    first, *rest = template.split("{{")
    parts, length = [first], len(first)
    for piece in rest:
        placeholder, closed, after = piece.partition("}}")
        if not closed:
            raise TemplateError(f"placeholder {{{{{placeholder[:50]} is not closed: }}}} is missing")
        key = placeholder.removeprefix("-").removesuffix("-").strip()
        if key not in values:
            known = ", ".join(sorted(values))
            raise TemplateError(f"placeholder {{{{ {key[:50]} }}}} is unknown, there are: {known[:300]}")
        parts += [values[key], after]
        length += len(values[key]) + len(after)
        if length > MAX_QUERY:
            raise TemplateError(f"the query is longer than {MAX_QUERY} characters")
    return "".join(parts)


def missing_templates(canary: Canary, templates: Templates, *, dry_runs: bool = True) -> tuple[str, ...]:
    """``NAMESPACE/NAME`` of the MetricTemplates that metrics refer to, dry runs or not, and that do not exist."""
    return tuple(key for key in _wanted(canary, dry_runs=dry_runs) if key not in templates)


def broken_templates(canary: Canary, templates: Templates, *, dry_runs: bool = True) -> tuple[str, ...]:
    """What is wrong with the MetricTemplates that metrics refer to, dry runs or not."""
    found = (templates.get(key) for key in _wanted(canary, dry_runs=dry_runs))
    return tuple(problem for problem in found if isinstance(problem, str))


def _wanted(canary: Canary, *, dry_runs: bool) -> tuple[str, ...]:
    metrics = (metric for metric in canary.spec.analysis.metrics if dry_runs or not metric.dry_run)
    wanted = (each.key(canary.namespace) for metric in metrics for each in metric.template_refs.values())
    return tuple(dict.fromkeys(wanted))


def plan_query(canary: Canary, metric: Metric, templates: Templates) -> MetricProbe | QueryFailed:
    """The query to run for a metric, or why there is none."""
    written = metric.query or BUILTIN_QUERIES.get(metric.name, "")
    try:
        source = find_source(canary, metric.template_ref, written, templates)
        query = render_query(source.query, query_values(canary, metric))
    except TemplateError as error:
        return QueryFailed(str(error))
    same_name = [other for other in canary.spec.analysis.metrics if other.name == metric.name]
    earlier = next((index for index, other in enumerate(same_name) if other is metric), 0)
    interval = parse_duration(metric.interval)
    return MetricProbe(metric.name, query, source.provider, source.namespace, earlier, interval=interval)


class Source(NamedTuple):
    """A query as it is written, who answers (None: the controller's own metrics server), and where its Secret is."""

    query: str
    provider: MetricProvider | None
    namespace: str


def find_source(canary: Canary, reference: NamespacedRef | None, query: str, templates: Templates) -> Source:
    """The MetricTemplate that is referred to, else ``query``. Raises TemplateError for one missing or broken."""
    if reference is None:
        address = canary.spec.metrics_server
        return Source(query, MetricProvider(type="prometheus", address=address) if address else None, canary.namespace)
    key = reference.key(canary.namespace)
    found = templates.get(key, f"MetricTemplate {key} does not exist")
    if isinstance(found, str):
        raise TemplateError(found)
    return Source(found.spec.query, found.spec.provider, key.partition("/")[0])


def query_values(canary: Canary, metric: Metric) -> dict[str, str]:
    """What a query's placeholders stand for, without their braces."""
    return {
        "name": canary.name,
        "namespace": canary.namespace,
        "target": canary.names.target,
        "service": canary.names.apex_service,
        "ingress": "",
        "route": "",
        "interval": promql_duration(metric.interval),
        **{f"variables.{key}": value for key, value in metric.template_variables.items()},
    }


def number_of(samples: Sequence[Sample]) -> Value | NoValues | QueryFailed:
    """The number that an instant query gives. NaN, or nothing, is no value.

    Of several series Flagger takes the last, whichever that is; here they are an error that names them.
    """
    if len(samples) > 1:
        named = ", ".join(_series(sample) for sample in samples[:3])
        more = f" and {len(samples) - 3} more" if len(samples) > 3 else ""
        return QueryFailed(f"the query gives {len(samples)} series, it must give one: {named}{more}; aggregate it")
    if not samples or math.isnan(samples[0].value):
        return NoValues()
    return Value(samples[0].value)


def _series(sample: Sample) -> str:
    labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
    return f"{{{labels[:100]}}}"


def judge(canary: Canary, metric: Metric, result: ProbeResult) -> Check:
    """One metric's verdict; ``detail`` says it as Flagger's events do, without ``Halt C.n advancement``."""
    match result:
        case Value(value) if math.isfinite(value):
            return _judge_value(metric, value)
        case Value(value) if math.isinf(value):
            return Check(metric.name, passed=False, value=None, detail=f"{metric.name} {value} is not a finite number")
        case NoValues() | Value():
            return Check(metric.name, passed=False, value=None, detail=_no_values(canary, metric))
        case QueryFailed(reason):
            kind = "Metric query" if metric.source is MetricSource.TEMPLATE else "Prometheus query"
            return Check(metric.name, passed=False, value=None, detail=f"{kind} failed for {metric.name}: {reason}")
        case _:
            raise TypeError(f"a metric is answered by Value, NoValues or QueryFailed, not by {result!r}")


def _judge_value(metric: Metric, value: float) -> Check:
    low, high = metric.bounds or Bounds()
    if low is not None and value < low:
        return Check(metric.name, passed=False, value=value, detail=_compare(metric, value, "<", low))
    if high is not None and value > high:
        return Check(metric.name, passed=False, value=value, detail=_compare(metric, value, ">", high))
    return Check(metric.name, passed=True, value=value, detail=f"{metric.name} {_number(value)}")


def _compare(metric: Metric, value: float, sign: str, bound: float) -> str:
    if metric.source is MetricSource.BUILTIN and metric.name == REQUEST_SUCCESS_RATE:
        return f"success rate {_number(value)}% {sign} {bound:g}%"
    if metric.source is MetricSource.BUILTIN:
        return f"request duration {_milliseconds(value)} {sign} {_milliseconds(bound)}"
    return f"{metric.name} {_number(value)} {sign} {bound:g}"


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 1e15 else f"{value:g}"


def _milliseconds(value: float) -> str:
    """As Go prints a duration: whole milliseconds below a second, seconds above."""
    return f"{int(value)}ms" if abs(value) < 1000 else f"{int(value) / 1000:g}s"


def _no_values(canary: Canary, metric: Metric) -> str:
    receiver = f"{canary.names.target}.{canary.namespace}"
    if metric.source is MetricSource.TEMPLATE:
        return (
            f"no values found for custom metric: {metric.name}: its query returns nothing; "
            f"if {receiver} has no traffic, add a load test (a webhook of type rollout)"
        )
    source = "istio metric" if metric.source is MetricSource.BUILTIN else "metric"
    return f"no values found for {source} {metric.name} probably {receiver} is not receiving traffic"
