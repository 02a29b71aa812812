"""A namespace that Flagger has managed so far: same objects, same status, and no rollout for the change of hands."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.status import Phase
from controller.core.decision import Put
from controller.core.objects.ownership import owner_reference
from tests.builders import (
    NAMESPACE,
    WEIGHTED,
    canary_manifest,
    make_autoscaler,
    make_canary,
    make_config,
    make_deployment,
    ready_status,
)
from tests.unit.core.cluster import Cluster, forget, rolled_out, settled

AUTOSCALER_REF = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "backend"}
FLUX = {
    "helm.toolkit.fluxcd.io/driftDetection": "disabled",
    "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
}
PORT = {"name": "http", "port": 9898, "protocol": "TCP", "targetPort": 9898}


def target(image: str = "podinfo:1") -> dict[str, Any]:
    deployment = make_deployment(image=image, replicas=0)
    greeting = {"configMapKeyRef": {"name": "backend-config", "key": "greeting"}}
    deployment["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "GREETING", "valueFrom": greeting}]
    return deployment


def owned(kind: str, api_version: str, name: str, *, flux: bool = False, **body: Any) -> dict[str, Any]:
    """An object as Flagger leaves it."""
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "resourceVersion": "5",
        "ownerReferences": [owner_reference(make_canary())],
        **({"annotations": dict(FLUX)} if flux else {}),
    }
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}


def service(name: str, selected: str) -> dict[str, Any]:
    spec = {
        "clusterIP": "10.96.0.9",
        "clusterIPs": ["10.96.0.9"],
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "ports": [PORT],
        "selector": {"app": selected},
        "sessionAffinity": "None",
        "type": "ClusterIP",
    }
    built = owned("Service", "v1", name, flux=True, spec=spec)
    built["metadata"]["labels"] = {"app": name}
    return built


def primary() -> dict[str, Any]:
    template = target()["spec"]["template"]
    template["metadata"]["labels"] = {"app": "backend-primary"}
    template["metadata"]["annotations"] |= {"flagger-id": "48e6b134-d2f1-4f22-b53b-c7f2f6182119"}
    variable = template["spec"]["containers"][0]["env"][0]
    variable["valueFrom"]["configMapKeyRef"]["name"] = "backend-config-primary"
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "backend-primary"}}, "template": template}
    built = owned("Deployment", "apps/v1", "backend-primary", spec=spec)
    built["metadata"] |= {"generation": 1, "labels": {"app": "backend-primary"}}
    return {**built, "status": ready_status(1, 1)}


def virtual_service(weight: int) -> dict[str, Any]:
    route = [
        {"destination": {"host": "backend-primary"}, "weight": 100 - weight},
        {"destination": {"host": "backend-canary"}, "weight": weight},
    ]
    spec = {"gateways": ["mesh"], "hosts": ["backend"], "http": [{"route": route}]}
    return owned("VirtualService", "networking.istio.io/v1", "backend", flux=True, spec=spec)


def autoscaler() -> dict[str, Any]:
    spec = make_autoscaler()["spec"]
    spec["scaleTargetRef"]["name"] = "backend-primary"
    return owned("HorizontalPodAutoscaler", "autoscaling/v2", "backend-primary", spec=spec)


def destination_rule(host: str) -> dict[str, Any]:
    return owned("DestinationRule", "networking.istio.io/v1", host, spec={"host": host})


def managed_by_flagger(phase: str, *, image: str = "podinfo:1", weight: int = 0, **status: Any) -> Cluster:
    canary = canary_manifest(autoscalerRef=AUTOSCALER_REF, analysis=WEIGHTED)
    canary["status"] = {
        "phase": phase,
        "canaryWeight": weight,
        "failedChecks": 0,
        "iterations": 0,
        "lastAppliedSpec": "7554554c66",
        "lastPromotedSpec": "9dccb99c5",
        "lastTransitionTime": "2026-01-01T11:49:55Z",
        "trackedConfigs": {"configmap/backend-config": "aac83f481075f7ca"},
        **status,
    }
    return Cluster.of(
        canary,
        target(image),
        make_autoscaler(),
        make_config("backend-config", {"greeting": "hello"}),
        primary(),
        service("backend", "backend-primary"),
        service("backend-primary", "backend-primary"),
        service("backend-canary", "backend"),
        virtual_service(weight),
        destination_rule("backend-primary"),
        destination_rule("backend-canary"),
        autoscaler(),
        owned("ConfigMap", "v1", "backend-config-primary", data={"greeting": "hello"}),
    )


@pytest.mark.parametrize("phase", ["Initialized", "Succeeded", "Failed"])
def test_at_rest_nothing_is_written_but_the_status(phase):
    cluster = managed_by_flagger(phase)
    settled(cluster)
    assert cluster.writes == []
    assert cluster.phase == phase
    assert cluster.canary["status"]["lastTransitionTime"] == "2026-01-01T11:49:55Z"
    assert [event.split(",")[0] for event in cluster.events] == ["Taking over backend.prod"]


@pytest.mark.parametrize("phase", ["Initialized", "Succeeded", "Failed"])
def test_the_next_revision_is_tried_as_any_other(phase):
    cluster = settled(managed_by_flagger(phase))
    cluster.set_image("podinfo:2")
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)
    assert cluster.image("backend-primary") == "podinfo:2"


def test_a_rollout_under_way_goes_on_from_its_weight():
    cluster = managed_by_flagger("Progressing", image="podinfo:2", weight=20)
    cluster.edit("Deployment", "backend", lambda item: item["spec"].update(replicas=2))
    cluster.tick()
    assert cluster.weights() == (80, 20)
    assert rolled_out(cluster)[0] == ("Progressing", 40)
    assert (cluster.phase, cluster.image("backend-primary")) == (Phase.SUCCEEDED, "podinfo:2")


def test_a_promotion_that_waits_under_flagger_goes_through_the_steps_again():
    """Flagger reports weight 0 and -1 iterations there: what the canary had is not known."""
    cluster = managed_by_flagger("WaitingPromotion", image="podinfo:2", iterations=-1)
    cluster.edit("Deployment", "backend", lambda item: item["spec"].update(replicas=2))
    settled(cluster)
    assert cluster.state.routes.canary_weight == 20
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)


def test_a_promotion_under_way_is_made_again_and_ends():
    cluster = managed_by_flagger("Promoting", image="podinfo:2", weight=50)
    cluster.edit("Deployment", "backend", lambda item: item["spec"].update(replicas=2))
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)
    assert cluster.image("backend-primary") == "podinfo:2"


def test_the_last_interval_of_a_promotion_ends_as_flagger_would_have_it():
    cluster = managed_by_flagger("Finalising", image="podinfo:2")
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)


def test_an_initialisation_under_way_takes_the_primary_as_it_is():
    cluster = managed_by_flagger("Initializing", lastAppliedSpec="", lastPromotedSpec="")
    settled(cluster)
    assert cluster.phase is Phase.INITIALIZED
    assert cluster.writes == []
    assert cluster.state.applied == cluster.state.promoted


def test_the_objects_of_a_fresh_canary_are_those_that_flagger_makes():
    """Everything but the primary's id, whether made here or found, and how its pods are replaced."""
    found, made = managed_by_flagger("Initialized"), Cluster.of(canary_manifest(autoscalerRef=AUTOSCALER_REF))
    for key in (("Deployment", "backend"), ("HorizontalPodAutoscaler", "backend"), ("ConfigMap", "backend-config")):
        made.objects[key] = found.objects[key]
    forget(settled(made))
    for key, flaggers in found.objects.items():
        if "ownerReferences" in flaggers["metadata"] and key[0] != "Service":
            assert shape(made.objects[key]) == shape(flaggers), key


def shape(item: dict[str, Any]) -> dict[str, Any]:
    """What is desired of an object, without what differs from one to the next."""
    metadata = {key: value for key, value in item["metadata"].items() if key in ("name", "labels", "ownerReferences")}
    if item["kind"] == "Deployment":
        item = {**item, "spec": {**item["spec"], "template": dict(item["spec"]["template"])}}
        item["spec"]["template"]["metadata"] = dict(item["spec"]["template"]["metadata"], annotations={})
        for ours in ("strategy", "minReadySeconds"):
            item["spec"].pop(ours, None)
    return {"metadata": metadata, "spec": item.get("spec"), "data": item.get("data")}


def test_drift_is_repaired_after_the_take_over():
    cluster = settled(managed_by_flagger("Succeeded"))
    cluster.set_weights(30, 70)
    cluster.tick()
    assert cluster.weights() == (100, 0)
    (write,) = cluster.writes
    assert isinstance(write, Put)
