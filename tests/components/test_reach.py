"""Who may reach whom: the NetworkPolicies and AuthorizationPolicies of a stack, evaluated as their enforcers do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.components.recording import IMAGE, Recording, Registered, run_program

CART: dict[str, Any] = {"image": "registry.example/cart", "tag": "1", "service": {"port": 80}}
HOOK = {"webhooks": {"load": {"type": "rollout", "metadata": {"cmd": "hey http://cart"}}}}
EXTERNAL = {"enabled": False, "url": "https://prometheus.example"}
KEYS = '{"keys": [{"kty": "RSA", "n": "x", "e": "AQAB"}]}'
JWT = {"issuer": "https://login.example.com", "audiences": ["rollouts"], "jwks": KEYS, "cookie": "page"}
PAGE = {"host": "rollouts.example.com", "auth": {"jwt": JWT}}
ALL_PORTS = (80, 3000, 8080, 8081, 9090, 9898, 15020, 15090)


@dataclass(frozen=True)
class Pod:
    namespace: str
    labels: Mapping[str, str]


def pod(namespace: str, **labels: str) -> Pod:
    return Pod(namespace, {key.replace("__", "/").replace("_", "."): value for key, value in labels.items()})


PODS: Mapping[str, Pod] = {
    "prometheus": pod("istio-system", app="prometheus"),
    "grafana": pod("istio-system", app_kubernetes_io__instance="flagger-grafana", app_kubernetes_io__name="grafana"),
    "controller": pod("istio-system", app="canary-controller"),
    "load tester": pod("prod", app="flagger-loadtester"),
    "app": pod("prod", app="frontend"),
    "primary": pod("prod", app="frontend-primary"),
    "gateway": pod("istio-system", istio="gateway"),
    "internal gateway": pod("edge", istio="internal"),
    "elsewhere": pod("elsewhere", app="anything"),
    "elsewhere, with the controller's labels": pod("elsewhere", app="canary-controller"),
    "elsewhere, with Prometheus' labels": pod("elsewhere", app="prometheus"),
    "monitoring": pod("monitoring", app="kiali"),
}
SCRAPED = {("load tester", port): {*PODS} for port in (15020, 15090)}


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}
    return selector.get("matchLabels", {}).items() <= labels.items()


def may_connect(policies: Sequence[Registered], caller: Pod, callee: Pod, port: int) -> bool:
    """As https://kubernetes.io/docs/concepts/services-networking/network-policies says.

    A pod that no policy selects is open; of one that some do, each port is open to whom any of them lets in.
    """
    own = [
        each.inputs["spec"]
        for each in policies
        if each.inputs["metadata"]["namespace"] == callee.namespace
        and selects(each.inputs["spec"]["podSelector"], callee.labels)
    ]
    namespace = {"kubernetes.io/metadata.name": caller.namespace}
    return not own or any(
        port in {each["port"] for each in rule["ports"]}
        and (
            "from" not in rule
            or any(
                selects(peer["namespaceSelector"], namespace) and selects(peer["podSelector"], caller.labels)
                for peer in rule["from"]
            )
        )
        for spec in own
        for rule in spec["ingress"]
    )


def guarded(program: Recording) -> dict[tuple[str, int], set[str]]:
    """Who may connect to each port that not everybody may connect to, or that is open beside such ports."""
    policies = program.of_kind("NetworkPolicy")
    found: dict[tuple[str, int], set[str]] = {}
    for name, callee in PODS.items():
        by_port = {
            port: {who for who, caller in PODS.items() if may_connect(policies, caller, callee, port)}
            for port in ALL_PORTS
        }
        if any(callers != {*PODS} for callers in by_port.values()):
            found |= {(name, port): callers for port, callers in by_port.items() if callers}
    return found


NETWORK: Mapping[str, tuple[dict[str, Any], dict[tuple[str, int], set[str]]]] = {
    # case -> (configuration, who may connect to which port of the guarded pods; nobody to any other port of theirs)
    "nothing": (
        {},
        {
            ("prometheus", 9090): {"controller", "grafana"},
            ("controller", 8080): {"prometheus"},
            ("load tester", 8080): {"controller"},
            **SCRAPED,
        },
    ),
    "a monitoring system": (
        {"networkPolicies": {"monitoring": ["monitoring"]}},
        {
            ("prometheus", 9090): {"controller", "grafana", "monitoring"},
            ("grafana", 3000): {"monitoring"},
            ("controller", 8080): {"prometheus", "monitoring"},
            ("load tester", 8080): {"controller"},
            **SCRAPED,
        },
    ),
    "a Prometheus of somebody else's": (
        {"observability": {"prometheus": EXTERNAL, "grafana": {"enabled": False}}},
        {("load tester", 8080): {"controller"}, **SCRAPED},
    ),
    "a Prometheus in a namespace that it names": (
        {
            "observability": {"prometheus": EXTERNAL, "grafana": {"enabled": False}},
            "networkPolicies": {"monitoring": ["monitoring"]},
        },
        {("controller", 8080): {"monitoring"}, ("load tester", 8080): {"controller"}, **SCRAPED},
    ),
    "a controller that is there already": (
        {"controller": {"enabled": False}},
        {
            ("prometheus", 9090): {"controller", "grafana"},
            ("load tester", 8080): {"controller"},
            **SCRAPED,
        },
    ),
    "a controller of another name": (
        {"controller": {"image": IMAGE, "name": "flagger"}},
        {("prometheus", 9090): {"grafana"}, **SCRAPED},
    ),
    "a page behind the gateway": (
        {"controller": {"image": IMAGE, "page": {"gateway": PAGE}}},
        {
            ("prometheus", 9090): {"controller", "grafana"},
            ("controller", 8080): {"prometheus"},
            ("controller", 8081): {"gateway"},
            ("load tester", 8080): {"controller"},
            **SCRAPED,
        },
    ),
    "a page behind a gateway with pods of its own": (
        {
            "controller": {"image": IMAGE, "page": {"gateway": PAGE}},
            "gateway": {"hosts": ["shop.example.com"]},
            "gateways": {"internal": {"namespace": "edge", "hosts": ["rollouts.example.com"], "ownPods": True}},
        },
        {
            ("prometheus", 9090): {"controller", "grafana"},
            ("controller", 8080): {"prometheus"},
            ("controller", 8081): {"internal gateway"},
            ("load tester", 8080): {"controller"},
            **SCRAPED,
        },
    ),
    "a page behind the gateway, and a Prometheus of somebody else's": (
        {
            "controller": {"image": IMAGE, "page": {"gateway": PAGE}},
            "observability": {"prometheus": EXTERNAL, "grafana": {"enabled": False}},
        },
        {("load tester", 8080): {"controller"}, **SCRAPED},
    ),
    "no policies": ({"networkPolicies": {"enabled": False}}, {}),
}


@pytest.mark.parametrize("case", NETWORK)
def test_who_may_connect_in_a_stack_with(case: str) -> None:
    config, expected = NETWORK[case]
    assert guarded(run_program(config)) == expected


def test_every_policy_selects_pods_and_a_port_that_they_have(program: Recording) -> None:
    pods = [
        (each.inputs["metadata"]["namespace"], each.inputs["spec"]["template"])
        for each in program.of_kind("Deployment")
    ]
    for policy in program.of_kind("NetworkPolicy"):
        if policy.object == "flagger-grafana":  # its pods are the chart's
            continue
        spec = policy.inputs["spec"]
        ports = [
            port["containerPort"]
            for namespace, template in pods
            if namespace == policy.inputs["metadata"]["namespace"]
            and selects(spec["podSelector"], template["metadata"]["labels"])
            for container in template["spec"]["containers"]
            for port in container["ports"]
        ]
        opened = {each["port"] for each in spec["ingress"][0]["ports"]}
        assert opened, policy.object
        assert opened <= {*ports}, policy.object


def test_what_is_guarded_comes_after_its_policy(program: Recording) -> None:
    for policy in program.of_kind("NetworkPolicy"):
        behind = next(r for r in program.resources if r.kind in {"Deployment", "Release"} and r.object == policy.object)
        assert policy.urn in program.all_before(behind), policy.object


# --- what Istio lets in -----------------------------------------------------------------------------------------------

PLAIN = ""
"""A caller without an identity."""
APP, LOAD_TESTER, GATEWAY, EDGE, TEAM, STRANGER = CALLERS = (
    "prod/sa/default",
    "prod/sa/flagger-loadtester",
    "istio-system/sa/istio-gateway",
    "edge/sa/edge",
    "team-1/sa/default",
    "elsewhere/sa/flagger-loadtester",
)
EXISTING = {
    "enabled": False,
    "existing": {"gatewaySelector": {"istio": "edge"}, "gatewayService": "edge.edge"},
}


def let_in(program: Recording, callee: Pod) -> set[str]:
    """Which callers get an answer."""
    return {caller for caller in (PLAIN, *CALLERS) if is_let_in(program, caller, callee)}


def is_let_in(program: Recording, caller: str, callee: Pod) -> bool:
    """As https://istio.io/latest/docs/concepts/security/#implicit-enablement says: DENY first, then any ALLOW.

    Whether plain text comes as far is for the PeerAuthentication to say, that of the pods before the namespace's.
    """

    def of_kind(kind: str) -> list[Mapping[str, Any]]:
        specs = [
            r.inputs["spec"] for r in program.of_kind(kind) if r.inputs["metadata"]["namespace"] == callee.namespace
        ]
        return [spec for spec in specs if selects(spec.get("selector", {}), callee.labels)]

    modes = sorted(of_kind("PeerAuthentication"), key=lambda spec: "selector" in spec)
    if caller == PLAIN and modes and modes[-1]["mtls"]["mode"] == "STRICT":
        return False
    matches: dict[str, list[bool]] = {"ALLOW": [], "DENY": []}
    for spec in of_kind("AuthorizationPolicy"):
        sources = [source["source"] for rule in spec["rules"] for source in rule["from"]]
        matches[spec["action"]].append(any(_is_from(source, caller) for source in sources))
    return not any(matches["DENY"]) and (any(matches["ALLOW"]) or not matches["ALLOW"])


def _is_from(source: Mapping[str, Sequence[str]], caller: str) -> bool:
    """All attributes have to fit: https://istio.io/latest/docs/reference/config/security/authorization-policy/#Source."""
    principal = f"cluster.local/ns/{caller}"

    def is_one_of(patterns: Sequence[str]) -> bool:
        assert all(pattern.startswith("*") for pattern in patterns)
        return caller != PLAIN and any(principal.endswith(pattern[1:]) for pattern in patterns)

    fits: Mapping[str, Callable[[Sequence[str]], bool]] = {
        "namespaces": lambda names: caller.partition("/")[0] in names,
        "principals": is_one_of,
        "notPrincipals": lambda patterns: not is_one_of(patterns),
    }
    return all(fits[attribute](values) for attribute, values in source.items())


SHOP = {"apps": {"cart": {**CART, "service": {"port": 80, "gateways": ["edge/shop", "mesh"], "hosts": ["a.example"]}}}}
CLOSED = {"mtls": "STRICT", "callers": []}
AT_TEAM = {"hosts": ["a.example"], "selector": {"istio": "edge"}, "podsNamespace": "team-1"}
OWN = {APP, LOAD_TESTER}

MESH: Mapping[str, tuple[dict[str, Any], set[str]]] = {
    # case -> (configuration, who may call the apps of prod)
    "nothing": ({}, {PLAIN, *CALLERS}),
    "mTLS only": ({"namespace": {"mtls": "STRICT"}}, {*CALLERS}),
    "callers": ({"namespace": CLOSED}, {*OWN, GATEWAY}),
    "callers, and no mTLS of its own": ({"namespace": {"callers": []}}, {*OWN, GATEWAY}),
    "another caller": ({"namespace": {**CLOSED, "callers": ["team-1"]}}, {*OWN, GATEWAY, TEAM}),
    "an app at another gateway": ({"namespace": CLOSED, **SHOP}, {*OWN, GATEWAY, EDGE}),
    "an app at a gateway whose pods are elsewhere": (
        {"namespace": CLOSED, **SHOP, "gateways": {"shop": {"namespace": "edge", **AT_TEAM}}},
        {*OWN, GATEWAY, TEAM},
    ),
    "an Istio that is there already": ({"namespace": CLOSED, "istio": EXISTING}, {*OWN, EDGE}),
    "no gateway": ({"namespace": CLOSED, "gateway": {"enabled": False}}, OWN),
    "a namespace that is there already": ({"namespace": {"create": False}}, {PLAIN, *CALLERS}),
}


@pytest.mark.parametrize("case", MESH)
def test_whom_the_mesh_lets_in_in_a_stack_with(case: str) -> None:
    config, expected = MESH[case]
    program = run_program(config)
    for callee in ("app", "primary"):
        assert let_in(program, PODS[callee]) == expected, callee
    assert let_in(program, PODS["load tester"]) == {PLAIN, LOAD_TESTER}


def test_the_callers_of_another_namespace_are_its_own() -> None:
    hooked = {"cart": {**CART, "analysis": HOOK}}
    program = run_program({"namespaces": {"team-1": {**CLOSED, "callers": ["elsewhere"], "apps": hooked}}})
    assert let_in(program, pod("team-1", app="cart")) == {TEAM, GATEWAY, STRANGER}
    assert let_in(program, pod("team-1", app="flagger-loadtester")) == {PLAIN}
    assert let_in(program, PODS["app"]) == {PLAIN, *CALLERS}
