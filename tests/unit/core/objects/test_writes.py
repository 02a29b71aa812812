"""From desired values to the writes that are missing."""

from __future__ import annotations

from typing import Any

import pytest

from controller.core.decision import (
    Action,
    Delete,
    EnsureApex,
    EnsureAutoscaler,
    EnsurePrimary,
    EnsureServices,
    Patch,
    PromoteSpec,
    Put,
    ScaleTarget,
    SetRoutes,
    Write,
)
from controller.core.model import Routes
from controller.core.objects.workload import revision_facts
from controller.core.objects.writes import plan_writes
from tests.builders import NAMESPACE, canary_manifest, make_autoscaler, make_config, make_deployment
from tests.unit.core.cluster import Cluster, initialized
from tests.unit.core.decisions import revision_of

AUTOSCALER_REF = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "backend"}


def target() -> dict[str, Any]:
    deployment = make_deployment()
    deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [
        {"configMapRef": {"name": "backend-config"}},
        {"secretRef": {"name": "backend-secret"}},
        {"configMapRef": {"name": "not-there", "optional": True}},
    ]
    return deployment


PARTS = (
    canary_manifest(autoscalerRef=AUTOSCALER_REF),
    target(),
    make_autoscaler(),
    make_config("backend-config", {"greeting": "hello"}),
    make_config("backend-secret", {"token": "czNjcjN0"}, kind="Secret", type="Opaque"),
)


def fresh() -> Cluster:
    return Cluster.of(*PARTS)


def done() -> Cluster:
    return initialized(*PARTS)


def named(writes: tuple[Write, ...]) -> list[str]:
    return [in_words(write) for write in writes]


def in_words(write: Write) -> str:
    match write:
        case Put(manifest):
            return f"{manifest['kind']} {manifest['metadata']['name']}"
        case Delete():
            return f"delete {write.kind} {write.name}"
        case Patch():
            return f"{write.kind} {write.name} {write.done}"


ACTIONS: dict[str, tuple[Action, list[str]]] = {
    "Services": (
        EnsureServices(),
        [
            "Service backend-canary",
            "Service backend-primary",
            "DestinationRule backend-canary",
            "DestinationRule backend-primary",
        ],
    ),
    "primary, configs first": (
        EnsurePrimary(revision_facts(fresh().facts())[0]),
        ["ConfigMap backend-config-primary", "Secret backend-secret-primary", "Deployment backend-primary"],
    ),
    "autoscaler": (EnsureAutoscaler(), ["HorizontalPodAutoscaler backend-primary"]),
    "apex": (EnsureApex(), ["Service backend"]),
    "routes": (SetRoutes(Routes(10)), ["VirtualService backend"]),
    "scale": (ScaleTarget(0), ["Deployment backend scaled to 0"]),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_what_is_missing_is_written_in_this_order(name):
    action, expected = ACTIONS[name]
    assert named(plan_writes(action, fresh().facts())) == expected


@pytest.mark.parametrize(
    "action",
    [
        EnsureServices(),
        EnsurePrimary("another"),
        EnsureAutoscaler(),
        EnsureAutoscaler(resync=True),
        EnsureApex(),
        SetRoutes(Routes()),
        ScaleTarget(0),
    ],
)
def test_what_is_true_already_is_not_written(action):
    assert plan_writes(action, done().facts()) == ()


def test_every_write_is_true_after_it_was_done():
    cluster = fresh()
    revision = revision_of(cluster)
    actions = (
        EnsureServices(),
        EnsurePrimary(revision),
        EnsureAutoscaler(),
        EnsureApex(),
        SetRoutes(Routes(30)),
        ScaleTarget(0),
        PromoteSpec(revision),
    )
    for action in actions:
        for write in plan_writes(action, cluster.facts()):
            cluster.apply(write)
        assert plan_writes(action, cluster.facts()) == ()


def test_a_promotion_writes_configs_and_spec_once():
    cluster = done()
    cluster.set_image("podinfo:2")
    cluster.set_config({"greeting": "good day"})
    promote = PromoteSpec(revision_of(cluster))
    writes = plan_writes(promote, cluster.facts())
    assert named(writes) == ["ConfigMap backend-config-primary", "Deployment backend-primary"]
    for write in writes:
        cluster.apply(write)
    assert plan_writes(promote, cluster.facts()) == ()
    assert cluster.image("backend-primary") == "podinfo:2"


def test_a_target_that_has_moved_on_is_not_promoted():
    cluster = done()
    cluster.set_image("podinfo:2")
    promote = PromoteSpec(revision_of(cluster))
    cluster.set_image("podinfo:3")
    assert plan_writes(promote, cluster.facts()) == ()


def test_a_primary_is_not_touched_outside_a_promotion():
    cluster = done()
    cluster.set_image("by-hand", "backend-primary")
    assert plan_writes(EnsurePrimary(revision_of(cluster)), cluster.facts()) == ()


def test_an_autoscaler_follows_only_where_it_is_asked_to():
    cluster = done()
    cluster.edit("HorizontalPodAutoscaler", "backend", lambda item: item["spec"].update(maxReplicas=9))
    assert plan_writes(EnsureAutoscaler(), cluster.facts()) == ()
    assert named(plan_writes(EnsureAutoscaler(resync=True), cluster.facts())) == [
        "HorizontalPodAutoscaler backend-primary"
    ]


@pytest.mark.parametrize(("floor", "least"), [(0, None), (2, None), (3, 3), (4, 4), (9, 4)])
def test_a_primary_keeps_replicas_for_the_traffic_that_comes_back_within_its_limit(floor, least):
    cluster = done()
    writes = plan_writes(EnsureAutoscaler(floor=floor), cluster.facts())
    found = [write.manifest["spec"]["minReplicas"] for write in writes if isinstance(write, Put)]
    assert found == ([] if least is None else [least])


def test_a_replacement_carries_the_version_that_it_replaces():
    cluster = done()
    live = cluster.objects["VirtualService", "backend"]
    (write,) = plan_writes(SetRoutes(Routes(10)), cluster.facts())
    assert isinstance(write, Put)
    assert write.manifest["metadata"] == live["metadata"]


def test_a_target_that_does_not_say_how_many_replicas_has_one():
    cluster = Cluster.of(canary_manifest(), make_deployment(replicas=None))
    assert plan_writes(ScaleTarget(1), cluster.facts()) == ()
    assert plan_writes(ScaleTarget(0), cluster.facts()) == (
        Patch("Deployment", NAMESPACE, "backend", {"spec": {"replicas": 0}}, "scaled to 0"),
    )
