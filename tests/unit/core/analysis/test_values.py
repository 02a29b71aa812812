"""Which numbers are asked for, one for each side, and how the answers are read."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.canary import Canary
from controller.api.metric import Metric
from controller.api.metric_template import MetricProvider
from controller.api.parse import parse_metric_template
from controller.core.analysis.comparisons import plan_comparison
from controller.core.analysis.values import begin_values, plan_values, read_values, window_of
from controller.core.evidence.readings import Reading
from controller.core.probes import MetricProbe, NoValues, ProbeResult, QueryFailed, Refused, Value
from tests.builders import NOW, WEIGHTED, error_rate_template, make_canary

QUERY = 'avg(cpu{pod=~"{{ pods }}",namespace="{{ namespace }}"}) # {{ workload }} of {{ name }} {{ variables.region }}'
TEMPLATES = {"istio-system/error-rate": error_rate_template()}


def comparing(value: dict[str, Any], **spec: Any) -> tuple[Canary, Metric]:
    asked = {"name": "cpu", "templateVariables": {"region": "eu"}, "compare": {"value": {"better": "lower", **value}}}
    canary = make_canary(analysis={**WEIGHTED, "metrics": [asked]}, **spec)
    return canary, canary.spec.analysis.metrics[0]


def test_a_query_is_asked_for_each_side():
    canary, metric = comparing({"query": QUERY}, metricsServer="http://own:9090")
    own = MetricProvider(type="prometheus", address="http://own:9090")

    def query(workload: str) -> str:
        return f'avg(cpu{{pod=~"{workload}-[a-z0-9]+-[a-z0-9]{{5}}",namespace="prod"}}) # {workload} of backend eu'

    assert plan_values(canary, metric, {}) == (
        MetricProbe("cpu", query("backend"), own, "prod", side="canary"),
        MetricProbe("cpu", query("backend-primary"), own, "prod", side="primary"),
    )


def test_the_target_of_a_template_is_each_side_so_that_a_threshold_and_a_comparison_can_share_it():
    canary, metric = comparing({"templateRef": {"name": "error-rate", "namespace": "istio-system"}})
    template = TEMPLATES["istio-system/error-rate"].spec
    planned = plan_values(canary, metric, TEMPLATES)
    assert [(probe.provider, probe.namespace, probe.key) for probe in planned] == [
        (template.provider, "istio-system", f"value/cpu/{side}") for side in ("canary", "primary")
    ]
    assert ['workload="backend-primary"' in probe.query for probe in planned] == [False, True]


DATADOG = parse_metric_template(
    {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": "errors", "namespace": "prod"},
        "spec": {"provider": {"type": "datadog"}, "query": "avg:errors{service:{{ target }}}"},
    }
)


@pytest.mark.parametrize(
    ("value", "templates", "said"),
    [
        pytest.param({"query": QUERY + "{{ oops }}"}, {}, "placeholder {{ oops }} is unknown", id="a placeholder"),
        pytest.param(
            {"templateRef": {"name": "gone"}}, {}, "MetricTemplate prod/gone does not exist", id="no such template"
        ),
        pytest.param(
            {"templateRef": {"name": "error-rate", "namespace": "istio-system"}},
            {"istio-system/error-rate": error_rate_template(query="up")},
            "the query is the same for canary and primary; {{ workload }} must be in it",
            id="a template that does not tell the sides apart",
        ),
        pytest.param(
            {"templateRef": {"name": "errors"}},
            {"prod/errors": DATADOG},
            "compare.value needs a MetricTemplate of type prometheus, not datadog",
            id="a template for another server",
        ),
    ],
)
def test_what_cannot_be_asked_says_why(value, templates, said):
    canary, metric = comparing(value)
    planned = plan_comparison(canary, metric, templates)
    assert isinstance(planned, QueryFailed)
    assert planned.reason.startswith(said)


ANSWERS: tuple[tuple[ProbeResult, ProbeResult, Reading | QueryFailed], ...] = (
    (Value(0.5), Value(0.4), Reading({"value": (0.5,)}, {"value": (0.4,)})),
    (NoValues(), Value(0.4), Reading({}, {"value": (0.4,)})),
    (Value(0.5), NoValues(), Reading({"value": (0.5,)})),
    (Value(0.5), QueryFailed("refused"), QueryFailed("refused")),
    (QueryFailed("first"), QueryFailed("second"), QueryFailed("first")),
)


@pytest.mark.parametrize(("of_canary", "of_primary", "read"), ANSWERS, ids=str)
def test_the_answers_are_the_two_numbers(of_canary, of_primary, read):
    assert read_values(of_canary, of_primary) == read


def test_an_answer_that_is_none_is_a_mistake_of_the_program():
    with pytest.raises(TypeError, match="a value is answered by Value, NoValues or QueryFailed, not by Refused"):
        read_values(Value(1.0), Refused("no"))


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("queue_length", 0),
        ("avg(rate(cpu[1m]))", 60),
        ("rate(a[1m30s]) / rate(b[ 5m ])", 300),
        ("max_over_time(rate(a[1m])[10m:30s])", 600),
        ("max_over_time(up[10m:])", 600),
        ('a{b="[5m"} + c{d=~"[a-z]"}', 0),
    ],
)
def test_how_far_a_query_reaches_back_is_its_longest_range(query, seconds):
    assert window_of(query) == seconds


def test_an_edited_query_starts_again_and_another_placeholder_s_value_does_too():
    canary, metric = comparing({"query": QUERY})
    before = begin_values(canary, metric, NOW, QUERY)
    assert before.answers(begin_values(canary, metric, NOW))
    for update in ({"template_variables": {"region": "us"}}, {"interval": "5m"}):
        assert not before.answers(begin_values(canary, metric.model_copy(update=update), NOW))
    assert not before.answers(begin_values(*comparing({"query": f"1 + {QUERY}"}), NOW))
