"""A DaemonSet as the target: what differs from a Deployment, from the first primary to the deletion."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.status import Phase
from controller.core.probes import Pods, Value
from tests.builders import ERROR_RATE, WEIGHTED, canary_manifest, make_autoscaler, make_daemon_set, make_deployment
from tests.unit.core.cluster import Cluster, initialized, progressing, rolled_out, settled
from tests.unit.core.objects.test_pods import containers, pod, waits

AUTOSCALER_REF = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "backend"}
MISSING = containers(waits("CreateContainerConfigError", 'secret "token" not found'))


def daemon_canary(**parts: Any) -> dict[str, Any]:
    return canary_manifest(kind="DaemonSet", analysis={**WEIGHTED, "metrics": [ERROR_RATE]}, **parts)


def ready() -> Cluster:
    return initialized(daemon_canary(), make_daemon_set())


def promoted(cluster: Cluster) -> str:
    """What the condition of that name says."""
    conditions = cluster.canary["status"]["conditions"]
    return str(next(each["message"] for each in conditions if each["type"] == "Promoted"))


def test_the_first_version_becomes_a_primary_and_the_target_rests():
    cluster = ready()
    kinds = {key for key in cluster.objects if key[1].startswith("backend") and key[0] in ("Deployment", "DaemonSet")}
    assert kinds == {("DaemonSet", "backend"), ("DaemonSet", "backend-primary")}
    assert (cluster.replicas("backend"), cluster.replicas("backend-primary")) == (0, 1)
    assert promoted(cluster) == "DaemonSet initialization completed."


def test_a_good_version_is_promoted_step_by_step():
    cluster = ready()
    cluster.set_image("podinfo:2")
    seen = rolled_out(cluster)
    assert seen == [
        *[("Progressing", weight) for weight in (0, 20, 40, 50)],
        ("Promoting", 50),
        ("Finalising", 0),
        ("Succeeded", 0),
    ]
    assert (cluster.image("backend-primary"), cluster.replicas("backend")) == ("podinfo:2", 0)
    assert cluster.replicas("backend-primary") == 1


def test_a_bad_version_is_rolled_back_and_rests():
    cluster = ready()
    cluster.answers["metric/error-rate"] = Value(100.0)
    cluster.set_image("podinfo:2")
    assert rolled_out(cluster)[-1] == ("Failed", 0)
    settled(cluster, 10)
    assert (cluster.image("backend-primary"), cluster.replicas("backend")) == ("podinfo:1", 0)
    assert promoted(cluster) == "Canary analysis failed, DaemonSet scaled to zero."


def test_a_node_selector_of_the_user_is_part_of_the_version():
    cluster = ready()
    selected = {"nodeSelector": {"disk": "ssd"}}
    cluster.edit(
        "DaemonSet", "backend", lambda item: item["spec"]["template"]["spec"]["nodeSelector"].update(disk="ssd")
    )
    rolled_out(cluster)
    pods = cluster.objects["DaemonSet", "backend-primary"]["spec"]["template"]["spec"]
    assert {"nodeSelector": pods.get("nodeSelector")} == selected


def test_pods_that_do_not_come_up_are_said_and_rolled_back_after_the_deadline_of_the_canary():
    cluster = ready()
    cluster.health["backend"] = "waiting"
    cluster.answers["pods/backend"] = Pods((pod("backend-x", kind="DaemonSet", owner="backend", **MISSING),))
    cluster.set_image("podinfo:2")
    start = cluster.now
    for _ in range(100):
        cluster.tick(10)
        if cluster.phase is Phase.FAILED:
            break
    assert 600 <= (cluster.now - start).total_seconds() <= 640
    (event,) = (event for event in cluster.events if event.startswith("Rolling back"))
    assert event.startswith(
        "Rolling back backend.prod progress deadline exceeded canary daemonset backend.prod not ready: waiting for "
        "rollout to finish: 0 out of 1 new pods have been updated; pod backend-x container app waits: "
    )


def test_a_broken_primary_is_waited_for_until_the_deadline_and_then_a_new_version_may_repair_it():
    cluster = ready()
    cluster.roll_out("backend-primary", "waiting")
    cluster.set_image("podinfo:2")
    cluster.tick()
    waiting = cluster.state
    assert waiting.phase is Phase.INITIALIZED
    assert waiting.message.startswith("backend-primary.prod not ready: ")
    for _ in range(62):
        cluster.tick(10)
    assert cluster.phase is Phase.PROGRESSING


def test_a_promotion_whose_primary_does_not_come_up_is_given_up_after_the_deadline():
    cluster = progressing(50, daemon_canary(), make_daemon_set())
    cluster.health["backend-primary"] = "waiting"
    for _ in range(70):
        cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.FAILED, (0, 100))


def test_a_deleted_primary_comes_back_as_it_was_promoted():
    cluster = ready()
    made = cluster.objects.pop(("DaemonSet", "backend-primary"))
    cluster.set_image("podinfo:2")
    cluster.tick()
    back = cluster.objects["DaemonSet", "backend-primary"]
    assert back["spec"] == made["spec"]


def test_a_deletion_wakes_the_target():
    cluster = ready()
    cluster.delete()
    settled(cluster)
    settled(cluster, 10)
    assert (cluster.phase, cluster.replicas("backend")) == (Phase.TERMINATED, 1)


def test_a_target_of_another_kind_starts_over_and_the_former_primary_goes():
    cluster = initialized(canary_manifest(), make_deployment())
    del cluster.objects["Deployment", "backend"]
    made = make_daemon_set()
    cluster.objects["DaemonSet", "backend"] = made
    cluster.edit_canary(targetRef={"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "backend"})
    settled(cluster)
    settled(cluster, 10)
    assert cluster.phase is Phase.INITIALIZED
    assert ("Deployment", "backend-primary") not in cluster.objects
    assert ("DaemonSet", "backend-primary") in cluster.objects


@pytest.mark.parametrize(
    ("canary", "target", "problem"),
    [
        (
            daemon_canary(autoscalerRef=AUTOSCALER_REF),
            make_daemon_set(),
            "not supported: spec.autoscalerRef: a DaemonSet has a pod on each node, whatever its load",
        ),
        (
            daemon_canary(),
            {**make_daemon_set(), "spec": {**make_daemon_set()["spec"], "updateStrategy": {"type": "OnDelete"}}},
            (
                "not supported: DaemonSet backend has spec.updateStrategy OnDelete, with which its primary never "
                "changes; use RollingUpdate"
            ),
        ),
        (
            daemon_canary(),
            make_deployment(),
            "DaemonSet backend.prod not found; spec.targetRef must name a DaemonSet in this namespace",
        ),
    ],
    ids=["an autoscaler", "pods that are replaced by hand", "a Deployment of that name"],
)
def test_what_cannot_be_done_is_said_and_nothing_is_touched(canary, target, problem):
    cluster = Cluster.of(canary, target, make_autoscaler())
    cluster.tick()
    assert (cluster.state.message, cluster.writes) == (problem, [])
