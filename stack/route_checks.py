"""What is wrong with the routes of a stack: hosts, gateways and addresses that do not fit, or are not allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import combinations
from urllib.parse import urlsplit

from controller.api import Problem
from stack.config import StackConfig
from stack.controller import TrustConfig
from stack.gateway import Gateway, serves
from stack.namespace import Workload

_MESH = "mesh"


def route_problems(config: StackConfig) -> Iterator[Problem]:
    """Over all apps and targets, whatever their namespaces: hosts and gateways are the cluster's."""
    for workload in config.workloads:
        for gateway in config.all_gateways:
            yield from _gateway(gateway, workload)
        yield from _untrusted(config.controller.trust, workload)
    yield from _shared_hosts(config)


def _gateway(gateway: Gateway, workload: Workload) -> Iterator[Problem]:
    service, key = workload.config.service, f"{workload.key}.service"
    named = {_full_gateway(each, workload.namespace) for each in service.gateways}
    if gateway.name in service.gateways and gateway.reference not in named:
        message = f"the Gateway is in {gateway.namespace}: {gateway.reference}"
        yield Problem(f"{key}.gateways", f'Invalid value: "{gateway.name}": {message}')
    if gateway.reference not in named:
        return
    if not service.hosts:
        yield Problem(f"{key}.hosts", "Required value: the Gateway routes by host")
    for host in service.hosts:
        if not any(serves(served, host, workload.namespace) for served in gateway.servers.hosts):
            message = f"the Gateway serves {', '.join(gateway.servers.hosts)} only ({gateway.key}.hosts)"
            yield Problem(f"{key}.hosts", f'Invalid value: "{host}": {message}')


def _shared_hosts(config: StackConfig) -> Iterator[Problem]:
    """Two routes of one host: Istio merges them on a gateway, in no certain order, and not at all in the mesh."""
    for one, two in combinations(config.workloads, 2):
        by_match = bool(one.config.service.match and two.config.service.match)
        first, second = _routed(one), _routed(two)
        for gateway, host in sorted(first.keys() & second.keys()):
            if gateway == _MESH:
                message = f"{one.key} has it in the mesh as well; set gateways or rename one"
            elif by_match:
                continue
            else:
                message = f"{one.key} has it on {gateway} as well; give each a service.match"
            yield Problem(f"{two.key}.service.hosts", f'Duplicate value: "{second[gateway, host]}": {message}')


def _routed(workload: Workload) -> Mapping[tuple[str, str], str]:
    """The gateways and the hosts that its VirtualService is for, by their full names, each host as it is written."""
    service, namespace = workload.config.service, workload.namespace
    hosts = {_full_host(host, namespace): host for host in (service.name or workload.name, *service.hosts)}
    gateways = {_full_gateway(gateway, namespace) for gateway in service.gateways or (_MESH,)}
    return {(gateway, full): host for gateway in gateways for full, host in hosts.items()}


def _full_host(host: str, namespace: str) -> str:
    """A host without a dot is a Service of the VirtualService's namespace."""
    lower = host.lower()
    return lower if "." in lower or lower == "*" else f"{lower}.{namespace}.svc.cluster.local"


def _full_gateway(gateway: str, namespace: str) -> str:
    return gateway if "/" in gateway or gateway == _MESH else f"{namespace}/{gateway}"


def _untrusted(trust: TrustConfig, workload: Workload) -> Iterator[Problem]:
    """Hosts, gateways and webhooks of the stack's own that the controller would not allow."""
    service, namespace = workload.config.service, workload.namespace
    for key, values, option, patterns in (
        ("service.hosts", [host for host in service.hosts if not _is_service(host, namespace)], "hosts", trust.hosts),
        (
            "service.gateways",
            [_full_gateway(gateway, namespace) for gateway in service.gateways if gateway != _MESH],
            "gateways",
            trust.gateways,
        ),
        (
            "analysis.webhooks",
            [urlsplit(webhook.url).hostname or "" for webhook in workload.config.analysis.webhooks],
            "addresses",
            trust.addresses,
        ),
    ):
        allowed = [pattern.replace("{namespace}", namespace) for pattern in patterns]
        for value in values:
            if allowed and not any(fnmatchcase(value, pattern) for pattern in allowed):
                message = f'Forbidden: controller.trust.{option} has no pattern for "{value}"'
                yield Problem(f"{workload.key}.{key}", message)


def _is_service(host: str, namespace: str) -> bool:
    """Whether a host is a Service of the namespace, by any of its names."""
    name, _, domain = host.partition(".")
    return name != "*" and domain in {"", namespace, f"{namespace}.svc", f"{namespace}.svc.cluster.local"}
