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
ISTIO = {
    "Namespace istio-system",
    *(f"Release istio-system/{name}" for name in ("istio-base", "istiod", "istio-gateway")),
}
CRDS = {f"CustomResourceDefinition {name}.flagger.app" for name in ("alertproviders", "canaries", "metrictemplates")}
CONTROLLER = {
    *(
        f"{kind} istio-system/canary-controller"
        for kind in ("Deployment", "Service", "ServiceAccount", "Role", "RoleBinding", "NetworkPolicy")
    ),
    "ClusterRole canary-controller",
    "ClusterRoleBinding canary-controller",
}
PROMETHEUS = {
    *(
        f"{kind} istio-system/prometheus"
        for kind in ("Deployment", "Service", "ServiceAccount", "ConfigMap", "NetworkPolicy")
    ),
    "ClusterRole prometheus-pod-reader",
    "ClusterRoleBinding prometheus-pod-reader",
}
GRAFANA = {
    "Release istio-system/flagger-grafana",
    "ConfigMap istio-system/canary-dashboards",
    "NetworkPolicy istio-system/flagger-grafana",
}
WORKSHOP_TEMPLATES = {f"MetricTemplate istio-system/{name}" for name in TEMPLATES}
EXISTING = {
    "enabled": False,
    "existing": {
        "revision": "stable",
        "gatewaySelector": {"istio": "ingressgateway"},
        "gatewayService": "istio-ingressgateway.istio-system",
    },
}
EXTERNAL = {"enabled": False, "url": "https://prometheus.example"}
APPS_ONLY: dict[str, Any] = {
    "istio": {"enabled": False},
    "gateway": {"enabled": False},
    "crds": {"enabled": False},
    "controller": {"enabled": False},
    "observability": {
        "prometheus": EXTERNAL,
        "grafana": {"enabled": False},
        "metricTemplates": {name: {"create": False} for name in TEMPLATES},
    },
}
STRICT_LOAD_TESTER = {"PeerAuthentication prod/flagger-loadtester"}
HOOK = {"webhooks": {"load": {"type": "rollout", "metadata": {"cmd": "hey http://cart"}}}}


def objects(program: Recording) -> set[str]:
    """Everything that is made, but for the components, as `kind namespace/name`."""

    def place(each: Registered) -> str:
        namespace = each.inputs.get("metadata", each.inputs).get("namespace")
        return f"{each.kind} {namespace}/{each.object}" if namespace else f"{each.kind} {each.object}"

    made = [place(each) for each in program.resources if not each.type.startswith(("canary:mesh:", "canary-on-istio:"))]
    assert len(made) == len({*made}), "an object is made twice"
    assert len(program.resources) == len({each.urn for each in program.resources}), "two resources have one URN"
    return {*made}


def app(name: str, namespace: str = "prod") -> set[str]:
    kinds = ("Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Canary")
    return {f"{kind} {namespace}/{name}" for kind in kinds} | {f"Command {name}-rollout"}


def load_tester(namespace: str) -> set[str]:
    kinds = ("Deployment", "Service", "ServiceAccount", "NetworkPolicy", "AuthorizationPolicy")
    others = f"AuthorizationPolicy {namespace}/flagger-loadtester-others"
    return {others, *(f"{kind} {namespace}/flagger-loadtester" for kind in kinds)}


ALL: set[str] = {"all that a stack has that sets nothing"}

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
            *load_tester("team-1"),
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
            *load_tester("prod"),
        },
    ),
    "an Istio that is there already": ({"istio": EXISTING}, set(), ISTIO),
    "istio-system is there already": ({"istio": {"createNamespace": False}}, set(), {"Namespace istio-system"}),
    "no gateway": (
        {"gateway": {"enabled": False}},
        set(),
        {"Release istio-system/istio-gateway", "Gateway istio-system/public-gateway"},
    ),
    "more gateways": (
        {"gateways": {"admin": {"hosts": ["a.example"]}, "edge": {"namespace": "prod", "selector": {"istio": "edge"}}}},
        {"Gateway istio-system/admin", "Gateway prod/edge"},
        set(),
    ),
    "a gateway with pods of its own": (
        {"namespaces": {"edge": {}}, "gateways": {"internal": {"namespace": "edge", "ownPods": True}}},
        {"Namespace edge", "Gateway edge/internal", "Release edge/internal"},
        set(),
    ),
    "gateways with pods of their own, and not the first": (
        {"gateway": {"enabled": False}, "gateways": {"internal": {"ownPods": True}}},
        {"Gateway istio-system/internal", "Release istio-system/internal"},
        {"Release istio-system/istio-gateway", "Gateway istio-system/public-gateway"},
    ),
    "neither Istio nor a gateway": (
        {"istio": {"enabled": False}, "gateway": {"enabled": False}},
        set(),
        {*ISTIO, "Gateway istio-system/public-gateway"},
    ),
    "CRDs that are there already": ({"crds": {"enabled": False}}, set(), CRDS),
    "a controller that is there already": ({"controller": {"enabled": False}}, set(), CONTROLLER),
    "metric templates that are there already": (
        {"observability": {"metricTemplates": {"latency": {"create": False}}}},
        set(),
        {"MetricTemplate istio-system/latency"},
    ),
    "monitoring that is there already": (
        {"observability": APPS_ONLY["observability"]},
        set(),
        {*PROMETHEUS, *GRAFANA, *WORKSHOP_TEMPLATES, "NetworkPolicy istio-system/canary-controller"},
    ),
    "everything but the apps is there already": (
        {**APPS_ONLY, "namespace": {"create": False}},
        STRICT_LOAD_TESTER,
        {
            *ISTIO,
            "Gateway istio-system/public-gateway",
            *CRDS,
            *CONTROLLER,
            *PROMETHEUS,
            *GRAFANA,
            *WORKSHOP_TEMPLATES,
            "Namespace prod",
        },
    ),
    "nothing but a target": (
        {
            **APPS_ONLY,
            "namespace": {"create": False},
            "loadTester": {"enabled": False},
            "apps": {"frontend": None, "backend": None},
            "targets": {"cart": TARGET},
        },
        {"Canary prod/cart", "Command cart-rollout"},
        ALL,
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
    removed = base if removed is ALL else removed
    assert (found - base, base - found) == (added, removed)


OUTPUTS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # case -> (configuration, its outputs beside those of the rollouts)
    "an Istio that is there already": (
        {"istio": EXISTING, "gateway": {"hosts": ["shop.example"]}},
        {
            "controller": "canary-controller.istio-system",
            "gatewayService": "istio-ingressgateway.istio-system",
            "hosts": ["shop.example"],
            "prometheusUrl": "http://prometheus.istio-system:9090",
        },
    ),
    "more gateways": (
        {
            "istio": EXISTING,
            "gateways": {
                "shared": {"hosts": ["a.example"]},
                "theirs": {"namespace": "prod", "selector": {"istio": "edge"}, "hosts": ["b.example"]},
            },
        },
        {
            "controller": "canary-controller.istio-system",
            "gatewayService": "istio-ingressgateway.istio-system",
            "gateways": {
                "shared": {"service": "istio-ingressgateway.istio-system", "hosts": ["a.example"]},
                "theirs": {"service": "", "hosts": ["b.example"]},
            },
            "hosts": ["*"],
            "prometheusUrl": "http://prometheus.istio-system:9090",
        },
    ),
    "everything but the apps": (APPS_ONLY, {"prometheusUrl": "https://prometheus.example"}),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_the_outputs_say_what_is_there(case: str) -> None:
    config, expected = OUTPUTS[case]
    assert run_program(config).outputs == {
        "canaries": ["prod/frontend", "prod/backend"],
        "rollouts": {"frontend": OUTCOME, "backend": OUTCOME},
        "versions": {name: [{name: "ghcr.io/stefanprodan/podinfo:6.1.0"}] for name in ("frontend", "backend")},
        **expected,
    }


def test_what_an_existing_istio_says_goes_where_it_is_needed() -> None:
    program = run_program({"istio": EXISTING})
    assert program.get("Gateway", "public-gateway").inputs["spec"]["selector"] == {"istio": "ingressgateway"}
    assert program.get("Namespace", "prod").inputs["metadata"]["labels"] == {"istio.io/rev": "stable"}


@pytest.mark.parametrize("part", ["istio", "crds", "controller", "gateway"])
def test_without_a_part_all_others_come_in_the_same_order(part: str, program: Recording) -> None:
    without = run_program({part: EXISTING if part == "istio" else {"enabled": False}})
    urns = {each.urn for each in without.resources}
    before = {each.urn: program.all_before(each) & urns for each in program.resources if each.urn in urns}
    assert {each.urn: without.all_before(each) for each in without.resources} == before


def test_a_destroy_deletes_nothing_that_was_there_before_and_no_crd(program: Recording) -> None:
    assert {r.kind for r in program.resources if r.is_retained} == {"CustomResourceDefinition"}
    assert all(r.is_retained for r in program.of_kind("CustomResourceDefinition"))


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
