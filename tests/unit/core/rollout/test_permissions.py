"""What the controller's options allow the author of a Canary."""

from __future__ import annotations

import pytest

from controller.core.decision import ReturnTraffic
from controller.core.model import Options
from controller.core.rollout.permissions import not_allowed
from controller.core.rollout.phases import Reason
from tests.builders import WEIGHTED, make_canary
from tests.unit.core.cluster import progressing

HOSTS = Options(allowed_hosts=("*.{namespace}.example.com", "shop.example.com"))
GATEWAYS = Options(allowed_gateways=("istio-system/public", "{namespace}/*"))


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("backend", True),
        ("reviews.prod", True),
        ("reviews.prod.svc", True),
        ("reviews.prod.svc.cluster.local", True),
        ("shop.example.com", True),
        ("api.prod.example.com", True),
        ("*.prod.example.com", True),
        ("*", False),
        ("*.example.com", False),
        ("api.dev.example.com", False),
        ("shop.example.com.evil.org", False),
        ("payments.bank", False),
        ("payments.bank.svc.cluster.local", False),
        ("*.prod.svc.cluster.local", False),
        ("reviews.prod.svc.cluster.local.", False),
        ("SHOP.EXAMPLE.COM", False),
    ],
)
def test_a_host_is_a_service_of_the_namespace_or_matches_a_pattern(host, allowed):
    canary = make_canary(service={"hosts": ["backend", host]})
    assert [problem.partition(":")[0] for problem in not_allowed(canary, HOSTS)] == (
        [] if allowed else ["spec.service.hosts[1]"]
    )
    assert not_allowed(canary, Options()) == ()


@pytest.mark.parametrize(
    ("gateway", "allowed"),
    [
        ("mesh", True),
        ("istio-system/public", True),
        ("own", True),
        ("prod/own", True),
        ("public.istio-system.svc.cluster.local", True),
        ("own.prod", True),
        ("istio-system/internal", False),
        ("internal.istio-system", False),
        ("dev/own", False),
        ("./own", False),
        ("*/public", False),
    ],
)
def test_a_gateway_is_the_mesh_or_matches_a_pattern_in_each_of_its_spellings(gateway, allowed):
    canary = make_canary(service={"gateways": ["mesh", gateway]})
    assert [problem.partition(":")[0] for problem in not_allowed(canary, GATEWAYS)] == (
        [] if allowed else ["spec.service.gateways[1]"]
    )
    assert not_allowed(canary, Options()) == ()


@pytest.mark.parametrize("path", ["templateRef", "compare.value.templateRef"])
@pytest.mark.parametrize(("namespace", "allowed"), [(None, True), ("prod", True), ("istio-system", False)])
def test_a_metric_template_of_another_namespace_is_an_option(namespace, allowed, path):
    reference = {"name": "error-rate"} | ({"namespace": namespace} if namespace else {})
    metric = {"templateRef": reference, "thresholdRange": {"max": 1}}
    if path != "templateRef":
        metric = {"compare": {"value": {"templateRef": reference, "better": "lower"}}}
    canary = make_canary(analysis={**WEIGHTED, "metrics": [{"name": "error-rate", **metric}]})
    message = (
        f"spec.analysis.metrics[0].{path}.namespace: references to other namespaces are disabled "
        "(--no-cross-namespace-refs)"
    )
    assert not_allowed(canary, Options(cross_namespace_refs=False)) == (() if allowed else (message,))
    assert not_allowed(canary, Options()) == ()


@pytest.mark.parametrize(("namespace", "allowed"), [(None, True), ("prod", True), ("store", False)])
def test_a_canary_of_another_namespace_is_an_option(namespace, allowed):
    canary = make_canary(
        dependsOn=[{"name": "shop"}, {"name": "stock"} | ({"namespace": namespace} if namespace else {})]
    )
    message = "spec.dependsOn[1].namespace: references to other namespaces are disabled (--no-cross-namespace-refs)"
    assert not_allowed(canary, Options(cross_namespace_refs=False)) == (() if allowed else (message,))
    assert not_allowed(canary, Options()) == ()


def test_a_canary_that_is_not_allowed_writes_nothing_new_and_says_why():
    cluster = progressing(20)
    cluster.options = Options(allowed_hosts=("*.example.com",))
    cluster.edit_canary(service={"port": 9898, "hosts": ["payments.bank"]})
    decision = cluster.decide()
    assert decision.actions == (ReturnTraffic(),)
    assert decision.state.reason == Reason.NOT_ALLOWED
    assert decision.state.message == (
        "not allowed: spec.service.hosts[0]: payments.bank is neither a Service of namespace prod nor matched by "
        "--allowed-hosts (*.example.com)"
    )
