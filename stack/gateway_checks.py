"""What is wrong with the gateways of a stack: ports that their pods do not have, and two that want the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from controller.api import Problem
from stack.config import StackConfig
from stack.gateway import Gateway, OtherGatewayConfig

_RESERVED_PORTS = range(15000, 15100)
"""Envoy's own ports: admin, status, metrics, health."""


def port_problems(config: StackConfig) -> Iterator[Problem]:
    """Of each by itself."""
    for gateway in config.all_gateways:
        yield from _ports(gateway)


def gateway_problems(config: StackConfig) -> Iterator[Problem]:
    """Of each beside the others."""
    for name, other in config.gateways.items():
        yield from _pods(config, f"gateways.{name}", other)
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
    if other.selector:
        return
    if other.pods_namespace:
        yield Problem(f"{key}.podsNamespace", "Forbidden: used with selector only")
    if not config.gateway.enabled:
        message = "Required value: labels of the pods that serve it: with gateway.enabled: false there are no others"
        yield Problem(f"{key}.selector", message)
        return
    offered = sorted({config.gateway.http_port, config.gateway.https_port})
    for field, port in other.ports.items():
        if port not in offered:
            message = f"the pods of `gateway` have the ports {offered[0]} and {offered[-1]}; set selector for others"
            yield Problem(f"{key}.{field}", f"Invalid value: {port}: {message}")


def _collision(one: Gateway, two: Gateway) -> Iterator[Problem]:
    """Of two servers for one host on one port Istio keeps the older one; one port has one protocol."""
    if one.reference == two.reference:
        yield Problem(two.key, f"Duplicate value: {one.key} is the Gateway {one.reference} as well; rename one")
        return
    if one.selector != two.selector:
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
