"""What a Canary owns follows its spec: the new is made first, the former goes, and nobody else's is touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from controller.api.status import Phase
from controller.core.decision import Delete
from controller.core.model import Rival
from controller.core.objects.ownership import ADOPTED_BY, owner_reference
from controller.core.objects.services import ORIGINAL_CONFIGURATION
from controller.core.probes import Value
from tests.builders import (
    ERROR_RATE,
    NAMESPACE,
    WEIGHTED,
    canary_manifest,
    make_autoscaler,
    make_canary,
    make_config,
    make_deployment,
)
from tests.unit.core.cluster import Cluster, forget, initialized, progressing, rolled_out, settled, with_state

BAD = Value(100.0)
ANALYSIS = {**WEIGHTED, "metrics": [ERROR_RATE]}


def names_of(cluster: Cluster, kind: str) -> list[str]:
    return sorted(name for found, name in cluster.objects if found == kind)


def hpa(name: str) -> dict[str, Any]:
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": name}


def deleted(cluster: Cluster) -> list[str]:
    return [f"{write.kind} {write.name}" for write in cluster.writes if isinstance(write, Delete)]


# --- what is not generated any more ---


def rest(cluster: Cluster) -> None:
    """Time passes until nothing former can be in use."""
    for _ in range(4):
        cluster.tick(10)


def test_another_service_name_gets_new_objects_and_then_the_former_go_routes_first():
    cluster = initialized(canary_manifest(service={"name": "shop"}))
    cluster.edit_canary(service={"name": "store", "port": 9898})
    rest(cluster)
    assert deleted(cluster) == [
        "VirtualService shop",
        "DestinationRule shop-canary",
        "DestinationRule shop-primary",
        "Service shop",
        "Service shop-canary",
        "Service shop-primary",
    ]
    assert names_of(cluster, "Service") == ["store", "store-canary", "store-primary"]
    assert cluster.weights("store") == (100, 0)


def test_another_service_name_in_the_middle_of_a_rollout_leaves_no_routes_to_a_canary_that_ends():
    cluster = progressing(40, canary_manifest(service={"name": "shop"}))
    cluster.edit_canary(service={"name": "store", "port": 9898})
    cluster.set_image("podinfo:1")
    rest(cluster)
    assert names_of(cluster, "VirtualService") == ["store"]
    assert (cluster.phase, cluster.weights("store")) == (Phase.INITIALIZED, (100, 0))


def test_nothing_goes_before_what_replaces_it_has_been_there_for_a_while():
    cluster = initialized(canary_manifest(service={"name": "shop"}))
    with_state(cluster, transitioned_at=cluster.now).edit_canary(service={"name": "store", "port": 9898})
    cluster.tick()
    created = cluster.now.isoformat()
    for kind, name in cluster.objects:
        if name.startswith("store"):
            cluster.objects[kind, name]["metadata"]["creationTimestamp"] = created
    forget(cluster)
    assert cluster.tick(5).requeue_after == 10
    assert deleted(cluster) == []
    cluster.tick(5)
    assert len(deleted(cluster)) == 6


def test_another_target_takes_over_from_the_former_once_its_primary_is_ready():
    cluster = progressing(40, canary_manifest(service={"name": "shop"}))
    cluster.objects["Deployment", "cart"] = make_deployment("cart", image="cart:1")
    cluster.health["cart-primary"] = "waiting"
    cluster.edit_canary(targetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"})
    assert cluster.tick(10).events[0].message == "Target of backend.prod changed! Initializing cart.prod"
    assert (cluster.phase, cluster.weights("shop")) == (Phase.INITIALIZING, (100, 0))
    cluster.tick(10)
    cluster.objects["Deployment", "cart-primary"]["status"]["availableReplicas"] = 0
    cluster.tick(10)
    selected = [cluster.objects["Service", name]["spec"]["selector"] for name in ("shop", "shop-primary")]
    assert selected == [{"app": "backend-primary"}] * 2
    cluster.roll_out("cart-primary", "ready")
    rest(cluster)
    selected = [cluster.objects["Service", name]["spec"]["selector"] for name in ("shop", "shop-primary")]
    assert selected == [{"app": "cart-primary"}] * 2
    assert names_of(cluster, "Deployment") == ["backend", "cart", "cart-primary"]
    assert (cluster.phase, cluster.image("cart-primary")) == (Phase.INITIALIZED, "cart:1")


def test_a_target_of_another_name_with_the_same_labels_takes_over_too():
    cluster = initialized(canary_manifest(service={"name": "shop"}))
    del cluster.objects["Deployment", "backend"]
    cluster.objects["Deployment", "cart"] = make_deployment("cart", labels={"app": "backend"})
    cluster.edit_canary(targetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"})
    rest(cluster)
    assert cluster.phase is Phase.INITIALIZED
    assert names_of(cluster, "Deployment") == ["cart", "cart-primary"]


def scaled_by(cluster: Cluster) -> list[str]:
    """The HPAs of the primary."""
    return [
        name
        for (kind, name), item in cluster.objects.items()
        if kind == "HorizontalPodAutoscaler" and item["spec"]["scaleTargetRef"]["name"] == "backend-primary"
    ]


@pytest.mark.parametrize(
    ("reference", "expected"), [(hpa("hpa2"), ["hpa2-primary"]), (None, [])], ids=["another", "none"]
)
def test_one_autoscaler_at_most_scales_the_primary(reference, expected):
    cluster = initialized(canary_manifest(autoscalerRef=hpa("backend")), make_deployment(), make_autoscaler())
    cluster.objects["HorizontalPodAutoscaler", "hpa2"] = make_autoscaler()
    cluster.objects["HorizontalPodAutoscaler", "hpa2"]["metadata"]["name"] = "hpa2"
    cluster.edit_canary(autoscalerRef=reference)
    rest(cluster)
    assert scaled_by(cluster) == expected


def test_an_autoscaler_stays_until_the_one_that_replaces_it_can_be_made():
    cluster = initialized(canary_manifest(autoscalerRef=hpa("backend")), make_deployment(), make_autoscaler())
    cluster.edit_canary(autoscalerRef=hpa("not-there"))
    rest(cluster)
    assert scaled_by(cluster) == ["backend-primary"]


def configured(*names: str) -> dict[str, Any]:
    deployment = make_deployment()
    deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [
        {"configMapRef": {"name": name}} for name in names
    ]
    return deployment


def test_a_config_copy_goes_when_the_primary_does_not_use_it_any_more():
    configs = [make_config(name, {"a": "1"}) for name in ("one", "two")]
    cluster = initialized(None, configured("one", "two"), *configs)
    cluster.edit("Deployment", "backend", lambda item: item["spec"].update(configured("two")["spec"]))
    for _ in range(2):
        cluster.tick(10)
        assert names_of(cluster, "ConfigMap") == ["one", "one-primary", "two", "two-primary"]
    rolled_out(cluster)
    rest(cluster)
    assert names_of(cluster, "ConfigMap") == ["one", "two", "two-primary"]


def test_what_is_missing_is_made_and_nothing_former_goes_meanwhile():
    cluster = initialized(canary_manifest(service={"name": "shop"}))
    cluster.edit_canary(service={"name": "store", "port": 9898})
    cluster.health["backend-primary"] = "waiting"
    cluster.roll_out("backend-primary")
    rest(cluster)
    assert deleted(cluster) == []
    assert "store" in names_of(cluster, "Service")


# --- what is somebody else's ---


def foreign(kind: str, name: str, **body: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "namespace": NAMESPACE, "resourceVersion": "1"}, **body}


FOREIGN: Mapping[str, dict[str, Any]] = {
    "primary": make_deployment("backend-primary", image="postgres", labels={"app": "db"}),
    "primary Service": foreign("Service", "backend-primary", spec={"selector": {"app": "db"}}),
    "canary Service": foreign("Service", "backend-canary", spec={"selector": {"app": "db"}}),
    "DestinationRule": foreign("DestinationRule", "backend-canary", spec={"host": "db"}),
    "autoscaler": {**make_autoscaler("backend-primary")},
    "ConfigMap": make_config("one-primary", {"a": "mine"}),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_an_object_of_somebody_else_is_refused_by_name_and_not_touched(name):
    theirs = FOREIGN[name]
    canary = canary_manifest(autoscalerRef=hpa("backend"))
    cluster = Cluster.of(canary, configured("one"), make_autoscaler(), make_config("one", {"a": "1"}), theirs)
    key = theirs["kind"], theirs["metadata"]["name"]
    for _ in range(3):
        cluster.tick(10)
    assert cluster.writes == []
    assert cluster.objects[key] == theirs
    assert f"{key[0]} {key[1]}.prod exists and is not managed by this Canary" in cluster.state.message
    assert len(cluster.events) == 1
    del cluster.objects[key]
    assert settled(cluster).phase is Phase.INITIALIZED


@pytest.mark.parametrize("name", ["primary Service", "DestinationRule", "ConfigMap"])
def test_an_object_of_somebody_else_that_comes_in_the_middle_of_a_rollout_does_not_stop_its_judgement(name):
    theirs = FOREIGN[name]
    cluster = progressing(40, canary_manifest(analysis=ANALYSIS), configured("one"), make_config("one", {"a": "1"}))
    cluster.objects[theirs["kind"], theirs["metadata"]["name"]] = theirs
    cluster.answers["webhook/rollback/stop"] = cluster.answers["metric/error-rate"] = BAD
    rolled_out(cluster)
    assert (cluster.state.routes.canary_weight, cluster.weights()) == (0, (100, 0))
    assert cluster.objects[theirs["kind"], theirs["metadata"]["name"]] == theirs


def test_a_rival_or_an_overlap_that_comes_in_the_middle_of_a_rollout_only_holds_it_and_a_bad_canary_still_ends():
    other = make_deployment("other", labels={"app": "backend", "tier": "worker"})
    for change in (
        lambda cluster: setattr(cluster, "rival", Rival("first", "Service", "backend", "spec.service.name")),
        lambda cluster: cluster.objects.update({("Deployment", "other"): other}),
    ):
        cluster = progressing(20, canary_manifest(analysis=ANALYSIS))
        change(cluster)
        for _ in range(3):
            cluster.tick(10)
        assert (cluster.phase, cluster.weights()) == (Phase.PROGRESSING, (80, 20))
        assert cluster.state.message
        cluster.answers["metric/error-rate"] = BAD
        rolled_out(cluster, ticks=6)
        assert (cluster.state.routes.canary_weight, cluster.weights()) == (0, (100, 0))


# --- what was there before ---


def apex() -> dict[str, Any]:
    ports = [
        {"name": "http", "port": 9898, "protocol": "TCP", "targetPort": 8080},
        {"name": "grpc", "port": 9999, "protocol": "TCP", "targetPort": 9999},
    ]
    spec = {"clusterIP": "10.0.0.1", "sessionAffinity": "ClientIP", "ports": ports, "selector": {"app": "backend"}}
    return {"apiVersion": "v1", **foreign("Service", "shop", spec=spec)}


def routes() -> dict[str, Any]:
    spec = {"hosts": ["shop"], "http": [{"route": [{"destination": {"host": "shop"}}]}]}
    return {"apiVersion": "networking.istio.io/v1", **foreign("VirtualService", "shop", spec=spec)}


def test_what_clients_call_is_adopted_visibly_and_given_back_as_it_was():
    cluster = settled(Cluster.of(canary_manifest(service={"name": "shop"}), make_deployment(), apex(), routes()))
    assert [event for event in cluster.events if event.startswith("Adopting")] == [
        "Adopting Service shop.prod, which existed before",
        "Adopting VirtualService shop.prod, which existed before",
    ]
    for kind in ("Service", "VirtualService"):
        annotations = cluster.objects[kind, "shop"]["metadata"]["annotations"]
        assert annotations[ADOPTED_BY] == "backend"
        assert ORIGINAL_CONFIGURATION in annotations
    assert cluster.objects["Service", "shop"]["spec"]["selector"] == {"app": "backend-primary"}
    assert cluster.weights("shop") == (100, 0)

    cluster.edit_canary(service={"name": "store", "port": 9898})
    rest(cluster)
    for before in (apex(), routes()):
        after = cluster.objects[before["kind"], "shop"]
        assert after["spec"] == before["spec"]
        assert after["metadata"].get("annotations", {}) == {}
    assert "Service shop" not in deleted(cluster)
    forget(cluster)
    settled(cluster, 10)
    assert cluster.writes == []


def test_the_other_ports_of_an_adopted_service_outlast_rollouts():
    cluster = settled(Cluster.of(canary_manifest(service={"name": "shop"}), make_deployment(), apex()))
    before = cluster.objects["Service", "shop"]["spec"]
    for health in ("ready", "waiting"):
        cluster.set_image(f"podinfo:{health}")
        cluster.health["backend-primary"] = health
        rolled_out(cluster, ticks=12)
        assert cluster.objects["Service", "shop"]["spec"] == before
    cluster.roll_out("backend-primary", "ready")
    rolled_out(cluster)
    assert cluster.objects["Service", "shop"]["spec"] == before


def test_what_another_canary_has_adopted_is_refused():
    service = apex()
    service["metadata"]["annotations"] = {ADOPTED_BY: "other"}
    cluster = Cluster.of(canary_manifest(service={"name": "shop"}), make_deployment(), service)
    cluster.tick()
    assert "Service shop.prod exists and is adopted by Canary other" in cluster.state.message


def test_what_an_earlier_canary_of_this_name_left_is_waited_for():
    left = make_deployment("backend-primary")
    left["metadata"]["ownerReferences"] = [{**owner_reference(make_canary()), "uid": "uid-before"}]
    cluster = Cluster.of(canary_manifest(), make_deployment(), left)
    cluster.tick()
    assert "belongs to an earlier Canary of this name, with which it is being deleted" in cluster.state.message


# --- each side follows its own pods ---


def test_a_changed_port_is_tried_on_the_canary_and_reaches_the_primary_with_the_promotion():
    cluster = initialized(canary_manifest(analysis=ANALYSIS, service={"port": 80, "targetPort": 9898}))
    cluster.edit_canary(service={"port": 80, "targetPort": 9899})
    cluster.set_image("podinfo:moved")
    seen = []
    for _ in range(20):
        cluster.tick(10)
        ports = [target_port(cluster, side) for side in ("-primary", "-canary")]
        if (cluster.phase, cluster.weights(), ports) not in seen:
            seen.append((cluster.phase, cluster.weights(), ports))
    assert seen == [
        *((Phase.PROGRESSING, (100 - weight, weight), [9898, 9899]) for weight in (0, 20, 40, 50)),
        (Phase.PROMOTING, (0, 100), [9898, 9899]),
        (Phase.FINALISING, (100, 0), [9899, 9899]),
        (Phase.SUCCEEDED, (100, 0), [9899, 9899]),
    ]
    assert target_port(cluster, "") == 9899


def test_a_changed_port_that_fails_never_reaches_the_primary():
    cluster = initialized(canary_manifest(analysis=ANALYSIS, service={"port": 80, "targetPort": 9898}))
    cluster.answers["metric/error-rate"] = BAD
    cluster.edit_canary(service={"port": 80, "targetPort": 9899})
    rolled_out(cluster)
    rest(cluster)
    assert cluster.phase is Phase.FAILED
    assert [target_port(cluster, name) for name in ("", "-primary")] == [9898, 9898]
    cluster.edit_canary(service={"port": 80, "targetPort": 9898})
    assert settled(cluster, 10).phase is Phase.INITIALIZED


def test_a_named_port_moves_with_each_pod_and_the_primary_keeps_its_traffic():
    cluster = progressing(50, canary_manifest(service={"port": 80, "targetPort": "http"}))
    cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.PROMOTING, (50, 50))


def target_port(cluster: Cluster, side: str) -> Any:
    return cluster.objects["Service", f"backend{side}"]["spec"]["ports"][0]["targetPort"]


def test_two_apps_of_one_name_have_services_of_their_own():
    for name in "ab":
        labels = {"app.kubernetes.io/name": "podinfo", "app.kubernetes.io/instance": name}
        cluster = initialized(canary_manifest(name=name), make_deployment(name, labels=labels))
        selected = {key: item["spec"]["selector"] for (kind, key), item in cluster.objects.items() if kind == "Service"}
        copied = {**labels, "app.kubernetes.io/name": "podinfo-primary"}
        assert selected == {name: copied, f"{name}-primary": copied, f"{name}-canary": labels}


def test_a_canary_whose_selector_also_matches_other_pods_is_held_until_it_does_not():
    other = make_deployment("other", labels={"app": "backend", "tier": "worker"})
    cluster = Cluster.of(canary_manifest(), make_deployment(), other)
    decision = cluster.tick()
    assert decision.requeue_after is not None
    assert "the selector of Deployment backend (app=backend) also matches the pods of Deployment other" in (
        cluster.state.message
    )
    assert cluster.writes == []
    del cluster.objects["Deployment", "other"]
    assert settled(cluster, 10).phase is Phase.INITIALIZED


def test_a_target_made_again_with_other_labels_keeps_its_primary_and_its_traffic():
    cluster = initialized()
    cluster.objects["Deployment", "backend"] = make_deployment(image="podinfo:2", labels={"app": "backend-v2"})
    rolled_out(cluster)
    selected = {key: item["spec"]["selector"] for (kind, key), item in cluster.objects.items() if kind == "Service"}
    assert selected == {
        "backend": {"app": "backend-primary"},
        "backend-primary": {"app": "backend-primary"},
        "backend-canary": {"app": "backend-v2"},
    }
    labels = cluster.objects["Deployment", "backend-primary"]["spec"]["template"]["metadata"]["labels"]
    assert (cluster.phase, cluster.image("backend-primary"), labels) == (
        Phase.SUCCEEDED,
        "podinfo:2",
        {"app": "backend-primary"},
    )
