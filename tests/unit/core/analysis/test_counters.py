"""Which counters are asked for, and how the answer is read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import pytest

from controller.api.canary import Canary
from controller.api.compare import CompareErrors, CompareLatency
from controller.api.metric import Metric
from controller.api.metric_template import MetricProvider
from controller.core.analysis.counters import errors_query, latency_query, plan_counters, plan_history, read_samples
from controller.core.analysis.thresholds import TemplateError
from controller.core.evidence.readings import Reading
from controller.core.probes import CounterProbe, HistoryProbe, Sample
from tests.builders import WEIGHTED, make_canary
from tests.golden_files import assert_golden

CANARY, PRIMARY = "backend", "backend-primary"

NAMES: Mapping[str, dict[str, Any]] = {
    "plain names": {},
    "a target whose name has dots, a Service of another name": {
        "name": "web",
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web.v2.eu"},
        "service": {"name": "front"},
    },
}


def own_counters(canary: Canary, **queries: str) -> Metric:
    """A metric that compares counters of its own, as one of the Canary's."""
    asked = {
        "bad": 'orders_total{namespace="{{ namespace }}",pod=~"{{ pods }}",result="failed"} # of {{ workload }}',
        "total": 'orders_total{namespace="{{ namespace }}",app="{{ workload }}"}',
        **queries,
    }
    metric = {"name": "orders", "compare": {"counters": asked}}
    return make_canary(name=canary.name, analysis={**WEIGHTED, "metrics": [metric]}).spec.analysis.metrics[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_queries(name):
    canary = make_canary(**NAMES[name])
    assert_golden(
        f"core/counter-queries-{name.replace(' ', '-').replace(',', '')}",
        {
            "errors": errors_query(canary, CompareErrors()),
            "errors by other codes": errors_query(canary, CompareErrors(response_codes="5..|429")),
            "latency": latency_query(canary, (100.0, 2500.0)),
            "own counters": plan_counters(canary, own_counters(canary)).query,
        },
    )


@pytest.mark.parametrize(
    ("codes", "string"),
    [
        pytest.param('5.."', r'"(5..\")|0"', id="a quote"),
        pytest.param(r"5\d\d", r'"(5\\d\\d)|0"', id="a backslash"),
        pytest.param("5..\n", r'"(5..\n)|0"', id="a line break"),
        pytest.param('") or vector(0) #', r'"(\") or vector(0) #)|0"', id="what would be a query of its own"),
        pytest.param("5é.", '"(5é.)|0"', id="a letter that is not ASCII"),
        pytest.param("5..|429", '"(5..|429)|0"', id="two codes beside 0 for a caller that went away"),
    ],
)
def test_response_codes_stay_within_their_string(codes, string):
    query = errors_query(make_canary(), CompareErrors(response_codes=codes))
    assert f', "bad", "true", "response_code", {string})' in query
    query = errors_query(make_canary(), CompareErrors(grpc_statuses="x" + codes))
    assert ', "bad", "true", "grpc_response_status", ' in query


@pytest.mark.parametrize(
    ("edge", "wanted"),
    [
        pytest.param("100ms", r"100|100\\.0", id="a whole number is 100.0 in Prometheus 3"),
        pytest.param("0.5ms", r"0\\.5", id="a part of a millisecond is the same in both"),
        pytest.param("9ms", r"9|9\\.0", id="a number that 0.009 * 1000 misses by a bit"),
        pytest.param("30m", r"1800000|1\\.8e\\+06", id="from a million on Prometheus 3 has an exponent"),
        pytest.param("1h", r"3600000|3\\.6e\\+06", id="the last edge of Istio"),
        pytest.param("1234.567s", r"1234567|1\\.234567e\\+06", id="no digit is lost"),
    ],
)
def test_an_edge_is_asked_for_as_every_prometheus_spells_it(edge, wanted):
    query = latency_query(make_canary(), CompareLatency(edges=(edge,)).edges_ms)
    assert query.endswith(rf',le=~"{wanted}|\\+Inf"}})')


def requests(
    workload: str, instance: str, good: float, bad: float = 0, *, reporter: str = "destination"
) -> list[Sample]:
    labels = {"destination_workload": workload, "reporter": reporter, "instance": instance}
    return [Sample(labels, good), *([Sample({**labels, "bad": "true"}, bad)] if bad else [])]


def counter(workload: str, instance: str, count: str, value: float) -> Sample:
    """A counter of `own_counters`."""
    labels = {"destination_workload": workload, "count": count}
    return Sample({**labels, "instance": instance} if instance else labels, value)


def bucket(le: str, count: float, instance: str = "a") -> Sample:
    labels = {"destination_workload": CANARY, "reporter": "destination", "instance": instance, "le": le}
    return Sample(labels, count)


@pytest.mark.parametrize(
    ("samples", "reading"),
    [
        pytest.param([], Reading(), id="nothing was counted yet"),
        pytest.param(
            [*requests(CANARY, "a", 90, 10), *requests(PRIMARY, "b", 900)],
            Reading({"destination/a": (100, 10)}, {"destination/b": (900, 0)}),
            id="good and bad of a pod are its total",
        ),
        pytest.param(
            [*requests(CANARY, "a", 90), *requests(CANARY, "gateway", 0, 5, reporter="source")],
            Reading({"destination/a": (90, 0), "source/gateway": (5, 5)}),
            id="what a gateway could not bring to a pod is a series of its own",
        ),
        pytest.param(
            [Sample({"destination_workload": CANARY, "reporter": "destination", "bad": "true", "instance": "a"}, 3)],
            Reading({"destination/a": (3, 3)}),
            id="a pod that only fails",
        ),
        pytest.param(requests("frontend", "a", 90), Reading(), id="another workload is nobody's"),
        pytest.param(
            [counter(CANARY, "a", "total", 90), counter(CANARY, "a", "bad", 10), counter(PRIMARY, "b", "total", 900)],
            Reading({"destination/a": (90, 10)}, {"destination/b": (900, 0)}),
            id="of other counters the bad are among the total, and none are no bad ones",
        ),
        pytest.param(
            [
                *requests(CANARY, "a", 90),
                *(Sample({"reporter": "source", "instance": who}, 0) for who in ("web", "gw")),
            ],
            Reading({"destination/a": (90, 0)}, callers=("gw", "web")),
            id="callers are known though nothing failed to reach a pod",
        ),
    ],
)
def test_samples_are_read_by_side_and_series(samples, reading):
    assert read_samples(make_canary(), samples) == reading


@pytest.mark.parametrize(
    ("samples", "slower"),
    [
        pytest.param([bucket("100", 5), bucket("1000", 8), bucket("+Inf", 9)], (9, 4, 1), id="as Envoy spells edges"),
        pytest.param([bucket("100.0", 5), bucket("1000.0", 8), bucket("+Inf", 9)], (9, 4, 1), id="as Prometheus 3"),
        pytest.param(
            [bucket("100", 5), bucket("100.0", 7), bucket("1000", 8), bucket("+Inf", 9)],
            (9, 2, 1),
            id="of both spellings after an upgrade the one that still counts",
        ),
        pytest.param(
            [bucket("100", 10), bucket("1000", 8), bucket("+Inf", 9)],
            (9, math.nan, 1),
            id="more below an edge than there are requests is no count",
        ),
    ],
)
def test_buckets_are_read_as_the_requests_above_each_edge(samples, slower):
    reading = read_samples(make_canary(), samples, (100, 1000))
    assert reading.problem is None
    assert reading.canary["destination/a"] == pytest.approx(slower, nan_ok=True)


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        ([bucket("100", 5), bucket("+Inf", 9)], "no bucket up to 123 ms; of those asked it has 100, +Inf"),
        ([bucket("100", 5), bucket("123", 5)], "no bucket up to +Inf ms; of those asked it has 100, 123"),
        ([bucket("7", 5)], "no bucket up to 100, 123, +Inf ms; of those asked it has none"),
    ],
)
def test_an_edge_that_the_histogram_does_not_have_is_named(samples, problem):
    assert read_samples(make_canary(), samples, (100, 123)).problem == f"the canary's histogram has {problem}"


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        pytest.param(
            [counter(CANARY, "", "total", 90)],
            "a series has no label instance, so its pod is not known",
            id="summed over all pods",
        ),
        pytest.param(
            [counter(CANARY, "a", "total", 90), counter(PRIMARY, "a", "total", 90)],
            "a counts for both the canary and the primary; a pod belongs to one of them",
            id="one pod on both sides",
        ),
        pytest.param([counter(PRIMARY, "b", "bad", 9)], "b has bad events and no total", id="bad ones of no total"),
        pytest.param(
            [*requests(CANARY, "gateway", 9, reporter="source"), *requests(PRIMARY, "gateway", 9, reporter="source")],
            None,
            id="a caller calls both sides",
        ),
    ],
)
def test_series_that_are_not_the_pods_of_one_workload_each_are_a_problem(samples, problem):
    assert read_samples(make_canary(), samples).problem == problem


@pytest.mark.parametrize(
    ("total", "said"),
    [
        pytest.param("x{a='{{ workload }}{{ oops }}'}", "placeholder {{ oops }} is unknown", id="unknown"),
        pytest.param("x{a='{{ workload }}'} {{ oops", "placeholder {{ oops is not closed", id="not closed"),
    ],
)
def test_a_counter_that_cannot_be_asked_for_says_why(total, said):
    canary = make_canary()
    with pytest.raises(TemplateError, match=re.escape(said)):
        plan_counters(canary, own_counters(canary, total=total))


@pytest.mark.parametrize("value", [math.nan, -1.0, -math.inf])
def test_a_sample_that_is_no_count_is_not_taken_for_one(value):
    read = read_samples(make_canary(), requests(CANARY, "a", value, 5))
    assert math.isnan(read.canary["destination/a"][0])


def test_the_counters_are_asked_from_the_canary_s_own_prometheus_where_it_names_one():
    canary = make_canary(
        analysis={**WEIGHTED, "metrics": [{"name": "errors", "compare": {"errors": {}}}]},
        metricsServer="http://own:9090",
    )
    probe = plan_counters(canary, canary.spec.analysis.metrics[0])
    provider = MetricProvider(type="prometheus", address="http://own:9090")
    assert probe == CounterProbe("errors", probe.query, provider, "prod")
    assert 'destination_workload=~"backend|backend-primary"' in probe.query


@pytest.mark.parametrize(
    ("interval", "looks", "step"), [(10, 60, 10), (60, 60, 60), (600, 6, 600), (7200, 2, 7200), (0.2, 60, 1)]
)
def test_the_primary_s_past_is_read_at_the_interval_for_an_hour_at_most(interval, looks, step):
    canary = make_canary(analysis={**WEIGHTED, "metrics": [{"name": "errors", "compare": {"errors": {}}}]})
    metric = canary.spec.analysis.metrics[0]
    query = plan_counters(canary, metric).query
    assert plan_history(canary, metric, interval) == HistoryProbe("errors", query, looks, step, None, "prod")
