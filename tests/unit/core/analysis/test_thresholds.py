"""Which queries are run, and what their answers mean."""

from __future__ import annotations

import math
from typing import Any

import pytest

from controller.api.metric_template import MetricProvider
from controller.core.analysis.thresholds import (
    TemplateError,
    judge,
    missing_templates,
    number_of,
    plan_query,
    render_query,
)
from controller.core.model import Check
from controller.core.probes import MetricProbe, NoValues, Passed, ProbeResult, QueryFailed, Sample, Value
from tests.builders import ERROR_RATE, WEIGHTED, error_rate_template, make_canary

SUCCESS_RATE = {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"}
DURATION = {"name": "request-duration", "thresholdRange": {"max": 500}, "interval": "30s"}
TEMPLATES = {"istio-system/error-rate": error_rate_template()}

DESTINATION = 'reporter="destination",destination_workload_namespace="prod",destination_workload=~"backend"'


def canary_with(*metrics: Any, **spec: Any) -> Any:
    return make_canary(analysis={**WEIGHTED, "metrics": list(metrics)}, **spec)


def plan(metric: Any, **spec: Any) -> MetricProbe | QueryFailed:
    canary = canary_with(metric, **spec)
    return plan_query(canary, canary.spec.analysis.metrics[0], TEMPLATES)


def test_the_success_rate_is_0_without_a_success_and_empty_without_traffic():
    """Flagger's is empty where nothing succeeds, since the numerator then has no series."""
    assert plan(SUCCESS_RATE) == MetricProbe(
        "request-success-rate",
        f'100 * (sum(rate(istio_requests_total{{{DESTINATION},response_code!~"5.*"}}[1m])) or on() vector(0))'
        f" / (sum(rate(istio_requests_total{{{DESTINATION}}}[1m])) > 0)",
        None,
        "prod",
    )


def test_the_request_duration_is_the_99th_percentile_in_milliseconds():
    assert plan(DURATION) == MetricProbe(
        "request-duration",
        "histogram_quantile(0.99, sum(rate("
        f"istio_request_duration_milliseconds_bucket{{{DESTINATION}}}[30s])) by (le))",
        None,
        "prod",
        interval=30.0,
    )


def test_a_template_brings_its_provider_and_its_namespace():
    assert plan(ERROR_RATE) == MetricProbe(
        "error-rate",
        'errors{workload="backend",namespace="prod"}[30s]',
        MetricProvider(type="prometheus", address="http://prometheus.istio-system:9090"),
        "istio-system",
        interval=30.0,
    )


def test_a_metrics_server_of_the_canary_answers_what_has_no_template():
    own = MetricProvider(type="prometheus", address="http://own:9090")
    planned = plan({"name": "queue", "query": "up", "thresholdRange": {"min": 1}}, metricsServer="http://own:9090")
    assert planned == MetricProbe("queue", "up", own, "prod")


def test_a_template_without_namespace_is_that_of_the_canary():
    canary = canary_with({**ERROR_RATE, "templateRef": {"name": "error-rate"}})
    assert missing_templates(canary, TEMPLATES) == ("prod/error-rate",)
    assert plan_query(canary, canary.spec.analysis.metrics[0], TEMPLATES) == QueryFailed(
        "MetricTemplate prod/error-rate does not exist"
    )


def test_a_template_that_two_metrics_miss_is_missed_once():
    canary = canary_with(ERROR_RATE, {**ERROR_RATE, "name": "again"})
    assert missing_templates(canary, {}) == ("istio-system/error-rate",)
    assert missing_templates(canary, TEMPLATES) == ()


def test_a_placeholder_that_is_not_known_fails_the_query_and_says_which_are():
    planned = plan({**ERROR_RATE, "templateRef": None, "query": "up{{ variables.region }}"})
    assert isinstance(planned, QueryFailed)
    assert "{{ variables.region }} is unknown, there are: ingress, interval, name" in planned.reason


@pytest.mark.parametrize(
    ("template", "query"),
    [
        ("{{ target }}", "backend"),
        ("{{target}}-{{  namespace  }}", "backend-prod"),
        ("{{- target -}}", "backend"),
        ("{{ variables.region }}", "eu"),
        ("plain {brace}", "plain {brace}"),
        ("{{ target }}{{ target }}", "backendbackend"),
    ],
)
def test_rendering(template, query):
    assert render_query(template, {"target": "backend", "namespace": "prod", "variables.region": "eu"}) == query


@pytest.mark.parametrize("template", ["{{ other }}", "{{ }}", "{{ index variables 1 }}"])
def test_rendering_what_cannot_be_filled(template):
    with pytest.raises(TemplateError, match="is unknown, there are: target"):
        render_query(template, {"target": "backend"})


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        pytest.param("up{{" + " " * 4000, "is not closed", id="blanks without an end"),
        pytest.param("{{" * 4000, "is not closed", id="opened again and again"),
        pytest.param("up{{ {{ target }} }}", "is not closed", id="one in another"),
        pytest.param("{{ target }}" * 20_000, "the query is longer than 100000 characters", id="a query that grows"),
    ],
)
def test_a_template_of_any_size_is_rendered_or_refused_at_once(template, problem):
    with pytest.raises(TemplateError, match=problem):
        render_query(template, {"target": "backend"})


def good(name: str, value: float, detail: str) -> Check:
    return Check(name, passed=True, value=value, detail=detail)


def bad(name: str, value: float | None, detail: str) -> Check:
    return Check(name, passed=False, value=value, detail=detail)


BETWEEN = {"name": "queue", "query": "q", "thresholdRange": {"min": 1, "max": 2}}
NOTHING = (
    "no values found for custom metric: error-rate: its query returns nothing; if backend.prod has no traffic, "
    "add a load test (a webhook of type rollout)"
)
NOT_RECEIVING = "probably backend.prod is not receiving traffic"

VERDICTS: list[tuple[Any, ProbeResult, Check]] = [
    (ERROR_RATE, Value(0.0), good("error-rate", 0.0, "error-rate 0.00")),
    (ERROR_RATE, Value(1.0), good("error-rate", 1.0, "error-rate 1.00")),
    (ERROR_RATE, Value(100.0), bad("error-rate", 100.0, "error-rate 100.00 > 1")),
    (BETWEEN, Value(1.0), good("queue", 1.0, "queue 1.00")),
    (BETWEEN, Value(2.0), good("queue", 2.0, "queue 2.00")),
    (BETWEEN, Value(0.5), bad("queue", 0.5, "queue 0.50 < 1")),
    (BETWEEN, Value(2.5), bad("queue", 2.5, "queue 2.50 > 2")),
    ({"name": "queue", "query": "q"}, Value(0.1), bad("queue", 0.1, "queue 0.10 > 0")),
    ({"name": "queue", "query": "q", "threshold": 5}, Value(5.0), good("queue", 5.0, "queue 5.00")),
    (SUCCESS_RATE, Value(99.0), good("request-success-rate", 99.0, "request-success-rate 99.00")),
    (SUCCESS_RATE, Value(98.0), bad("request-success-rate", 98.0, "success rate 98.00% < 99%")),
    (
        {"name": "request-success-rate", "threshold": 99.5},
        Value(99.4),
        bad("request-success-rate", 99.4, "success rate 99.40% < 99.5%"),
    ),
    (DURATION, Value(500.0), good("request-duration", 500.0, "request-duration 500.00")),
    (DURATION, Value(750.9), bad("request-duration", 750.9, "request duration 750ms > 500ms")),
    (DURATION, Value(1500.0), bad("request-duration", 1500.0, "request duration 1.5s > 500ms")),
    (
        ERROR_RATE,
        NoValues(),
        bad("error-rate", None, NOTHING),
    ),
    (
        SUCCESS_RATE,
        NoValues(),
        bad(
            "request-success-rate",
            None,
            f"no values found for istio metric request-success-rate {NOT_RECEIVING}",
        ),
    ),
    (BETWEEN, NoValues(), bad("queue", None, f"no values found for metric queue {NOT_RECEIVING}")),
    (
        ERROR_RATE,
        Value(math.nan),
        bad("error-rate", None, NOTHING),
    ),
    (ERROR_RATE, Value(math.inf), bad("error-rate", None, "error-rate inf is not a finite number")),
    (
        SUCCESS_RATE,
        Value(math.inf),
        bad("request-success-rate", None, "request-success-rate inf is not a finite number"),
    ),
    (DURATION, Value(-math.inf), bad("request-duration", None, "request-duration -inf is not a finite number")),
    (DURATION, Value(1e300), bad("request-duration", 1e300, "request duration 1e+297s > 500ms")),
    (ERROR_RATE, Value(1e300), bad("error-rate", 1e300, "error-rate 1e+300 > 1")),
    (ERROR_RATE, QueryFailed("503"), bad("error-rate", None, "Metric query failed for error-rate: 503")),
    (BETWEEN, QueryFailed("503"), bad("queue", None, "Prometheus query failed for queue: 503")),
]


@pytest.mark.parametrize(("metric", "answer", "check"), VERDICTS, ids=[check.detail for _, _, check in VERDICTS])
def test_verdict(metric, answer, check):
    canary = canary_with(metric)
    assert judge(canary, canary.spec.analysis.metrics[0], answer) == check


@pytest.mark.parametrize(
    ("samples", "number"),
    [
        ([], NoValues()),
        ([Sample({}, math.nan)], NoValues()),
        ([Sample({"pod": "a"}, 2.0)], Value(2.0)),
        ([Sample({}, math.inf)], Value(math.inf)),
        (
            [Sample({"pod": "a", "code": "500"}, 2.0), Sample({"pod": "b"}, math.nan)],
            QueryFailed("the query gives 2 series, it must give one: {code=500,pod=a}, {pod=b}; aggregate it"),
        ),
        (
            [Sample({"pod": pod}, 2.0) for pod in "abcde"],
            QueryFailed(
                "the query gives 5 series, it must give one: {pod=a}, {pod=b}, {pod=c} and 2 more; aggregate it"
            ),
        ),
    ],
)
def test_the_number_of_a_query(samples, number):
    assert number_of(samples) == number


def test_a_metric_is_not_answered_by_a_webhook():
    canary = canary_with(ERROR_RATE)
    with pytest.raises(TypeError, match="not by Passed"):
        judge(canary, canary.spec.analysis.metrics[0], Passed())
