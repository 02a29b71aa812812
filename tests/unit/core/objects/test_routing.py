"""Istio objects and Services, whole, as golden files; what they must not break in objects of others, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from controller.core.model import Manifest, Routes
from controller.core.objects.manifests import owner_reference
from controller.core.objects.routing import (
    ORIGINAL_CONFIGURATION,
    build_destination_rule,
    build_service,
    build_virtual_service,
)
from tests.builders import AB_TESTING, BLUE_GREEN, NAMESPACE, WEIGHTED, make_canary, make_deployment
from tests.golden_files import assert_golden

INSIDER = {"headers": {"cookie": {"regex": "^(.*?;)?(type=insider)(;.*)?$"}}}
FIREFOX = {"headers": {"user-agent": {"regex": ".*Firefox.*"}}}
PUBLIC = {"gateways": ["istio-system/public", "mesh"], "hosts": ["app.example.com"]}
OPTIONS = {
    "match": [{"uri": {"prefix": "/api"}}, {"uri": {"prefix": "/v2"}, "method": {"exact": "GET"}}],
    "rewrite": {"uri": "/", "authority": "inner.example.com"},
    "timeout": "15s",
    "retries": {"attempts": 3, "perTryTimeout": "1s", "retryOn": "gateway-error"},
    "corsPolicy": {"allowOrigins": [{"exact": "https://example.com"}], "allowMethods": ["GET"]},
    "headers": {"response": {"add": {"x-served-by": "canary"}}},
    "apex": {"labels": {"team": "web"}, "annotations": {"note": "apex"}},
}

VIRTUAL_SERVICES: Mapping[str, tuple[Mapping[str, Any], Routes]] = {
    # golden file: (analysis and service of the Canary, routes)
    "weighted-idle": ({"analysis": WEIGHTED}, Routes()),
    "weighted-10": ({"analysis": WEIGHTED}, Routes(10)),
    "weighted-mirrored": ({"analysis": {**WEIGHTED, "mirror": True}}, Routes(mirrored=True)),
    "weighted-mirrored-in-part": (
        {"analysis": {**WEIGHTED, "mirror": True, "mirrorWeight": 30}},
        Routes(mirrored=True),
    ),
    "weighted-with-options": ({"analysis": WEIGHTED, "service": OPTIONS}, Routes(10)),
    "weighted-behind-a-gateway": ({"analysis": WEIGHTED, "service": PUBLIC}, Routes(10)),
    "weighted-behind-a-gateway-by-port": (
        {"analysis": WEIGHTED, "service": {**PUBLIC, "portDiscovery": True}},
        Routes(10),
    ),
    "weighted-in-the-mesh-by-port": ({"analysis": WEIGHTED, "service": {"portDiscovery": True}}, Routes(10)),
    "weighted-for-every-host": (
        {"analysis": WEIGHTED, "service": {"hosts": ["*"], "gateways": ["istio-system/public"]}},
        Routes(),
    ),
    "ab-testing-idle": ({"analysis": AB_TESTING}, Routes()),
    "ab-testing-under-way": ({"analysis": {**AB_TESTING, "match": [FIREFOX, INSIDER]}}, Routes(100)),
    "ab-testing-within-the-routes-of-the-service": (
        {
            "analysis": {**AB_TESTING, "match": [FIREFOX, {"sourceLabels": {"app": "tester"}}]},
            "service": {"match": [{"uri": {"prefix": "/api"}, "headers": {"x-api": {"exact": "1"}}}], "timeout": "5s"},
        },
        Routes(100),
    ),
    "blue-green-rounds": ({"analysis": BLUE_GREEN}, Routes()),
    "blue-green-everybody": ({"analysis": BLUE_GREEN}, Routes(100)),
    "another-name": ({"analysis": WEIGHTED, "service": {"name": "shop"}}, Routes()),
}


@pytest.mark.parametrize("name", VIRTUAL_SERVICES)
def test_virtual_service(name):
    parts, routes = VIRTUAL_SERVICES[name]
    canary = make_canary(**parts)
    built = build_virtual_service(canary, routes, None)
    assert_golden(f"core/virtual-service-{name}", built)
    assert build_virtual_service(canary, routes, built) == built


@pytest.mark.parametrize("weight", [0, 1, 50, 99, 100])
def test_the_weights_of_a_route_add_to_100(weight):
    (route,) = build_virtual_service(make_canary(), Routes(weight), None)["spec"]["http"]
    assert [destination["weight"] for destination in route["route"]] == [100 - weight, weight]


POLICY = {"tls": {"mode": "ISTIO_MUTUAL"}, "outlierDetection": {"consecutive5xxErrors": 5}}


@pytest.mark.parametrize(
    ("name", "service"), [("plain", {}), ("with-policy", {"trafficPolicy": POLICY}), ("another-name", {"name": "shop"})]
)
def test_destination_rules(name, service):
    canary = make_canary(service=service)
    hosts = (canary.names.canary_service, canary.names.primary_service)
    built = [build_destination_rule(canary, host, None) for host in hosts]
    assert_golden(f"core/destination-rules-{name}", *built)
    assert [build_destination_rule(canary, host, rule) for host, rule in zip(hosts, built, strict=True)] == built


SERVICES: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "with-metadata": {
        "apex": {"labels": {"side": "apex"}, "annotations": {"note": "apex"}},
        "primary": {"labels": {"side": "primary"}, "annotations": {"note": "primary"}},
        "canary": {"labels": {"side": "canary"}, "annotations": {"note": "canary"}},
    },
    "named-port": {"portName": "grpc", "targetPort": "grpc", "appProtocol": "grpc"},
    "discovered-ports": {"portDiscovery": True, "targetPort": "http"},
    "headless": {"headless": True},
    "close-by": {"trafficDistribution": "PreferClose"},
    "another-name": {"name": "shop", "port": 80, "targetPort": 9898},
}


def target_with_ports() -> dict[str, Any]:
    target = make_deployment()
    containers = target["spec"]["template"]["spec"]["containers"]
    containers[0]["ports"] += [
        {"name": "http-metrics", "containerPort": 9797, "protocol": "TCP"},
        {"containerPort": 9999, "protocol": "UDP"},
    ]
    containers += [{"name": "istio-proxy", "ports": [{"name": "http-envoy-prom", "containerPort": 15090}]}]
    return target


def three_services(service: Mapping[str, Any], live: Manifest | None = None) -> list[dict[str, Any]]:
    canary = make_canary(service=service)
    names, target = canary.names, target_with_ports()
    return [
        build_service(canary, name=name, selector={"app": selected}, target=target, live=live)
        for name, selected in (
            (names.apex_service, "backend-primary"),
            (names.primary_service, "backend-primary"),
            (names.canary_service, "backend"),
        )
    ]


@pytest.mark.parametrize("name", SERVICES)
def test_services(name):
    assert_golden(f"core/services-{name}", *three_services(SERVICES[name]))


def live_service(**spec: Any) -> dict[str, Any]:
    """A Service that was there before, as the API server keeps it."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "backend",
            "namespace": NAMESPACE,
            "labels": {"app": "backend", "team": "web"},
            "resourceVersion": "7",
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "10.96.156.14",
            "sessionAffinity": "None",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
            "selector": {"app": "backend"},
            **spec,
        },
    }


def test_a_service_that_was_there_keeps_all_but_ports_selector_and_annotations():
    before = live_service()
    built = three_services({"apex": {"labels": {"side": "apex"}}}, before)[0]
    assert built["metadata"] == {
        **before["metadata"],
        "annotations": {
            "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
            "helm.toolkit.fluxcd.io/driftDetection": "disabled",
        },
    }
    assert built["spec"] == {
        **before["spec"],
        "ports": [{"name": "http", "port": 9898, "protocol": "TCP", "targetPort": 9898}],
        "selector": {"app": "backend-primary"},
    }


def test_node_ports_stay_where_they_are():
    port = {"name": "http", "port": 9898, "protocol": "TCP", "targetPort": 9898, "nodePort": 31234}
    built = three_services({}, live_service(type="NodePort", ports=[port]))[0]
    assert built["spec"]["ports"] == [port]


def test_what_others_add_to_a_service_of_ours_stays():
    canary, target = make_canary(), make_deployment()
    live = live_service(clusterIP="10.0.0.1")
    live["metadata"] |= {"ownerReferences": [owner_reference(canary)], "annotations": {"added": "by hand"}}
    built = build_service(canary, name="backend", selector={"app": "backend-primary"}, target=target, live=live)
    assert built["metadata"]["annotations"]["added"] == "by hand"
    assert built["metadata"]["labels"] == {"app": "backend", "team": "web"}
    assert built["spec"]["clusterIP"] == "10.0.0.1"


def live_virtual_service(**annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "backend", "namespace": NAMESPACE, "annotations": annotations, "resourceVersion": "3"},
        "spec": {"hosts": ["backend"], "http": [{"route": [{"destination": {"host": "backend"}}]}]},
    }


def test_the_spec_of_a_virtual_service_that_was_there_is_kept_once():
    canary, before = make_canary(), live_virtual_service()
    built = build_virtual_service(canary, Routes(), before)
    kept = built["metadata"]["annotations"][ORIGINAL_CONFIGURATION]
    assert kept == '{"hosts":["backend"],"http":[{"route":[{"destination":{"host":"backend"}}]}]}'
    assert "ownerReferences" not in built["metadata"]
    again = build_virtual_service(canary, Routes(10), built)
    assert again["metadata"]["annotations"][ORIGINAL_CONFIGURATION] == kept


def test_what_kubectl_remembers_need_not_be_kept_again():
    before = live_virtual_service(**{"kubectl.kubernetes.io/last-applied-configuration": "{}"})
    built = build_virtual_service(make_canary(), Routes(), before)
    assert ORIGINAL_CONFIGURATION not in built["metadata"]["annotations"]
