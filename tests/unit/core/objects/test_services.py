"""The three Services, whole, as golden files; what they must keep of a Service that was there before, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from controller.core.model import Facts
from controller.core.objects.ownership import ADOPTED_BY, owner_reference
from controller.core.objects.ports import ADOPTED_PORTS
from controller.core.objects.services import ORIGINAL_CONFIGURATION, Side, build_service
from controller.core.objects.workload import build_primary
from tests.builders import NAMESPACE, NOW, make_canary, make_deployment, ready_status
from tests.golden_files import assert_golden

SIDES: tuple[Side, ...] = ("apex", "primary", "canary")
FLUX = {
    "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
    "helm.toolkit.fluxcd.io/driftDetection": "disabled",
}

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


def facts_of(*live: Mapping[str, Any], target: dict[str, Any] | None = None, **service: Any) -> Facts:
    """A Canary whose primary serves, and what there is of its Services."""
    target = target or target_with_ports()
    canary = make_canary(service=service)
    primary = build_primary(Facts(NOW, canary, target=target), "0123456789abcdef") | {"status": ready_status(1, 0)}
    return Facts(NOW, canary, target=target, primary=primary, generated=by_name(*live))


def by_name(*live: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(item["kind"], item["metadata"]["name"]): item for item in live}


@pytest.mark.parametrize("name", SERVICES)
def test_services(name):
    facts = facts_of(**SERVICES[name])
    built = [build_service(facts, side) for side in SIDES]
    assert_golden(f"core/services-{name}", *built)
    again = replace(facts, generated=by_name(*built))
    assert [build_service(again, side) for side in SIDES] == built


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


def apex(live: Mapping[str, Any], **service: Any) -> dict[str, Any]:
    return build_service(facts_of(live, target=make_deployment(), **service), "apex")


def test_a_service_that_was_there_keeps_all_but_its_selector_and_the_port_of_the_canary():
    before = live_service(sessionAffinity="ClientIP")
    built = apex(before, port=80, targetPort=9898, apex={"labels": {"side": "apex"}})
    assert built["metadata"] == {
        **before["metadata"],
        "annotations": {
            **FLUX,
            ADOPTED_BY: "backend",
            ADOPTED_PORTS: "80/TCP",
            ORIGINAL_CONFIGURATION: (
                '{"ports":[{"name":"http","port":80,"protocol":"TCP","targetPort":8080}],"selector":{"app":"backend"}}'
            ),
        },
    }
    assert built["spec"] == {
        **before["spec"],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 9898}],
        "selector": {"app": "backend-primary"},
    }


OWN = {"name": "http", "port": 9898, "protocol": "TCP", "targetPort": 9898}
ADOPTIONS = {
    # name: (ports of the Service that was there, ports once it is adopted)
    "the port of the Canary by its number": (
        [{"name": "web", "port": 9898, "protocol": "TCP", "targetPort": 80, "nodePort": 31234}],
        [{**OWN, "nodePort": 31234}],
    ),
    "another port": (
        [{"name": "grpc", "port": 81, "protocol": "TCP", "targetPort": 81, "nodePort": 31235}],
        [OWN, {"name": "grpc", "port": 81, "protocol": "TCP", "targetPort": 81, "nodePort": 31235}],
    ),
    "another port of the same name": (
        [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 31236}],
        [OWN, {"name": "http-80", "port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 31236}],
    ),
    "the same number by another protocol": (
        [{"name": "quic", "port": 9898, "protocol": "UDP", "targetPort": 9898}],
        [OWN, {"name": "quic", "port": 9898, "protocol": "UDP", "targetPort": 9898}],
    ),
    "a port without a name": (
        [{"port": 80, "protocol": "TCP", "targetPort": 8080}],
        [OWN, {"name": "tcp-80", "port": 80, "protocol": "TCP", "targetPort": 8080}],
    ),
}


@pytest.mark.parametrize("name", ADOPTIONS)
def test_an_adopted_service_keeps_its_other_ports_and_they_lead_to_the_same_pods(name):
    before, after = ADOPTIONS[name]
    built = apex(live_service(ports=before))
    assert built["spec"]["ports"] == after
    assert apex(built) == built
    for side in SIDES[1:]:
        behind = build_service(facts_of(built, target=make_deployment()), side)["spec"]["ports"]
        assert behind == [{key: value for key, value in port.items() if key != "nodePort"} for port in after]


def owned(service: dict[str, Any]) -> dict[str, Any]:
    service["metadata"] |= {"ownerReferences": [owner_reference(make_canary())]}
    return service


def test_node_ports_of_a_service_of_ours_stay_where_they_are():
    live = owned(live_service(type="NodePort", ports=[{**OWN, "port": 80, "nodePort": 31234}]))
    assert apex(live)["spec"]["ports"] == [{**OWN, "nodePort": 31234}]


def test_what_others_add_to_a_service_of_ours_stays():
    live = owned(live_service(clusterIP="10.0.0.1"))
    live["metadata"] |= {"annotations": {"added": "by hand"}}
    built = apex(live)
    assert built["metadata"]["annotations"]["added"] == "by hand"
    assert built["metadata"]["labels"] == {"app": "backend", "team": "web"}
    assert built["spec"]["clusterIP"] == "10.0.0.1"


MARKED = {"labels": {"side": "apex", "tier": "web"}, "annotations": {"note": "apex"}}


@pytest.mark.parametrize(
    ("service", "labels", "annotations"),
    [
        ({"apex": MARKED}, {"side": "apex", "tier": "web"}, {"note": "apex"}),
        ({"apex": {"labels": {"side": "apex"}}}, {"side": "apex"}, {}),
        ({}, {}, {}),
        (
            {"apex": {}, "unmanagedMetadata": {"labels": ["side"], "annotations": ["note"]}},
            {"side": "apex"},
            {"note": "apex"},
        ),
    ],
    ids=["kept", "fewer", "none", "left to others"],
)
def test_metadata_taken_out_of_the_spec_goes_from_the_service(service, labels, annotations):
    before = apex(owned(live_service()), apex=MARKED)
    metadata = apex(before, **service)["metadata"]
    assert metadata["labels"] == {"app": "backend", "team": "web", **labels}
    kept = {key: text for key, text in metadata["annotations"].items() if "managed" not in key}
    assert kept == {**FLUX, **annotations}


def test_unmanaged_metadata_is_not_written():
    unmanaged = {"labels": ["side"], "annotations": ["note"]}
    metadata = apex(owned(live_service()), apex=MARKED, unmanagedMetadata=unmanaged)["metadata"]
    assert metadata["labels"] == {"app": "backend", "team": "web", "tier": "web"}
    assert "note" not in metadata["annotations"]


def test_a_distribution_taken_out_of_the_spec_goes_from_a_service_of_ours_only():
    live = live_service(trafficDistribution="PreferClose")
    assert apex(live)["spec"]["trafficDistribution"] == "PreferClose"
    assert "trafficDistribution" not in apex(owned(live))["spec"]


# --- each side follows its own pods ---


def moved(primary_status: Mapping[str, Any] | None, **service: Any) -> Facts:
    """The target listens on another port; the primary does not yet."""
    before = facts_of(target=make_deployment(), port=80, targetPort=9898)
    live = [owned(build_service(before, side)) for side in SIDES]
    target = make_deployment()
    target["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] = 9899
    primary = dict(before.primary or {}) | {"status": primary_status}
    after = make_canary(service={"port": 80, "targetPort": 9899, **service})
    return Facts(NOW, after, target=target, primary=primary, generated=by_name(*live))


def target_port(facts: Facts, side: Side) -> Any:
    return build_service(facts, side)["spec"]["ports"][0]["targetPort"]


def test_a_changed_port_reaches_the_pods_of_the_primary_with_the_promotion():
    facts = moved(ready_status(1, 0))
    assert [target_port(facts, side) for side in SIDES] == [9898, 9898, 9899]
    promoted = {**build_primary(facts, "fedcba9876543210"), "status": {**ready_status(1, 0), "updatedReplicas": 0}}
    assert [target_port(replace(facts, primary=promoted), side) for side in SIDES] == [9898, 9898, 9899]
    promoted["status"] = ready_status(1, 0)
    assert [target_port(replace(facts, primary=promoted), side) for side in SIDES] == [9899, 9899, 9899]


def test_a_primary_of_flaggers_keeps_the_ports_of_its_service():
    facts = moved(ready_status(1, 0))
    primary = {**(facts.primary or {}), "metadata": {"name": "backend-primary"}}
    assert [target_port(replace(facts, primary=primary), side) for side in SIDES] == [9898, 9898, 9899]


def test_a_service_stays_with_pods_that_serve_until_the_new_primary_does():
    facts = moved(ready_status(1, 0))
    new = {**make_deployment("shop-primary"), "status": {}}
    assert build_service(replace(facts, primary=new), "primary")["spec"]["selector"] == {"app": "backend-primary"}
    new["status"] = ready_status(1, 0)
    assert build_service(replace(facts, primary=new), "primary")["spec"]["selector"] == {"app": "shop-primary"}
