"""What each part of a stack adds to it, and what is not there without it: the whole set of objects, compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.components.recording import IMAGE, OUTCOME, Recording, Registered, run_program

CART: dict[str, Any] = {"image": "registry.example/cart", "tag": "1", "service": {"port": 80}}
TARGET: dict[str, Any] = {"service": {"port": 80}}
STRICT = {"controller": {"image": IMAGE, "trust": {"crossNamespaceReferences": False}}}
TEMPLATES = ("error-rate", "latency")
STRICT_LOAD_TESTER = {"PeerAuthentication prod/flagger-loadtester"}
HOOK = {"webhooks": {"load": {"type": "rollout", "metadata": {"cmd": "hey http://cart"}}}}


def objects(program: Recording) -> set[str]:
    """Everything that is made, but for the components, as `kind namespace/name`."""

    def place(each: Registered) -> str:
        namespace = each.inputs.get("metadata", each.inputs).get("namespace")
        return f"{each.kind} {namespace}/{each.object}" if namespace else f"{each.kind} {each.object}"

    made = [place(each) for each in program.resources if not each.type.startswith("canary:mesh:")]
    assert len(made) == len({*made}), "an object is made twice"
    assert len(program.resources) == len({each.urn for each in program.resources}), "two resources have one URN"
    return {*made}


def app(name: str, namespace: str = "prod") -> set[str]:
    kinds = ("Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Canary")
    return {f"{kind} {namespace}/{name}" for kind in kinds} | {f"Command {name}-rollout"}


PARTS: Mapping[str, tuple[dict[str, Any], set[str], set[str]]] = {
    # case -> (configuration, what it adds to a stack that sets nothing, what is not there any more)
    "a target": (
        {"targets": {"cart": TARGET}},
        {"Canary prod/cart", "Command cart-rollout"},
        set(),
    ),
    "a target with an autoscaler": (
        {"targets": {"cart": {**TARGET, "hpa": {"maxReplicas": 9}}}},
        {"Canary prod/cart", "HorizontalPodAutoscaler prod/cart", "Command cart-rollout"},
        set(),
    ),
    "a target that is suspended": (
        {"targets": {"cart": {**TARGET, "suspend": True}}},
        {"Canary prod/cart"},
        set(),
    ),
    "a namespace with an app and a target": (
        {"namespaces": {"team-1": {"apps": {"cart": CART}, "targets": {"pay": TARGET}}}},
        {
            "Namespace team-1",
            *(app("cart", "team-1") - {"Command cart-rollout"}),
            "Command team-1/cart-rollout",
            "Canary team-1/pay",
            "Command team-1/pay-rollout",
        },
        set(),
    ),
    "the same names in three namespaces": (
        {
            "apps": {"cart": CART},
            "namespaces": {"team-1": {"apps": {"cart": CART}}, "team-2": {"targets": {"cart": TARGET}}},
        },
        {
            *app("cart"),
            "Namespace team-1",
            *(app("cart", "team-1") - {"Command cart-rollout"}),
            "Command team-1/cart-rollout",
            "Namespace team-2",
            "Canary team-2/cart",
            "Command team-2/cart-rollout",
        },
        set(),
    ),
    "a namespace whose webhooks need a load tester": (
        {"namespaces": {"team-1": {"mtls": "STRICT", "targets": {"cart": {**TARGET, "analysis": HOOK}}}}},
        {
            "Namespace team-1",
            "PeerAuthentication team-1/default",
            "PeerAuthentication team-1/flagger-loadtester",
            "Deployment team-1/flagger-loadtester",
            "Service team-1/flagger-loadtester",
            "Canary team-1/cart",
            "Command team-1/cart-rollout",
        },
        set(),
    ),
    "an app in a namespace that is there already": (
        {"namespaces": {"team-1": {"create": False, "apps": {"cart": CART}}}},
        {*(app("cart", "team-1") - {"Command cart-rollout"}), "Command team-1/cart-rollout"},
        set(),
    ),
    "the first namespace is there already": ({"namespace": {"create": False}}, STRICT_LOAD_TESTER, {"Namespace prod"}),
    "no first namespace": (
        {
            "namespace": {"create": False},
            "apps": {"frontend": None, "backend": None},
            "namespaces": {"team-1": {"targets": {"cart": TARGET}}},
        },
        {"Namespace team-1", "Canary team-1/cart", "Command team-1/cart-rollout"},
        {
            "Namespace prod",
            *app("frontend"),
            *app("backend"),
            "Deployment prod/flagger-loadtester",
            "Service prod/flagger-loadtester",
        },
    ),
    "metric templates in each namespace": (
        {**STRICT, "namespaces": {"team-1": {}}},
        {
            "Namespace team-1",
            *(f"MetricTemplate {namespace}/{name}" for namespace in ("prod", "team-1") for name in TEMPLATES),
        },
        {f"MetricTemplate istio-system/{name}" for name in TEMPLATES},
    ),
    "a controller of some namespaces": (
        {
            "controller": {"image": IMAGE, "namespaces": ["prod", "team-1"]},
            "namespaces": {"team-1": {"targets": {"cart": TARGET}}},
        },
        {
            "Namespace team-1",
            "Canary team-1/cart",
            "Command team-1/cart-rollout",
            *(
                f"{kind} {namespace}/canary-controller"
                for kind in ("Role", "RoleBinding")
                for namespace in ("prod", "team-1")
            ),
        },
        {"ClusterRole canary-controller", "ClusterRoleBinding canary-controller"},
    ),
}


@pytest.mark.parametrize("case", PARTS)
def test_the_objects_of(case: str, program: Recording) -> None:
    config, added, removed = PARTS[case]
    found, base = objects(run_program(config)), objects(program)
    assert (found - base, base - found) == (added, removed)


# --- several namespaces -----------------------------------------------------------------------------------------------

SEVERAL = {
    "namespaces": {"team-1": {"apps": {"backend": CART}, "targets": {"pay": {**TARGET, "kind": "DaemonSet"}}}},
}


@pytest.fixture(scope="module")
def several() -> Recording:
    return run_program(SEVERAL)


def test_the_outputs_name_the_canaries_of_every_namespace(several: Recording) -> None:
    assert several.outputs["canaries"] == ["prod/frontend", "prod/backend", "team-1/backend", "team-1/pay"]
    assert several.outputs["rollouts"] == dict.fromkeys(
        ["frontend", "backend", "team-1/backend", "team-1/pay"], OUTCOME
    )


def test_a_canary_of_another_namespace_comes_after_all_that_one_of_the_first_comes_after(several: Recording) -> None:
    canaries = {r.name: r for r in several.of_kind("Canary")}
    base = {r.urn for r in several.resources if r.kind in {"Deployment", "Namespace", "Gateway", "MetricTemplate"}}
    base = {urn for urn in base if "CanaryApp" not in urn}
    for canary in canaries.values():
        assert base <= several.all_before(canary)


def test_each_rollout_is_followed_in_its_own_namespace(several: Recording) -> None:
    commands = {r.name: r.inputs["create"] for r in several.of_kind("Command")}
    assert {name: command.split(" ", 2)[2] for name, command in commands.items()} == {
        "frontend-rollout": "frontend --namespace=prod --output=json",
        "backend-rollout": "backend --namespace=prod --output=json",
        "team-1/backend-rollout": "backend --namespace=team-1 --output=json",
        "team-1/pay-rollout": "pay --namespace=team-1 --output=json",
    }


def test_a_target_is_judged_like_an_app(several: Recording) -> None:
    canaries = {r.name: r.inputs["spec"] for r in several.of_kind("Canary")}
    assert canaries["team-1/pay"]["targetRef"] == {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "pay"}
    assert canaries["team-1/pay"]["analysis"] == canaries["team-1/backend"]["analysis"]
