"""Who may reach whom, beside what Kubernetes allows: everybody everybody.

A NetworkPolicy knows a caller by its pod. Istio knows it by its identity, which only a caller with a sidecar has: the
controller and Prometheus have none, so what they call is guarded by NetworkPolicies.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stack.config import StackConfig
from stack.controller import ControllerConfig
from stack.names import GRAFANA, ISTIO_NAMESPACE, LOAD_TESTER, PROMETHEUS
from stack.namespace import Place
from stack.network import NetworkPoliciesConfig
from stack.observability import ObservabilityConfig
from stack.page import PAGE_PORT

_NAMESPACE_LABEL = "kubernetes.io/metadata.name"
_PROMETHEUS_PORT, _GRAFANA_PORT, _CONTROLLER_PORT, _LOAD_TESTER_PORT = 9090, 3000, 8080, 8080
_PROXY_METRICS = (15020, 15090)
"""Of a sidecar: whoever scrapes the mesh may read them."""


@dataclass(frozen=True, slots=True)
class Pods:
    """Those of a namespace that have all `labels`."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Guard:
    """A NetworkPolicy.

    Attributes:
        name: of the policy, in the namespace of its pods.
        port: of these pods, for `callers` alone.
        open_ports: further ones, for everybody. All others are closed.
    """

    name: str
    pods: Pods
    port: int
    callers: Sequence[Pods]
    open_ports: Sequence[int] = ()


def guards(
    config: NetworkPoliciesConfig,
    observability: ObservabilityConfig,
    controller: ControllerConfig,
    load_tested: Collection[str],
    page_callers: Sequence[Pods] = (),
) -> Iterator[Guard]:
    """The NetworkPolicies of a stack, whose load testers are in `load_tested`; `page_callers` may call the page.

    Whatever a node calls, for a probe or a port-forward, they do not see.
    """
    controllers = Pods(ISTIO_NAMESPACE, {"app": controller.name})
    prometheus = Pods(ISTIO_NAMESPACE, {"app": PROMETHEUS})
    grafana = Pods(ISTIO_NAMESPACE, {"app.kubernetes.io/instance": GRAFANA})
    monitoring = [Pods(namespace) for namespace in config.monitoring]
    scrapers = [*([prometheus] if observability.prometheus.enabled else []), *monitoring]
    if observability.prometheus.enabled:
        yield Guard(PROMETHEUS, prometheus, _PROMETHEUS_PORT, [controllers, grafana, *monitoring])
    if observability.grafana.enabled:
        yield Guard(GRAFANA, grafana, _GRAFANA_PORT, monitoring)
    if controller.enabled and scrapers:  # nobody knows from where a Prometheus elsewhere scrapes
        yield Guard(controller.name, controllers, _CONTROLLER_PORT, scrapers)
        if page_callers:
            yield Guard(f"{controller.name}-page", controllers, PAGE_PORT, page_callers)
    for namespace in load_tested:
        load_tester = Pods(namespace, {"app": LOAD_TESTER})
        yield Guard(LOAD_TESTER, load_tester, _LOAD_TESTER_PORT, [controllers], _PROXY_METRICS)


def network_policy(guard: Guard) -> Mapping[str, Any]:
    """The spec of the NetworkPolicy."""
    callers = [
        {
            "namespaceSelector": {"matchLabels": {_NAMESPACE_LABEL: each.namespace}},
            "podSelector": {"matchLabels": dict(each.labels)},
        }
        for each in guard.callers
    ]
    # A rule without callers would be for everybody.
    ingress = [{"from": callers, "ports": _ports(guard.port)}] if callers else []
    return {
        "podSelector": {"matchLabels": dict(guard.pods.labels)},
        "policyTypes": ["Ingress"],
        "ingress": [*ingress, *([{"ports": _ports(*guard.open_ports)}] if guard.open_ports else [])],
    }


def _ports(*numbers: int) -> Sequence[Mapping[str, Any]]:
    return [{"port": number, "protocol": "TCP"} for number in numbers]


def gateways_of(config: StackConfig, place: Place) -> Collection[str]:
    """The namespaces from where users' requests come to the apps of a place.

    An app names its Gateways; the pods of one are in its own namespace, as Istio recommends, where the stack does not
    know better. That of `gateway` may serve them all.
    """
    own = {gateway.reference: gateway for gateway in config.all_gateways}
    named = {gateway for each in place.workloads for gateway in each.config.service.gateways if "/" in gateway}
    always = {gateway.reference for gateway in own.values() if gateway.key == "gateway"}
    return sorted({own[each].pods_namespace if each in own else each.partition("/")[0] for each in named | always})


def page_callers(config: StackConfig) -> Sequence[Pods]:
    """The pods that lead to the page."""
    found = [Pods(each.pods_namespace, each.selector) for each in config.page_gateways]
    return [pods for number, pods in enumerate(found) if pods not in found[:number]]


def callers_policy(*namespaces: str) -> Mapping[str, Any]:
    """The spec of an AuthorizationPolicy of a whole namespace: pods of these may call its pods, and nobody else.

    What a proxy itself answers, the probes that Istio rewrites and its metrics, is not subject to it.
    """
    return {"action": "ALLOW", "rules": [{"from": [{"source": {"namespaces": sorted({*namespaces})}}]}]}


def load_tester_policies(namespace: str, labels: Mapping[str, str]) -> Mapping[str, Mapping[str, Any]]:
    """The AuthorizationPolicies of a load tester with an account of its own, by their names.

    It runs what its callers send. They are itself, for its gates, and the controller, which has no identity: so one
    policy refuses all others that have one, and another lets these two in where the namespace does not.
    """
    pods = {"selector": {"matchLabels": dict(labels)}}
    itself = [f"*/ns/{namespace}/sa/{LOAD_TESTER}"]
    others = {"principals": ["*"], "notPrincipals": itself}
    known = [{"notPrincipals": ["*"]}, {"principals": itself}]
    return {
        LOAD_TESTER: {**pods, "action": "ALLOW", "rules": [{"from": [{"source": each} for each in known]}]},
        f"{LOAD_TESTER}-others": {**pods, "action": "DENY", "rules": [{"from": [{"source": others}]}]},
    }
