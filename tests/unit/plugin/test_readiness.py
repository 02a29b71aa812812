"""When objects count as ready."""

from typing import Any

import pytest

from sandbox.plugin.metadata import Kind, kind_of
from sandbox.plugin.readiness import Object, State, judge, judge_wait_for, pod_problems
from sandbox.plugin.wait_for import parse_wait_for

ROLLED_OUT = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}
ON_EVERY_NODE = {
    "observedGeneration": 1,
    "desiredNumberScheduled": 2,
    "updatedNumberScheduled": 2,
    "numberAvailable": 2,
}
STATEFUL = {"observedGeneration": 1, "readyReplicas": 1, "currentRevision": "a", "updateRevision": "a"}


def _object(api_version: str, kind: str, status: Any = None, *, generation: int = 1, **spec: Any) -> dict[str, Any]:
    metadata = {"name": "x", "namespace": "prod", "generation": generation}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec, "status": status or {}}


def _deployment(replicas: int = 3, **status: Any) -> dict[str, Any]:
    return _object("apps/v1", "Deployment", {**ROLLED_OUT, **status}, generation=2, replicas=replicas)


def _service(**spec: Any) -> dict[str, Any]:
    return _object("v1", "Service", spec.pop("status", None), **{"selector": {"app": "x"}, **spec})


def _condition(kind: str, status: str, **more: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, **more}]}


def _slice(*ready: bool | None) -> Object:
    return {"endpoints": [{"conditions": {} if state is None else {"ready": state}} for state in ready]}


EXCEEDED = _condition("Progressing", "False", reason="ProgressDeadlineExceeded", message="no progress")

CASES = [
    pytest.param(_deployment(), [], State.READY, id="a Deployment that is rolled out"),
    pytest.param(_deployment(observedGeneration=1), [], State.WAITING, id="a change its controller has not seen"),
    pytest.param(_deployment(updatedReplicas=2), [], State.WAITING, id="a replica yet to be updated"),
    pytest.param(_deployment(replicas=2, updatedReplicas=2), [], State.WAITING, id="an old replica yet to end"),
    pytest.param(_deployment(availableReplicas=2), [], State.WAITING, id="a replica yet to be available"),
    pytest.param(
        _object("apps/v1", "Deployment", {"observedGeneration": 1}, replicas=0), [], State.READY, id="scaled to zero"
    ),
    pytest.param(_deployment(availableReplicas=0, **EXCEEDED), [], State.FAILED, id="past its progress deadline"),
    pytest.param(_object("apps/v1", "StatefulSet", STATEFUL, replicas=1), [], State.READY, id="a StatefulSet"),
    pytest.param(
        _object("apps/v1", "StatefulSet", {**STATEFUL, "updateRevision": "b"}, replicas=1),
        [],
        State.WAITING,
        id="a StatefulSet between revisions",
    ),
    pytest.param(_object("apps/v1", "DaemonSet", ON_EVERY_NODE), [], State.READY, id="a DaemonSet on every node"),
    pytest.param(
        _object("apps/v1", "DaemonSet", {**ON_EVERY_NODE, "numberAvailable": 1}),
        [],
        State.WAITING,
        id="all but one node",
    ),
    pytest.param(_object("batch/v1", "Job", {"active": 1}), [], State.WAITING, id="a Job that runs"),
    pytest.param(
        _object("batch/v1", "Job", _condition("Complete", "True")), [], State.READY, id="a Job that completed"
    ),
    pytest.param(_object("batch/v1", "Job", _condition("Failed", "True")), [], State.FAILED, id="a Job that failed"),
    pytest.param(_object("v1", "Pod", {"phase": "Pending"}), [], State.WAITING, id="a pending Pod"),
    pytest.param(_object("v1", "Pod", _condition("Ready", "True")), [], State.READY, id="a ready Pod"),
    pytest.param(_object("v1", "Pod", {"phase": "Succeeded"}), [], State.READY, id="a Pod that succeeded"),
    pytest.param(_object("v1", "Pod", {"phase": "Failed"}), [], State.FAILED, id="a Pod that failed"),
    pytest.param(_service(), [], State.WAITING, id="a Service without endpoints"),
    pytest.param(_service(), [_slice(False)], State.WAITING, id="a Service with an endpoint that is not ready"),
    pytest.param(_service(), [_slice(False), _slice(True)], State.READY, id="a Service with a ready endpoint"),
    pytest.param(_service(), [_slice(None)], State.READY, id="an endpoint without conditions is ready"),
    pytest.param(_service(clusterIP="None"), [], State.READY, id="a headless Service"),
    pytest.param(_service(type="ExternalName"), [], State.READY, id="an ExternalName"),
    pytest.param(_service(selector={}), [], State.READY, id="a Service without selector"),
    pytest.param(_service(type="LoadBalancer"), [_slice(True)], State.WAITING, id="a LoadBalancer without address"),
    pytest.param(
        _service(type="LoadBalancer", status={"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}),
        [_slice(True)],
        State.READY,
        id="a LoadBalancer with an address",
    ),
    pytest.param(
        _object("apiextensions.k8s.io/v1", "CustomResourceDefinition", _condition("Established", "True")),
        [],
        State.READY,
        id="an established CRD",
    ),
    pytest.param(
        _object("apiextensions.k8s.io/v1", "CustomResourceDefinition", _condition("NamesAccepted", "False")),
        [],
        State.FAILED,
        id="a CRD whose names are taken",
    ),
    pytest.param(_object("v1", "PersistentVolumeClaim", {"phase": "Pending"}), [], State.WAITING, id="a pending claim"),
    pytest.param(
        _object("v1", "PersistentVolumeClaim", {"phase": "Pending"}),
        [{"volumeBindingMode": "WaitForFirstConsumer"}],
        State.READY,
        id="a claim that binds with its first Pod",
    ),
    pytest.param(_object("v1", "PersistentVolume", {"phase": "Available"}), [], State.READY, id="an available volume"),
    pytest.param(_object("flagger.app/v1beta1", "Canary"), [], State.READY, id="a custom resource is ready at once"),
]


@pytest.mark.parametrize(("obj", "related", "state"), CASES)
def test_an_object_is_judged_by_its_kind(obj: dict[str, Any], related: list[Object], state: State) -> None:
    verdict = judge(kind_of(obj), obj, related)
    assert (verdict.state, bool(verdict.reason)) == (state, state is not State.READY)


def test_a_group_of_another_name_has_no_rule() -> None:
    assert judge(Kind("example.com", "v1", "Deployment"), {"metadata": {}}, []).state is State.READY


def test_the_annotation_says_what_is_missing() -> None:
    wait_for = parse_wait_for('["condition=Promoted", "jsonpath={.status.phase}=Succeeded"]')
    verdict = judge_wait_for(wait_for, {"status": {"phase": "Progressing", **_condition("Promoted", "True")}})
    assert (verdict.state, verdict.reason) == (State.WAITING, "waiting for {.status.phase}=Succeeded")


def test_pods_tell_what_keeps_them() -> None:
    def pod(name: str, **status: Any) -> Object:
        return {"metadata": {"name": name}, "status": status}

    pull = {"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    crash = {
        "name": "c",
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}},
    }
    unscheduled = _condition("PodScheduled", "False", reason="Unschedulable", message="0/1 nodes")
    starting = {"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}}
    pods = [
        pod("a", containerStatuses=[pull]),
        pod("b", containerStatuses=[crash]),
        pod("c", **unscheduled),
        pod("d", containerStatuses=[starting]),
    ]
    assert pod_problems(pods) == [
        "Pod a, container c: ImagePullBackOff: no such image",
        "Pod b, container c: CrashLoopBackOff",
        "Pod b, container c: ended with exit code 3 (Error)",
        "Pod c: Unschedulable: 0/1 nodes",
    ]
