"""Defaults, and properties derived from several fields."""

import pytest

from controller.api import (
    Analysis,
    Bounds,
    CompareLatency,
    HookType,
    Metric,
    MetricSource,
    Strategy,
    Webhook,
    parse_canary,
)
from tests.unit.api.cases import ABSENT, GOOD, changed


def analysis(**fields) -> Analysis:
    return Analysis.model_validate({"interval": "30s", "threshold": 5} | fields)


@pytest.mark.parametrize(
    ("fields", "strategy"),
    [
        ({"stepWeight": 5}, Strategy.WEIGHTED),
        ({"stepWeights": [5]}, Strategy.WEIGHTED),
        ({"stepWeight": 5, "match": [{}]}, Strategy.WEIGHTED),
        ({"iterations": 5, "match": [{"headers": {"a": {"exact": "b"}}}]}, Strategy.AB_TESTING),
        ({"iterations": 5}, Strategy.BLUE_GREEN),
    ],
)
def test_the_strategy_follows_from_steps_iterations_and_match(fields, strategy):
    assert analysis(**fields).strategy is strategy


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"stepWeight": 5}, 100),
        ({"stepWeight": 5, "maxWeight": 0}, 100),
        ({"stepWeight": 5, "maxWeight": 60}, 60),
        ({"stepWeights": [1, 30]}, 30),
        ({"stepWeights": [1, 30], "maxWeight": 20}, 20),
    ],
)
def test_the_weight_limit_is_max_weight_else_the_last_step_else_all(fields, limit):
    assert analysis(**fields).weight_limit == limit


@pytest.mark.parametrize(("written", "failures"), [(-1, 1), (0, 1), (1, 1), (10, 10)])
def test_a_threshold_below_one_means_one(written, failures):
    assert analysis(threshold=written, stepWeight=5).failure_threshold == failures


def test_the_interval_is_kept_as_written_and_has_a_floor_only_when_used():
    quick = analysis(interval="500ms", stepWeight=5)
    assert (quick.interval, quick.interval_seconds) == ("500ms", 0.5)
    assert (quick.tick_seconds(), quick.tick_seconds(floor=1), quick.tick_seconds(floor=0)) == (10, 1, 0.5)
    assert analysis(interval="1m30s", stepWeight=5).tick_seconds() == 90


@pytest.mark.parametrize(
    ("fields", "source", "bounds"),
    [
        ({"name": "request-success-rate"}, MetricSource.BUILTIN, Bounds(low=0)),
        ({"name": "request-success-rate", "threshold": 99}, MetricSource.BUILTIN, Bounds(low=99)),
        ({"name": "request-duration", "threshold": 500}, MetricSource.BUILTIN, Bounds(high=500)),
        ({"name": "request-duration", "thresholdRange": {"max": 0.5}}, MetricSource.BUILTIN, Bounds(high=0.5)),
        ({"name": "a", "query": "up", "threshold": 1}, MetricSource.QUERY, Bounds(high=1)),
        ({"name": "a", "query": "up", "thresholdRange": {"min": 1, "max": 2}}, MetricSource.QUERY, Bounds(1, 2)),
        ({"name": "a", "query": "up", "thresholdRange": {}}, MetricSource.QUERY, Bounds()),
        ({"name": "a", "query": "", "templateRef": {"name": "t"}}, MetricSource.TEMPLATE, Bounds(high=0)),
        ({"name": "request-success-rate", "templateRef": {"name": "t"}}, MetricSource.TEMPLATE, Bounds(high=0)),
        ({"name": "a", "compare": {"errors": {}}}, MetricSource.COMPARISON, None),
        ({"name": "request-duration", "compare": {"errors": {}}}, MetricSource.BUILTIN, None),
        ({"name": "request-duration", "threshold": 5, "compare": {"errors": {}}}, MetricSource.BUILTIN, Bounds(high=5)),
    ],
)
def test_a_metric_knows_where_its_value_comes_from_and_which_values_are_good(fields, source, bounds):
    metric = Metric.model_validate(fields)
    assert (metric.source, metric.bounds) == (source, bounds)


def test_edges_are_milliseconds_in_order_each_once():
    assert CompareLatency(edges=("1s", "100ms", "1000ms", "2.5ms")).edges_ms == (2.5, 100, 1000)


@pytest.mark.parametrize(("written", "means"), [("", HookType.ROLLOUT), ("event", HookType.EVENT)])
def test_a_webhook_without_a_type_is_called_during_the_rollout(written, means):
    assert Webhook.model_validate({"name": "a", "url": "http://a", "type": written}).hook_type is means


def test_flaggers_defaults_hold_where_nothing_is_written():
    spec = parse_canary(GOOD["Canary skipped-and-suspended"]).spec
    webhook = Webhook.model_validate({"name": "a", "url": "http://a"})
    assert (spec.progress_deadline_seconds, spec.service.port_name, spec.service.target_port) == (600, "http", None)
    assert (spec.analysis.primary_ready_threshold, spec.analysis.canary_ready_threshold) == (100, 100)
    assert (webhook.timeout_seconds, webhook.retries, webhook.disable_tls) == (10, 0, False)
    assert Metric.model_validate({"name": "request-duration"}).interval == "1m"


@pytest.mark.parametrize(
    ("service", "apex", "primary", "canary"),
    [
        (ABSENT, "podinfo", "podinfo-primary", "podinfo-canary"),
        ("podinfo-svc", "podinfo-svc", "podinfo-svc-primary", "podinfo-svc-canary"),
        ("", "podinfo", "podinfo-primary", "podinfo-canary"),
    ],
)
def test_services_are_named_after_service_name_and_the_workload_after_the_target(service, apex, primary, canary):
    names = parse_canary(changed(GOOD["Canary everything"], "spec.service.name", service)).names
    assert (names.apex_service, names.primary_service, names.canary_service) == (apex, primary, canary)
    assert (names.target, names.primary, names.virtual_service) == ("podinfo", "podinfo-primary", apex)
