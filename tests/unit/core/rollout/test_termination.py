"""A deletion with revertOnDeletion: the target serves again before the Canary goes, and the Canary does go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controller.api.status import Phase
from controller.core.decision import Patch, Put
from controller.core.model import Rival
from controller.core.objects.leftovers import SETTLE_SECONDS
from controller.core.rollout.phases import Reason
from tests.builders import NAMESPACE, WEIGHTED, canary_manifest, make_autoscaler, make_deployment
from tests.unit.core.cluster import END_PHASES, Cluster, forget, initialized, progressing

AUTOSCALER_REF = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "backend"}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "backend", "namespace": NAMESPACE, "resourceVersion": "1", "labels": {"team": "web"}},
    "spec": {
        "clusterIP": "10.0.0.1",
        "selector": {"app": "backend"},
        "ports": [{"name": "http", "port": 9898, "protocol": "TCP", "targetPort": 9898}],
    },
}
VIRTUAL_SERVICE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "backend", "namespace": NAMESPACE, "resourceVersion": "1"},
    "spec": {"hosts": ["backend"], "http": [{"route": [{"destination": {"host": "backend"}}]}]},
}
DEADLINE = 600


def written(cluster: Cluster) -> list[str]:
    """What was written since the last look, in order."""
    done = [
        f"{write.manifest['kind']} {write.manifest['metadata']['name']}"
        if isinstance(write, Put)
        else f"{write.name} {write.done}"
        for write in cluster.writes
        if isinstance(write, (Put, Patch))
    ]
    assert len(done) == len(cluster.writes)
    forget(cluster)
    return done


def content(item: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in item["metadata"].items() if key not in ("resourceVersion", "generation")}
    return {**item, "metadata": {key: value for key, value in kept.items() if value}}


def deleted(cluster: Cluster) -> Cluster:
    cluster.delete()
    cluster.tick()
    assert (cluster.phase, cluster.events[-1:]) == (Phase.TERMINATING, ["Terminating canary backend.prod"])
    assert cluster.writes == []
    return cluster


def ended(cluster: Cluster, seconds: float) -> bool:
    """Whether the Canary can go within so many seconds, of ticks whenever they are due."""
    due = 0.0
    while cluster.phase is not Phase.TERMINATED and due <= seconds:
        seconds -= due
        due = cluster.tick(due).requeue_after or 0.0
    return cluster.phase is Phase.TERMINATED


def test_the_target_serves_again_and_has_its_service_and_routes_back_before_the_canary_goes():
    cluster = deleted(initialized(canary_manifest(), make_deployment(replicas=3), SERVICE, VIRTUAL_SERVICE))
    cluster.health["backend"] = "waiting"
    cluster.tick()
    assert written(cluster) == ["backend scaled to 3"]
    cluster.tick(10)
    assert (written(cluster), cluster.state.reason) == ([], Reason.CANARY_NOT_READY)
    assert cluster.state.message.startswith("canary deployment backend.prod not ready: waiting for rollout to finish")
    cluster.roll_out("backend", "ready")
    cluster.tick()
    assert written(cluster) == ["Service backend", "VirtualService backend"]
    for before in (SERVICE, VIRTUAL_SERVICE):
        assert content(cluster.objects[before["kind"], "backend"]) == content(before)  # type: ignore[index]
    cluster.tick(SETTLE_SECONDS - 1)
    cluster.tick(SETTLE_SECONDS - 1)
    assert cluster.phase is Phase.TERMINATING, "the data plane has to know the way first"
    cluster.tick(1)
    assert (cluster.phase, written(cluster)) == (Phase.TERMINATED, [])
    assert cluster.tick().state.phase is Phase.TERMINATED


@pytest.mark.parametrize("phase", END_PHASES)
def test_from_whatever_phase(phase):
    cluster = initialized()
    cluster.canary["status"]["phase"] = phase
    assert ended(deleted(cluster), 60)
    assert cluster.replicas("backend") == 1


def test_in_the_middle_of_a_rollout_the_canary_gets_the_primarys_replicas():
    cluster = deleted(progressing(20, canary_manifest(), make_deployment(replicas=4)))
    cluster.edit("Deployment", "backend", lambda item: item["spec"].update(replicas=1))
    assert ended(cluster, 60)
    assert cluster.replicas("backend") == 4


@pytest.mark.parametrize(("has", "gets"), [(0, 3), (2, 2)])
def test_an_autoscaler_decides_once_there_are_pods(has, gets):
    canary = canary_manifest(autoscalerRef=AUTOSCALER_REF)
    cluster = initialized(canary, make_deployment(replicas=3), make_autoscaler())
    cluster.edit("Deployment", "backend", lambda item: item["spec"].update(replicas=has))
    assert ended(deleted(cluster), 60)
    assert cluster.replicas("backend") == gets


def test_a_primary_that_is_gone_already_is_remembered():
    cluster = initialized(canary_manifest(), make_deployment(replicas=3))
    del cluster.objects["Deployment", "backend-primary"]
    assert ended(deleted(cluster), 60)
    assert cluster.replicas("backend") == 3
    assert ("Deployment", "backend-primary") not in cluster.objects


@pytest.mark.parametrize("health", ["waiting", "down", "expired"])
def test_pods_that_do_not_start_hold_a_deletion_up_until_the_deadline_and_no_longer(health):
    cluster = deleted(initialized(canary_manifest(), make_deployment(), SERVICE))
    cluster.health["backend"] = health
    assert not ended(cluster, DEADLINE - 10)
    assert ended(cluster, 20)
    assert cluster.events[-2].startswith(
        "Deleting backend.prod after 600s without a whole revert: canary deployment backend.prod not ready: "
    )
    assert cluster.events[-1] == "Terminated canary backend.prod"
    assert content(cluster.objects["Service", "backend"]) == content(SERVICE)


def no_target(cluster: Cluster) -> None:
    del cluster.objects["Deployment", "backend"]


def contested(cluster: Cluster) -> None:
    cluster.rival = Rival("other", "Service", "backend", "spec.service.name")


def not_initialised(cluster: Cluster) -> None:
    cluster.canary["status"] = {"phase": "Initializing"}


@pytest.mark.parametrize("change", [no_target, contested, not_initialised])
def test_what_was_not_changed_or_is_not_ours_is_not_changed_back(change: Callable[[Cluster], None]):
    cluster = initialized()
    change(cluster)
    deleted(cluster)
    cluster.tick()
    assert (cluster.phase, cluster.writes) == (Phase.TERMINATED, [])


@pytest.mark.parametrize("spec", [{"suspend": True}, {"provider": "nginx"}])
def test_no_guard_holds_a_deletion_up(spec):
    cluster = initialized()
    cluster.edit_canary(**spec)
    assert ended(deleted(cluster), 60)
    assert cluster.replicas("backend") == 1


def test_what_flagger_has_adopted_is_given_back_too():
    """It marks nothing: of the VirtualService it keeps the former spec, of the Service nothing."""
    cluster = initialized(canary_manifest(), make_deployment(), SERVICE, VIRTUAL_SERVICE)
    for kind in ("Service", "VirtualService"):
        annotations = cluster.objects[kind, "backend"]["metadata"]["annotations"]
        annotations.pop("flagger.app/adopted-by")
    for key in ("flagger.app/adopted-ports", "flagger.kubernetes.io/original-configuration"):
        del cluster.objects["Service", "backend"]["metadata"]["annotations"][key]
    assert ended(deleted(cluster), 60)
    assert cluster.objects["Service", "backend"]["spec"]["selector"] == {"app": "backend"}
    assert cluster.objects["VirtualService", "backend"]["spec"] == VIRTUAL_SERVICE["spec"]


@pytest.mark.parametrize("phase", [Phase.NEW, *END_PHASES, Phase.PROGRESSING])
def test_where_nobody_asked_for_a_revert_the_canary_goes_at_once(phase):
    cluster = initialized(canary_manifest(), make_deployment(), SERVICE)
    cluster.canary["status"]["phase"] = phase
    cluster.delete(revert=False)
    cluster.tick()
    assert (cluster.phase, cluster.writes) == (Phase.TERMINATED, [])


def test_without_a_deletion_nothing_is_reverted():
    cluster = initialized(canary_manifest(revertOnDeletion=True, analysis=WEIGHTED))
    cluster.tick(10)
    assert (cluster.phase, cluster.writes) == (Phase.INITIALIZED, [])
