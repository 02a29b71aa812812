"""What goes when it is not generated any more, and what an adopted object is like once it is given back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from controller.core.decision import Delete, Put
from controller.core.model import Facts
from controller.core.objects.leftovers import leftovers, removals
from controller.core.objects.ownership import ADOPTED_BY, owner_reference
from controller.core.objects.ports import ADOPTED_PORTS
from controller.core.objects.routing import LAST_APPLIED
from controller.core.objects.services import ORIGINAL_CONFIGURATION
from controller.core.objects.workload import generated_names
from tests.builders import NAMESPACE, NOW, make_canary, make_deployment

CANARY = make_canary(service={"name": "store"})
OURS: dict[str, Any] = {"ownerReferences": [owner_reference(CANARY)]}


def an(kind: str, name: str, spec: Mapping[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    placed = {"name": name, "namespace": NAMESPACE, "resourceVersion": "7", **metadata}
    return {"kind": kind, "metadata": placed, "spec": dict(spec or {})}


def facts_of(*owned: dict[str, Any], age: float = 60, missing: str = "") -> Facts:
    """The Canary has all that it generates, for ``age`` seconds, but for the kind ``missing``."""
    created = {"creationTimestamp": (NOW - timedelta(seconds=age)).isoformat(), **OURS}
    target = make_deployment()
    generated = {
        (kind, name): an(kind, name, **created) for kind, name in generated_names(CANARY, target) if kind != missing
    }
    primary = make_deployment("backend-primary")
    primary["metadata"] |= created
    by_name = {(item["kind"], item["metadata"]["name"]): item for item in owned}
    everything = {**generated, ("Deployment", "backend-primary"): primary, **by_name}
    return Facts(NOW, CANARY, target=target, primary=primary, generated=generated, owned=everything)


FORMER = (
    an("Service", "shop-canary", **OURS),
    an("ConfigMap", "old-primary", **OURS),
    an("VirtualService", "shop", **OURS),
    an("Deployment", "shop-primary", **OURS),
    an("HorizontalPodAutoscaler", "shop-primary", **OURS),
    an("DestinationRule", "shop-canary", **OURS),
    an("ControllerRevision", "of-another-kind", **OURS),
)
ORDER = [
    "HorizontalPodAutoscaler shop-primary",
    "VirtualService shop",
    "DestinationRule shop-canary",
    "Service shop-canary",
    "Deployment shop-primary",
    "ConfigMap old-primary",
]


def deleted(facts: Facts) -> list[str]:
    return [f"{write.kind} {write.name}" for write in removals(facts) if isinstance(write, Delete)]


def test_what_is_generated_is_no_leftover():
    assert leftovers(facts_of()) == ()


def test_routes_go_before_services_and_those_before_pods():
    assert deleted(facts_of(*FORMER)) == ORDER
    assert [f"{item['kind']} {item['metadata']['name']}" for item in leftovers(facts_of(*FORMER))] == ORDER


def test_what_carries_traffic_goes_once_what_replaces_it_is_known_to_the_data_plane():
    assert deleted(facts_of(*FORMER, age=9)) == [ORDER[0], ORDER[-1]]
    assert deleted(facts_of(*FORMER, age=10)) == ORDER


@pytest.mark.parametrize("missing", ["Service", "VirtualService", "DestinationRule"])
def test_nothing_goes_while_a_replacement_is_missing(missing):
    assert deleted(facts_of(*FORMER, missing=missing)) == []


ROUTES = {"hosts": ["shop"], "http": [{"route": [{"destination": {"host": "shop"}}]}]}
NOW_SPEC = {"hosts": ["shop"], "http": []}
GIVEN_BACK: dict[str, tuple[dict[str, str], dict[str, Any] | None]] = {
    # name: (annotations beside that of the adoption, the spec that it gets back)
    "as the controller kept it": (
        {ORIGINAL_CONFIGURATION: '{"hosts":["shop"],"http":[{"route":[{"destination":{"host":"shop"}}]}]}'},
        ROUTES,
    ),
    "as kubectl kept it": (
        {LAST_APPLIED: '{"spec":{"hosts":["shop"],"http":[{"route":[{"destination":{"host":"shop"}}]}]}}'},
        ROUTES,
    ),
    "not known": ({}, None),
    "not readable": ({ORIGINAL_CONFIGURATION: "{"}, None),
    "not a spec": ({LAST_APPLIED: "[]"}, None),
}


@pytest.mark.parametrize("name", GIVEN_BACK)
def test_an_adopted_virtual_service_gets_its_spec_back_where_it_is_known(name):
    annotations, spec = GIVEN_BACK[name]
    live = an("VirtualService", "shop", NOW_SPEC, annotations={ADOPTED_BY: "backend", "note": "mine", **annotations})
    writes = list(removals(facts_of(live)))
    if spec is None:
        assert writes == []
        return
    (write,) = writes
    assert isinstance(write, Put)
    kept = {key: text for key, text in annotations.items() if key == LAST_APPLIED}
    assert write.manifest == {
        **live,
        "metadata": {**live["metadata"], "annotations": {"note": "mine", **kept}, "labels": {}},
        "spec": spec,
    }


HTTP = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}
SERVICES: dict[str, tuple[str, list[dict[str, Any]], dict[str, str]]] = {
    # name: (what was there before, its ports once it is given back, its selector then)
    "with its own port and one that somebody added": (
        '{"ports":[{"name":"http","port":80,"protocol":"TCP","targetPort":8080}],"selector":{"app":"shop"}}',
        [HTTP, {"name": "added", "port": 81, "protocol": "TCP"}],
        {"app": "shop"},
    ),
    "that Flagger had adopted before": (
        '{"ports":[{"name":"http","port":80,"protocol":"TCP","targetPort":8080}],"selector":{"app":"backend-primary"}}',
        [HTTP, {"name": "added", "port": 81, "protocol": "TCP"}],
        {"app": "backend"},
    ),
}


@pytest.mark.parametrize("name", SERVICES)
def test_an_adopted_service_gets_its_selector_and_its_ports_back(name):
    original, ports, selector = SERVICES[name]
    spec = {
        "clusterIP": "10.0.0.1",
        "ports": [
            {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 9898},
            {"name": "grpc", "port": 9999, "protocol": "TCP"},
            {"name": "added", "port": 81, "protocol": "TCP"},
        ],
        "selector": {"app": "backend-primary"},
    }
    marks = {ADOPTED_BY: "backend", ADOPTED_PORTS: "80/TCP,9999/TCP", ORIGINAL_CONFIGURATION: original}
    (write,) = removals(facts_of(an("Service", "shop", spec, annotations=marks)))
    assert isinstance(write, Put)
    assert write.manifest["spec"] == {"clusterIP": "10.0.0.1", "ports": ports, "selector": selector}
