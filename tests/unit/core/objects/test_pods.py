"""What is said about pods that are not ready."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from controller.core.objects.pods import SHOWN, selector_text, trouble_of
from tests.builders import make_deployment

DEPLOYMENT = make_deployment("backend")
PULL = 'failed to pull and unpack image "backend:9": not found'


def pod(
    name: str = "backend-6d9f-x",
    *,
    kind: str = "ReplicaSet",
    owner: str = "backend-6d9f",
    created: int = 0,
    **status: Any,
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": f"2026-01-01T12:00:{created:02}Z",
            "ownerReferences": [{"kind": kind, "name": owner}],
        },
        "status": {"conditions": [{"type": "Ready", "status": "False"}], **status},
    }


def container(state: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "app", "image": "backend:9", "ready": False, "restartCount": 0, "state": state, **more}


def containers(state: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"containerStatuses": [container(state, **more)]}


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason}}


RUNS: dict[str, Any] = {"running": {"startedAt": "2026-01-01T12:00:00Z"}}
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available:\n3 Insufficient cpu.",
}
GATE = {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady", "message": "mesh.io/ready is false"}

SAID: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "nothing yet": ({}, ""),
    "it starts": (containers(waits("ContainerCreating")), ""),
    "its init containers run": (containers(waits("PodInitializing")), ""),
    "no node takes it": (
        {"conditions": [UNSCHEDULABLE]},
        "cannot be scheduled: Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.",
    ),
    "it was evicted": (
        {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
        "failed: Evicted: The node was low on resource: memory.",
    ),
    "the first pull fails": (
        containers(waits("ErrImagePull", PULL)),
        f"container app cannot pull its image backend:9 (ImagePullBackOff): {PULL}",
    ),
    "the kubelet waits before the next pull": (
        containers(waits("ImagePullBackOff", f'Back-off pulling image "backend:9": ErrImagePull: {PULL}')),
        f"container app cannot pull its image backend:9 (ImagePullBackOff): {PULL}",
    ),
    "a Secret is missing": (
        containers(waits("CreateContainerConfigError", 'secret "token" not found')),
        'container app waits: CreateContainerConfigError: secret "token" not found',
    ),
    "it crashed and waits": (
        containers(waits("CrashLoopBackOff", "back-off 20s"), lastState=ended(3), restartCount=2),
        "container app ended with exit code 3, 2 restarts",
    ),
    "it crashed and runs again": (
        containers(RUNS, lastState=ended(3), restartCount=2, started=True),
        "container app ended with exit code 3, 2 restarts",
    ),
    "it took too much memory": (
        containers(ended(137, "OOMKilled"), restartCount=1),
        "container app ended with exit code 137 (OOMKilled), 1 restarts",
    ),
    "its probe fails": (
        containers(RUNS, started=True),
        "container app runs and is not ready: its readiness probe fails",
    ),
    "it never starts up": (
        containers(RUNS, started=False),
        "container app runs and is not ready: its startup probe fails",
    ),
    "an init container fails": (
        {"initContainerStatuses": [container(ended(1), restartCount=4)], **containers(waits("PodInitializing"))},
        "container app ended with exit code 1, 4 restarts",
    ),
    "an init container is done": (
        {"initContainerStatuses": [container(ended(0, "Completed"))], **containers(RUNS, started=True)},
        "container app runs and is not ready: its readiness probe fails",
    ),
    "a sidecar is not ready": (
        {"containerStatuses": [container(RUNS, ready=True), {**container(RUNS, started=True), "name": "istio-proxy"}]},
        "container istio-proxy runs and is not ready: its readiness probe fails",
    ),
    "a readiness gate is closed": (
        {"conditions": [GATE], **containers(RUNS, ready=True)},
        "waits for a readiness gate: ReadinessGatesNotReady: mesh.io/ready is false",
    ),
    "an API that serves nulls": ({"conditions": None, "containerStatuses": None, "initContainerStatuses": None}, ""),
}


@pytest.mark.parametrize("name", SAID)
def test_a_pod_says_why_it_is_not_ready(name):
    status, said = SAID[name]
    assert trouble_of(DEPLOYMENT, [pod(**status)]) == (f"pod backend-6d9f-x {said}" if said else "")


def test_the_newest_pod_that_says_something_speaks_for_all():
    crashed, pulls = containers(ended(3)), containers(waits("ErrImagePull", PULL))
    pods = [pod("old", created=1, **crashed), pod("new", created=3, **pulls), pod("newer", created=4)]
    assert trouble_of(DEPLOYMENT, pods).startswith("pod new container app cannot pull")


@pytest.mark.parametrize(
    "other",
    [
        pod(owner="backend-primary-6d9f", **containers(ended(3))),
        pod(owner="shop", **containers(ended(3))),
        {**pod(**containers(ended(3))), "metadata": {"name": "alone"}},
        {**pod(**containers(ended(3))), "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
    ],
    ids=["of the primary", "of another Deployment", "of nobody", "ready"],
)
def test_other_pods_say_nothing(other):
    assert trouble_of(DEPLOYMENT, [other]) == ""


def test_a_pod_that_is_being_deleted_says_nothing():
    going = pod(**containers(ended(3)))
    going["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    assert trouble_of(DEPLOYMENT, [going]) == ""


def test_a_reason_is_one_line_and_short():
    said = trouble_of(DEPLOYMENT, [pod(**containers(waits("CreateContainerError", "a\x1b[31m\nb" * 1000)))])
    assert said.isprintable()
    assert len(said) <= SHOWN + len("pod backend-6d9f-x ")
    assert said.endswith("…")


def test_the_selector_is_in_the_words_of_the_api():
    expressions = [
        {"key": "tier", "operator": "In", "values": ["web", "api"]},
        {"key": "zone", "operator": "NotIn", "values": ["x"]},
        {"key": "app", "operator": "Exists"},
        {"key": "old", "operator": "DoesNotExist"},
    ]
    deployment = {**DEPLOYMENT, "spec": {"selector": {"matchLabels": {"a": "b"}, "matchExpressions": expressions}}}
    assert selector_text(deployment) == "a=b,tier in (web,api),zone notin (x),app,!old"
