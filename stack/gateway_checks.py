"""What is wrong with the gateways of a stack: pods that cannot serve them, and two that want the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations

from controller.api import Problem
from stack.config import StackConfig
from stack.gateway import Gateway, GatewayPods, OtherGatewayConfig
from stack.names import IN_ISTIO_NAMESPACE, ISTIO_NAMESPACE, NEVER_INJECTED

_RESERVED_PORTS = range(15000, 15100)
"""Envoy's own ports: admin, status, metrics, health."""
_RELEASE = r"[a-z]([-a-z0-9]{0,51}[a-z0-9])?"
"""Names of a Service that Helm allows for a release."""


def port_problems(config: StackConfig) -> Iterator[Problem]:
    """Of each by itself."""
    for gateway in config.all_gateways:
        yield from _ports(gateway)


def gateway_problems(config: StackConfig) -> Iterator[Problem]:
    """Of each beside the others."""
    for name, other in config.gateways.items():
        yield from _pods(config, f"gateways.{name}", other)
    for gateway in config.all_gateways:
        if gateway.pods:
            yield from _own_pods(config, gateway.key, gateway.pods)
    for one, two in combinations(config.all_gateways, 2):
        yield from _collision(one, two)


def _ports(gateway: Gateway) -> Iterator[Problem]:
    servers, key = gateway.servers, gateway.key
    if not servers.credential_name and "https_port" in servers.model_fields_set:
        yield Problem(f"{key}.httpsPort", "Forbidden: HTTPS is served with credentialName only")
    if servers.http_port == servers.https_port:
        yield Problem(f"{key}.httpsPort", f"Duplicate value: {servers.https_port}: it is httpPort as well")
    for field, port in servers.ports.items():
        if port in _RESERVED_PORTS:
            yield Problem(f"{key}.{field}", f"Invalid value: {port}: ports 15000 to 15099 belong to Istio's proxy")


def _pods(config: StackConfig, key: str, other: OtherGatewayConfig) -> Iterator[Problem]:
    """Pods of others have the ports that they have; of those of `gateway` the stack knows them."""
    if other.values and not other.own_pods:
        yield Problem(f"{key}.values", "Forbidden: used with ownPods: true only")
    if other.pods_namespace and not other.selector:
        yield Problem(f"{key}.podsNamespace", "Forbidden: used with selector only")
    if other.own_pods:
        if other.selector:
            yield Problem(f"{key}.selector", "Forbidden: with ownPods: true its own pods serve it")
        if not config.istio.enabled:
            message = "Forbidden: their chart comes with istio.enabled: true; name pods that are there in selector"
            yield Problem(f"{key}.ownPods", message)
    if other.selector or other.own_pods:
        return
    if not config.gateway.enabled:
        message = "Required value: labels of the pods that serve it, or ownPods: true: gateway.enabled is false"
        yield Problem(f"{key}.selector", message)
        return
    offered = sorted({config.gateway.http_port, config.gateway.https_port})
    for field, port in other.ports.items():
        if port not in offered:
            message = f"the pods of `gateway` have the ports {offered[0]} and {offered[-1]}; set ownPods or selector"
            yield Problem(f"{key}.{field}", f"Invalid value: {port}: {message}")


def _own_pods(config: StackConfig, key: str, pods: GatewayPods) -> Iterator[Problem]:
    """Their names, and a namespace in which they would not start, or would refuse users."""
    if not re.fullmatch(_RELEASE, pods.release):
        message = "with ownPods it names a Service: at most 53 characters from a-z, 0-9 and -, not a digit first"
        yield Problem(key, f"Invalid value: {message}")
    taken = {*IN_ISTIO_NAMESPACE, config.controller.name, *(plane.release for plane in config.istio.control_planes)}
    if key != "gateway" and pods.namespace == ISTIO_NAMESPACE and pods.release in taken:
        yield Problem(key, f"Duplicate value: {ISTIO_NAMESPACE} has a {pods.release} already; rename one")
    if pods.namespace in NEVER_INJECTED:
        message = f'Invalid value: "{pods.namespace}": Istio gives no pod a proxy there'
        yield Problem(f"{key}.namespace", message)
    for place in config.declared_places:
        if place.name != pods.namespace:
            continue
        if not place.settings.injection:
            message = f"Forbidden: the pods of {key} are there, and get their proxy by injection"
            yield Problem(f"{place.key}.injection", message)
        if place.settings.callers is not None:
            message = f"Forbidden: the pods of {key} are there, and users have no identity that it could allow"
            yield Problem(f"{place.key}.callers", message)


def _collision(one: Gateway, two: Gateway) -> Iterator[Problem]:
    """Of two servers for one host on one port Istio keeps the older one; one port has one protocol."""
    if one.reference == two.reference:
        yield Problem(two.key, f"Duplicate value: {one.key} is the Gateway {one.reference} as well; rename one")
        return
    if one.selector != two.selector:
        return
    if one.pods and two.pods:
        label = next(iter(two.selector.values()))
        message = f"Duplicate value: the pods of {one.key} have the label istio: {label} as well; rename one"
        yield Problem(two.key, message)
        return
    keys = {port: key for key, port in one.servers.ports.items()}
    for key, port in two.servers.ports.items():
        if port in keys and keys[port] != key:
            yield Problem(f"{two.key}.{key}", f"Duplicate value: {port}: it is {one.key}.{keys[port]} on the same pods")
    if keys.keys() & two.servers.ports.values():
        for host in two.servers.hosts:
            if host.rpartition("/")[2] in one.servers.host_names:
                message = f"{one.key} serves it on the same pods and port"
                yield Problem(f"{two.key}.hosts", f'Duplicate value: "{host}": {message}')
