"""Unsupported fields are reported with their path; supported fields are not."""

import pytest

from controller.api import (
    AlertProvider,
    Canary,
    MetricTemplate,
    parse_alert_provider,
    parse_canary,
    parse_metric_template,
    unsupported_fields,
)
from controller.api.base import Model
from controller.api.crd import object_schema
from controller.api.support import UNSUPPORTED
from tests.unit.api.cases import GOOD, changed

NOT_COMPARED = "compare does not use it; set thresholdRange too"
TCP = {"port": 9898, "appProtocol": "tcp"}
MODELS: dict[str, type[Model]] = {"Canary": Canary, "MetricTemplate": MetricTemplate, "AlertProvider": AlertProvider}


@pytest.mark.parametrize(
    "name", ["weighted", "ab-testing", "blue-green-mirrored", "daemon-set", "older-forms", "skipped-and-suspended"]
)
def test_a_canary_with_supported_fields_only_has_nothing_to_report(name):
    assert unsupported_fields(parse_canary(GOOD[f"Canary {name}"])) == ()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("spec.provider", "nginx", "spec.provider: only istio is supported"),
        (
            "spec.targetRef.kind",
            "Service",
            "spec.targetRef.kind: clients outside the mesh follow it at once; name the workload behind it",
        ),
        (
            "spec.targetRef.kind",
            "DaemonSet",
            "spec.autoscalerRef: a DaemonSet has a pod on each node, whatever its load",
        ),
        (
            "spec.service",
            {"port": 9898, "appProtocol": "TCP", "timeout": "5s"},
            "spec.service.timeout: used with HTTP only, not with service.appProtocol: tcp",
        ),
        (
            "spec.service",
            {"port": 9898, "appProtocol": "tcp", "match": [{"port": 1}, {"uri": {"prefix": "/"}}]},
            "spec.service.match: with appProtocol: tcp only gateways, port, sourceLabels, sourceNamespace",
        ),
        (
            "spec",
            {**GOOD["Canary weighted"]["spec"], "service": TCP, "group": "shop", "groupHeader": "x-shop"},
            "spec.groupHeader: used with HTTP only, not with service.appProtocol: tcp",
        ),
        (
            "spec.autoscalerRef.primaryScalerQueries",
            {"load": "up"},
            "spec.autoscalerRef.primaryScalerQueries: used with a ScaledObject only",
        ),
        (
            "spec.autoscalerRef",
            {"apiVersion": "keda.sh/v2", "kind": "ScaledObject", "name": "backend"},
            "spec.autoscalerRef.apiVersion: only keda.sh/v1alpha1 is supported",
        ),
        (
            "spec.analysis.match",
            [{}, {"headers": {"user-agent": {"suffix": "x"}}}],
            "spec.analysis.match[1].headers[user-agent].suffix: Istio cannot match by suffix; use regex",
        ),
        (
            "spec.analysis.metrics",
            [{"name": "a", "interval": "5m", "compare": {"errors": {}}}],
            f"spec.analysis.metrics[0].interval: {NOT_COMPARED}",
        ),
        (
            "spec.analysis.metrics",
            [{"name": "request-duration", "compare": {"errors": {}}, "templateVariables": {"a": "b"}}],
            f"spec.analysis.metrics[0].templateVariables: {NOT_COMPARED}",
        ),
    ],
)
def test_an_unsupported_field_is_reported_with_its_path(field, value, said):
    assert unsupported_fields(parse_canary(changed(GOOD["Canary weighted"], field, value))) == (said,)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("spec.service", {"port": 80, "appProtocol": "tcp", "match": [{"port": 80, "sourceLabels": {"app": "web"}}]}),
        ("spec.service", {"port": 80, "appProtocol": "http", "match": [{"uri": {"prefix": "/"}}], "timeout": "5s"}),
        (
            "spec.autoscalerRef",
            {
                "apiVersion": "keda.sh/v1alpha1",
                "kind": "ScaledObject",
                "name": "backend",
                "primaryScalerQueries": {"load": "up"},
            },
        ),
        ("spec.analysis.alerts", [{"name": "a", "providerRef": {"name": "b"}}]),
        ("spec.analysis.advance", "threshold"),
        (
            "spec.analysis.metrics",
            [
                {"name": "a", "query": "up", "interval": "5m", "threshold": 0, "compare": {"errors": {}}},
                {"name": "b", "compare": {"errors": {}}},
                {"name": "c", "interval": "5m", "compare": {"value": {"query": "up{{workload}}", "better": "lower"}}},
            ],
        ),
    ],
)
def test_a_value_that_changes_nothing_is_not_reported(field, value):
    assert unsupported_fields(parse_canary(changed(GOOD["Canary weighted"], field, value))) == ()


def test_templates_are_checked_too():
    datadog = GOOD["MetricTemplate datadog"]
    assert unsupported_fields(parse_metric_template(datadog)) == ()
    assert unsupported_fields(parse_metric_template(changed(datadog, "spec.provider.type", "keptn"))) == (
        "spec.provider.type: Keptn is no longer developed; query its data source",
    )
    regional = changed(datadog, "spec.provider.region", "eu-west-1")
    assert unsupported_fields(parse_metric_template(regional)) == ("spec.provider.region: used with cloudwatch only",)
    assert unsupported_fields(parse_metric_template(changed(regional, "spec.provider.type", "cloudwatch"))) == ()
    google = changed(
        changed(datadog, "spec.provider.type", "stackdriver"), "spec.provider.address", "https://x.example"
    )
    assert unsupported_fields(parse_metric_template(google)) == (
        "spec.provider.address: not used with stackdriver: the controller's token is sent to Google only",
    )
    assert unsupported_fields(parse_alert_provider(GOOD["AlertProvider by-secret"])) == ()


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_every_field_in_the_table_exists(kind):
    for entry in UNSUPPORTED[kind]:
        schema = object_schema(MODELS[kind])
        for part in entry.path.replace("[]", ".[]").split("."):
            schema = (
                schema.get("items") or schema["additionalProperties"] if part == "[]" else schema["properties"][part]
            )
