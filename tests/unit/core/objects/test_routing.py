"""Istio objects, whole, as golden files; what they must keep of objects of others, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from controller.api.analysis import Strategy
from controller.api.support import unsupported_fields
from controller.core.model import Cookies, Facts, Routes
from controller.core.objects.ownership import ADOPTED_BY
from controller.core.objects.routing import build_destination_rule, build_virtual_service, returns
from controller.core.objects.services import ORIGINAL_CONFIGURATION, Side
from controller.core.rollout.strategies import next_step
from tests.builders import AB_TESTING, BLUE_GREEN, NAMESPACE, NOW, WEIGHTED, make_canary, make_deployment
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
    "weighted-for-some-users": (
        {"analysis": {**WEIGHTED, "match": [INSIDER]}, "service": {"match": [{"uri": {"prefix": "/api"}}]}},
        Routes(20),
    ),
    "weighted-for-some-users-mirrored": (
        {"analysis": {**WEIGHTED, "match": [INSIDER], "mirror": True, "mirrorWeight": 30}},
        Routes(mirrored=True),
    ),
    "weighted-in-the-mesh-and-behind-a-gateway-by-port": (
        {
            "analysis": WEIGHTED,
            "service": {
                "port": 80,
                "targetPort": 8080,
                "gateways": ["mesh", "istio-system/public", "istio-system/private"],
                "portDiscovery": True,
                "match": [{"uri": {"prefix": "/api"}}, {"uri": {"prefix": "/in"}, "gateways": ["mesh"]}],
            },
        },
        Routes(10),
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
    "delegate": ({"analysis": WEIGHTED, "service": {**OPTIONS, "delegation": True}}, Routes(10)),
    "delegate-by-port": (
        {"analysis": AB_TESTING, "service": {"delegation": True, "portDiscovery": True}},
        Routes(100),
    ),
    "tcp": ({"analysis": WEIGHTED, "service": {"appProtocol": "tcp"}}, Routes(10)),
    "tcp-on-some-ports": (
        {
            "analysis": WEIGHTED,
            "service": {
                "appProtocol": "TCP",
                "port": 6379,
                "targetPort": 9898,
                "portDiscovery": True,
                "gateways": ["mesh", "istio-system/public"],
                "match": [{"port": 6379}, {"port": 6380, "gateways": ["istio-system/public"]}],
            },
        },
        Routes(10),
    ),
}


def facts_of(*live: Mapping[str, Any], **canary: Any) -> Facts:
    """A Canary, its target, and what there is of its objects."""
    generated = {(item["kind"], item["metadata"]["name"]): item for item in live}
    return Facts(NOW, make_canary(**canary), target=make_deployment(), generated=generated)


@pytest.mark.parametrize("name", VIRTUAL_SERVICES)
def test_virtual_service(name):
    parts, routes = VIRTUAL_SERVICES[name]
    built = build_virtual_service(facts_of(**parts), routes)
    assert_golden(f"core/virtual-service-{name}", built)
    assert build_virtual_service(facts_of(built, **parts), routes) == built


@pytest.mark.parametrize("name", VIRTUAL_SERVICES)
def test_traffic_is_returned_without_the_spec_as_with_it(name):
    parts, routes = VIRTUAL_SERVICES[name]
    before = build_virtual_service(facts_of(**parts), routes)
    returned = [put.manifest for put in returns([before])]
    assert returned == ([] if routes == Routes() else [build_virtual_service(facts_of(before, **parts), Routes())])


STEPS: Mapping[str, Mapping[str, Any]] = {
    "by a step": WEIGHTED,
    "by listed weights": {"interval": "10s", "threshold": 1, "stepWeights": [5, 45]},
    "in rounds": BLUE_GREEN,
}
PLACES: Mapping[str, Mapping[str, Any]] = {
    "in the mesh": {},
    "by port": {**PUBLIC, "portDiscovery": True, "port": 80, "targetPort": 9898},
    "as a delegate": {"delegation": True},
    "within routes": {"match": [{"uri": {"prefix": "/api"}}]},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("more", [{}, {"match": [INSIDER]}, {"sessionAffinity": {"cookieName": "c"}}], ids=str)
@pytest.mark.parametrize("weight", [None, 30])
@pytest.mark.parametrize("steps", STEPS)
def test_whatever_a_canary_gets_traffic_by_it_can_get_a_copy_first(steps, weight, more, place):
    analysis = {**STEPS[steps], **more, "mirror": True} | ({"mirrorWeight": weight} if weight else {})
    facts = facts_of(analysis=analysis, service=PLACES[place])
    if facts.canary.spec.analysis.strategy is Strategy.AB_TESTING:
        assert any("an A/B test does not mirror" in problem for problem in unsupported_fields(facts.canary))
        return
    assert unsupported_fields(facts.canary) == ()
    first = next_step(facts.canary.spec.analysis, Routes(), 0)
    assert first is not None
    assert first.routes == Routes(mirrored=True)
    built = build_virtual_service(facts, first.routes, Cookies(previous="c=1"))
    shared = [route for route in built["spec"]["http"] if len(route["route"]) == 2]
    assert shared
    for route in shared:
        assert route["mirror"] == route["route"][1]["destination"]
        assert route.get("mirrorPercentage") == ({"value": weight} if weight else None)
    assert not any("mirror" in route for route in built["spec"]["http"] if route not in shared)


COOKIES = Cookies("canary=0123", "stable=4567", "canary=89ab")
BY_COOKIES: Mapping[str, tuple[Mapping[str, Any], Routes, Cookies]] = {
    "cookies": ({"service": OPTIONS}, Routes(10), replace(COOKIES, primary="")),
    "cookies-of-both": ({}, Routes(10), COOKIES),
    "cookies-of-some-users": ({"analysis": {"match": [INSIDER]}}, Routes(10), COOKIES),
    "cookies-of-the-past": ({"service": OPTIONS}, Routes(), Cookies(previous="canary=89ab")),
    "cookies-of-the-past-mirrored": ({}, Routes(mirrored=True), Cookies(previous="canary=89ab")),
    "cookies-in-the-mesh-and-behind-a-gateway-by-port": (
        {"service": {**PUBLIC, "port": 80, "targetPort": 8080, "portDiscovery": True}},
        Routes(10),
        COOKIES,
    ),
}


@pytest.mark.parametrize("name", BY_COOKIES)
def test_virtual_service_with_session_affinity(name):
    parts, routes, cookies = BY_COOKIES[name]
    analysis = {**WEIGHTED, **parts.get("analysis", {}), "sessionAffinity": {"cookieName": "canary", "secure": True}}
    facts = facts_of(analysis=analysis, service=parts.get("service"))
    built = build_virtual_service(facts, routes, cookies)
    assert_golden(f"core/virtual-service-{name}", built)
    assert_returns_to_the_primary(built)


def assert_returns_to_the_primary(built: dict[str, Any]) -> None:
    (returned,) = [*returns([built]), None][:1]
    leading = [
        share["destination"]["host"]
        for route in (returned.manifest if returned else built)["spec"]["http"]
        for share in route["route"]
        if share["weight"]
    ]
    assert set(leading) == {"backend-primary"}


BY_HEADER: Mapping[str, tuple[Mapping[str, Any], Routes, Cookies]] = {
    "by-header": ({"service": OPTIONS}, Routes(10), Cookies()),
    "by-header-of-some-users": ({"analysis": {"match": [INSIDER]}}, Routes(10), Cookies()),
    "by-header-with-cookies": ({"analysis": {"sessionAffinity": {"cookieName": "canary"}}}, Routes(10), COOKIES),
}


@pytest.mark.parametrize("name", BY_HEADER)
def test_virtual_service_of_a_group_with_a_header(name):
    parts, routes, cookies = BY_HEADER[name]
    analysis = {**WEIGHTED, **parts.get("analysis", {})}
    facts = facts_of(analysis=analysis, service=parts.get("service"), group="shop", groupHeader="x-shop-release")
    built = build_virtual_service(facts, routes, cookies)
    assert_golden(f"core/virtual-service-{name}", built)
    assert_returns_to_the_primary(built)


@pytest.mark.parametrize("routes", [Routes(), Routes(mirrored=True)], ids=["at rest", "mirrored"])
def test_a_header_leads_nowhere_while_the_canary_has_no_requests(routes):
    analysis = {**WEIGHTED, "mirror": True}
    led = facts_of(analysis=analysis, group="shop", groupHeader="x-shop-release")
    assert build_virtual_service(led, routes) == build_virtual_service(facts_of(analysis=analysis), routes)


@pytest.mark.parametrize("weight", [0, 1, 50, 99, 100])
def test_the_weights_of_a_route_add_to_100(weight):
    (route,) = build_virtual_service(facts_of(), Routes(weight))["spec"]["http"]
    assert [destination["weight"] for destination in route["route"]] == [100 - weight, weight]


POLICY = {"tls": {"mode": "ISTIO_MUTUAL"}, "outlierDetection": {"consecutive5xxErrors": 5}}


@pytest.mark.parametrize(
    ("name", "service"), [("plain", {}), ("with-policy", {"trafficPolicy": POLICY}), ("another-name", {"name": "shop"})]
)
def test_destination_rules(name, service):
    sides: tuple[Side, ...] = ("canary", "primary")
    built = [build_destination_rule(facts_of(service=service), side) for side in sides]
    assert_golden(f"core/destination-rules-{name}", *built)
    assert [build_destination_rule(facts_of(*built, service=service), side) for side in sides] == built


def live_virtual_service(**annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "backend", "namespace": NAMESPACE, "annotations": annotations, "resourceVersion": "3"},
        "spec": {"hosts": ["backend"], "http": [{"route": [{"destination": {"host": "backend"}}]}]},
    }


def test_the_spec_of_a_virtual_service_that_was_there_is_kept_once():
    built = build_virtual_service(facts_of(live_virtual_service()), Routes())
    kept = built["metadata"]["annotations"][ORIGINAL_CONFIGURATION]
    assert kept == '{"hosts":["backend"],"http":[{"route":[{"destination":{"host":"backend"}}]}]}'
    assert "ownerReferences" not in built["metadata"]
    assert built["metadata"]["annotations"][ADOPTED_BY] == "backend"
    again = build_virtual_service(facts_of(built), Routes(10))
    assert again["metadata"]["annotations"][ORIGINAL_CONFIGURATION] == kept


def test_what_kubectl_remembers_need_not_be_kept_again():
    before = live_virtual_service(**{"kubectl.kubernetes.io/last-applied-configuration": "{}"})
    built = build_virtual_service(facts_of(before), Routes())
    assert ORIGINAL_CONFIGURATION not in built["metadata"]["annotations"]
