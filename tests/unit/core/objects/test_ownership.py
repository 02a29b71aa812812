"""Whose an object is, and which of two Canaries may use it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.model import Rival
from controller.core.objects.ownership import (
    ADOPTED_BY,
    find_rival,
    foreign_problem,
    is_adopted,
    is_owned,
    may_write,
    owner_of,
    owner_reference,
)
from tests.builders import NAMESPACE, canary_manifest, make_canary

CANARY = make_canary()
OURS = owner_reference(CANARY)
EARLIER = {**OURS, "uid": "uid-of-an-earlier-one"}
OTHER = {**OURS, "name": "other", "uid": "uid-other"}
HELM = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "tool", "uid": "1", "controller": True}


def an(kind: str, name: str, *owners: dict[str, Any], adopted_by: str = "") -> dict[str, Any]:
    annotations = {ADOPTED_BY: adopted_by} if adopted_by else {}
    metadata = {"name": name, "namespace": NAMESPACE, "ownerReferences": list(owners), "annotations": annotations}
    return {"kind": kind, "metadata": metadata}


OBJECTS: dict[str, tuple[dict[str, Any], str]] = {
    # name: (object, whose it is for the Canary "backend": ours, adopted, free to adopt, or what is wrong with it)
    "ours": (an("Deployment", "backend-primary", OURS), "ours"),
    "ours beside another owner": (an("Service", "backend", {**HELM, "controller": False}, OURS), "ours"),
    "the apex that nobody controls": (an("Service", "backend"), "free"),
    "the VirtualService that nobody controls": (an("VirtualService", "backend"), "free"),
    "the apex that it has adopted": (an("Service", "backend", adopted_by="backend"), "adopted"),
    "an apex that another has adopted": (an("Service", "backend", adopted_by="shop"), "is adopted by Canary shop"),
    "an apex that something else controls": (an("Service", "backend", HELM), "belongs to Deployment tool"),
    "an apex without pods": (
        {**an("Service", "backend"), "spec": {"type": "ExternalName", "externalName": "a.example"}},
        "is not managed by this Canary",
    ),
    "of an earlier Canary": (an("Service", "backend", EARLIER), "belongs to an earlier Canary of this name"),
    "of another Canary": (an("Service", "backend-canary", OTHER), "belongs to Canary other"),
    "a Deployment of somebody's": (an("Deployment", "backend-primary"), "is not managed by this Canary"),
    "a Deployment that only mentions us": (
        an("Deployment", "backend-primary", {**OURS, "controller": False}),
        "is not managed by this Canary",
    ),
    "a Service that clients do not call": (an("Service", "backend-canary"), "set spec.service.name to another name"),
    "a DestinationRule": (an("DestinationRule", "backend-primary"), "set spec.service.name to another name"),
    "an HPA": (an("HorizontalPodAutoscaler", "backend-primary"), "rename or delete it"),
    "a ConfigMap": (
        an("ConfigMap", "app-primary"),
        "rename or delete it, or annotate ConfigMap app with flagger.app/config-tracking: disabled",
    ),
    "a Secret's copy for another Canary": (
        an("Secret", "app-primary", OTHER),
        "give each target a Secret of its own, or annotate Secret app with flagger.app/config-tracking: disabled",
    ),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_is_ours_or_adopted_or_refused_by_name(name):
    item, whose = OBJECTS[name]
    assert is_owned(CANARY, item) is (whose == "ours")
    assert is_adopted(CANARY, item) is (whose == "adopted")
    assert may_write(CANARY, item) is (whose in ("ours", "free", "adopted"))
    if not may_write(CANARY, item):
        problem = foreign_problem(CANARY, item)
        assert problem.startswith(f"{item['kind']} {item['metadata']['name']}.prod exists and ")
        assert whose in problem


@pytest.mark.parametrize(
    ("item", "owner"),
    [
        (an("Service", "backend", OURS), "uid-backend"),
        (an("Service", "backend", adopted_by="backend"), "prod/backend"),
        (an("Service", "backend", HELM, adopted_by="backend"), ""),
        (an("Service", "backend"), ""),
        ({"kind": "Service", "metadata": {"name": "a", "ownerReferences": None, "annotations": None}}, ""),
    ],
)
def test_the_canary_that_has_an_object(item, owner):
    assert owner_of(item) == owner


def canary(name: str, created: int = 0, *, target: str = "", service: str = "", scaler: str = "") -> dict[str, Any]:
    manifest = canary_manifest(name=name, service={"name": service} if service else {})
    if scaler:
        manifest["spec"]["autoscalerRef"] = {"kind": "HorizontalPodAutoscaler", "name": scaler}
    manifest["spec"]["targetRef"]["name"] = target or name
    manifest["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:0{created}Z"
    return manifest


RIVALS: dict[str, tuple[dict[str, Any], dict[str, Any], Rival | None]] = {
    # name: (the first, the second, the message for the second)
    "different apps": (canary("a"), canary("b"), None),
    "one target": (
        canary("a", target="shop", service="x"),
        canary("b", target="shop", service="y"),
        Rival("a", "Deployment", "shop", "spec.targetRef"),
    ),
    "one service name": (
        canary("a", service="shop"),
        canary("b", service="shop"),
        Rival("a", "Service", "shop", "spec.service.name"),
    ),
    "a target that is the other's primary": (
        canary("a"),
        canary("b", target="a-primary", service="y"),
        Rival("a", "Deployment", "a-primary", "spec.targetRef"),
    ),
    "a primary that is the other's target": (
        canary("a", target="b-primary", service="y"),
        canary("b", service="x"),
        Rival("a", "Deployment", "b-primary", "spec.targetRef"),
    ),
    "a service name that the other generates": (
        canary("shop"),
        canary("b", 1, service="shop-canary"),
        Rival("shop", "Service", "shop-canary", "spec.service.name"),
    ),
    "one autoscaler": (
        canary("a", scaler="h"),
        canary("b", scaler="h"),
        Rival("a", "HorizontalPodAutoscaler", "h", "spec.autoscalerRef"),
    ),
    "the older one first, whatever its name": (
        canary("z", 1, target="shop", service="x"),
        canary("a", 2, target="shop", service="y"),
        Rival("z", "Deployment", "shop", "spec.targetRef"),
    ),
}


@pytest.mark.parametrize("name", RIVALS)
def test_of_two_canaries_that_claim_one_object_the_first_goes_on(name):
    first, second, rival = RIVALS[name]
    for others in ([first, second], [second, first]):
        assert find_rival(first, others) is None
        assert find_rival(second, others) == rival


@pytest.mark.parametrize("spec", [None, {}, {"targetRef": None}, {"targetRef": {"name": None}, "service": None}])
def test_a_canary_that_cannot_be_read_claims_nothing(spec):
    broken = {**canary("broken"), "spec": spec}
    assert find_rival(canary("z", 5), [broken]) is None
