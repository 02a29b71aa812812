"""Every pod that the program makes, whatever the stack says: least privilege, unless the stack says otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.components.recording import IMAGE, Recording, run_program

CART: dict[str, Any] = {"image": "registry.example/cart", "tag": "1", "service": {"port": 80}}
HOOK = {"webhooks": {"load": {"type": "rollout", "metadata": {"cmd": "hey http://cart"}}}}
SIDECAR = {
    "name": "exporter",
    "image": "registry.example/exporter:1",
    "securityContext": {"runAsUser": 1000},
    "resources": {"requests": {"cpu": "1m"}},
}
MIGRATION = {"name": "migrate", "image": "registry.example/migrate:1"}
OWN = {"securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}, "readOnlyRootFilesystem": True}}

NEEDS_A_TOKEN = {"prometheus", "canary-controller"}
"""They read and write objects of the cluster. The sidecar has a token of its own, which istiod mounts."""

STACKS: Mapping[str, dict[str, Any]] = {
    "nothing": {},
    "an app of several containers": {
        "apps": {"cart": {**CART, "podSpec": {"initContainers": [MIGRATION], "containers": [SIDECAR, OWN]}}}
    },
    "an app with a service account": {"apps": {"cart": {**CART, "podSpec": {"serviceAccountName": "cart"}}}},
    "several namespaces, with load testers": {
        "namespaces": {"team-1": {"apps": {"cart": {**CART, "analysis": HOOK}}}, "team-2": {"apps": {"cart": CART}}}
    },
    "a controller that is built, and several of them": {
        "controller": {"image": "registry.example/c", "build": {"enabled": True}, "replicas": 3, "namespaces": ["prod"]}
    },
    "strict": {"controller": {"image": IMAGE, "trust": {"crossNamespaceReferences": False}}},
}


def pods(program: Recording) -> Mapping[str, Mapping[str, Any]]:
    """The PodSpecs of all Deployments, by their names."""
    return {
        f"{each.inputs['metadata']['namespace']}/{each.object}": each.inputs["spec"]["template"]["spec"]
        for each in program.of_kind("Deployment")
    }


def unrestricted(pod: Mapping[str, Any]) -> Iterator[str]:
    """What of a pod the Pod Security Standard `restricted` refuses.

    Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, of Linux.
    """
    yield from (field for field in ("hostNetwork", "hostPID", "hostIPC") if pod.get(field))
    yield from (f"volume {each['name']}" for each in pod.get("volumes", ()) if each.keys() & {"hostPath"})
    shared = pod.get("securityContext", {})
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        own = {**shared, **container.get("securityContext", {})}
        capabilities = own.get("capabilities", {})
        refused = {
            "runs as root": own.get("runAsNonRoot") is not True or own.get("runAsUser") == 0,
            "may gain privileges": own.get("allowPrivilegeEscalation") is not False or own.get("privileged", False),
            "has capabilities": capabilities.get("drop") != ["ALL"]
            or not {*capabilities.get("add", ())} <= {"NET_BIND_SERVICE"},
            "no seccomp profile": own.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"},
            "a host port": any(port.get("hostPort") for port in container.get("ports", ())),
        }
        yield from (f"{container['name']}: {what}" for what, is_so in refused.items() if is_so)


@pytest.mark.parametrize("case", STACKS)
def test_every_pod_fits_restricted_of_a_stack_with(case: str) -> None:
    found = pods(run_program(STACKS[case]))
    assert {name: [*unrestricted(pod)] for name, pod in found.items()} == {name: [] for name in found}


@pytest.mark.parametrize("case", STACKS)
def test_no_pod_gets_a_token_that_it_does_not_need_in_a_stack_with(case: str) -> None:
    found = pods(run_program(STACKS[case]))
    with_token = {name for name, pod in found.items() if pod.get("automountServiceAccountToken") is not False}
    assert {name.partition("/")[2] for name in with_token} == NEEDS_A_TOKEN


SAID_OTHERWISE: Mapping[str, tuple[dict[str, Any], Mapping[str, Any], list[str]]] = {
    # case -> (podSpec, what the pod has, what `restricted` refuses of it)
    "an image that runs as root": (
        {"securityContext": {"runAsNonRoot": False}},
        {"securityContext": {"runAsNonRoot": False, "seccompProfile": {"type": "RuntimeDefault"}}},
        ["cart: runs as root"],
    ),
    "capabilities that the image's start needs": (
        {"containers": [{"securityContext": {"capabilities": {"add": ["CHOWN"]}}}]},
        {},
        ["cart: has capabilities"],
    ),
    "no limits of ours on one container": (
        {"containers": [{"securityContext": None}]},
        {},
        ["cart: may gain privileges", "cart: has capabilities"],
    ),
    "a token": ({"automountServiceAccountToken": True}, {"automountServiceAccountToken": True}, []),
    "a user": (
        {"securityContext": {"runAsUser": 1000, "fsGroup": 1000}},
        {
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "fsGroup": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            }
        },
        [],
    ),
}


@pytest.mark.parametrize("case", SAID_OTHERWISE)
def test_what_an_app_says_of_its_pod_goes_before_what_we_say_of_it(case: str) -> None:
    spec, expected, refused = SAID_OTHERWISE[case]
    pod = pods(run_program({"apps": {"cart": {**CART, "podSpec": spec}}}))["prod/cart"]
    assert {key: pod[key] for key in expected} == expected
    assert [*unrestricted(pod)] == refused


def test_grafana_gets_no_token_and_no_rights() -> None:
    values = run_program().get("Release", "flagger-grafana").inputs["values"]
    assert (values["automountServiceAccountToken"], values["rbac"]) == (False, {"create": False})
