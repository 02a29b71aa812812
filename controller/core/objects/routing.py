"""The Istio objects and Services that carry the traffic, as Flagger shapes them (flagger/pkg/router/istio.go, v1.44).

=====================  ====================================================================================
weighted, blue/green   one http route: primary and canary by weight; a mirrored round adds ``mirror``
A/B                    http[0] for the matched requests, by weight; http[1] for the rest, primary only
=====================  ====================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controller.api.analysis import Strategy
from controller.api.canary import Canary
from controller.core.model import Manifest, Routes
from controller.core.objects.manifests import RECONCILE_DISABLED, build_object, canonical_json, is_owned

ISTIO = "networking.istio.io/v1"
ORIGINAL_CONFIGURATION = "flagger.kubernetes.io/original-configuration"
"""Annotation that keeps the spec of a VirtualService that was there before the Canary."""

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_PROXY_CONTAINERS = ("istio-proxy", "envoy")


def build_virtual_service(canary: Canary, routes: Routes, live: Manifest | None) -> dict[str, Any]:
    """The VirtualService that sends the traffic as ``routes`` says."""
    service = canary.spec.service
    gateways = list(service.gateways) or ["mesh"]
    annotations = {**RECONCILE_DISABLED, **service.apex.annotations}
    if live is not None and not is_owned(canary, live):
        annotations |= _original_configuration(live)
    return build_object(
        canary,
        live,
        api_version=ISTIO,
        kind="VirtualService",
        name=canary.names.apex_service,
        labels=service.apex.labels,
        annotations=annotations,
        spec={"gateways": gateways, "hosts": _hosts(canary), "http": _http(canary, routes, gateways)},
    )


def build_destination_rule(canary: Canary, host: str, live: Manifest | None) -> dict[str, Any]:
    """The DestinationRule of one of the two Services; ``host`` is its name."""
    policy = canary.spec.service.traffic_policy
    spec: dict[str, Any] = {"host": host} | ({"trafficPolicy": policy} if policy else {})
    return build_object(canary, live, api_version=ISTIO, kind="DestinationRule", name=host, spec=spec)


def build_service(
    canary: Canary, *, name: str, selector: Mapping[str, str], target: Manifest, live: Manifest | None
) -> dict[str, Any]:
    """One of the three Services: apex, primary or canary.

    An apex that was there before keeps everything but ports, selector and Flux's annotations (Flagger).
    """
    service = canary.spec.service
    extra = {canary.names.apex_service: service.apex, canary.names.primary_service: service.primary}.get(
        name, service.canary
    )
    borrowed = live is not None and not is_owned(canary, live)
    label = next(iter(selector))
    ports = _with_node_ports(_ports(canary, target), live)
    spec = {**(live["spec"] if live else {"type": "ClusterIP"}), "ports": ports, "selector": dict(selector)}
    if service.headless and not live:
        spec["clusterIP"] = "None"
    if service.traffic_distribution:
        spec["trafficDistribution"] = service.traffic_distribution
    return build_object(
        canary,
        live,
        api_version="v1",
        kind="Service",
        name=name,
        labels={} if borrowed else {label: name, **extra.labels},
        annotations=RECONCILE_DISABLED if borrowed else {**RECONCILE_DISABLED, **extra.annotations},
        spec=spec,
    )


def _hosts(canary: Canary) -> list[str]:
    hosts, apex = list(canary.spec.service.hosts), canary.names.apex_service
    return hosts if apex in hosts or "*" in hosts else [*hosts, apex]


def _http(canary: Canary, routes: Routes, gateways: Sequence[str]) -> list[dict[str, Any]]:
    service, analysis = canary.spec.service, canary.spec.analysis
    own_matches = [dict(match) for match in service.match]
    weighted = [
        _destination(canary, canary.names.primary_service, routes.primary_weight, gateways),
        _destination(canary, canary.names.canary_service, routes.canary_weight, gateways),
    ]
    if analysis.strategy is Strategy.AB_TESTING:
        primary_only = [_destination(canary, canary.names.primary_service, 100, gateways)]
        matches = _merge_matches([match.to_dict() for match in analysis.match], own_matches)
        return [_route(canary, matches, weighted), _route(canary, own_matches, primary_only)]
    route = _route(canary, own_matches, weighted)
    if routes.mirrored:
        route["mirror"] = {"host": canary.names.canary_service}
        if analysis.mirror_weight:
            route["mirrorPercentage"] = {"value": analysis.mirror_weight}
    return [route]


def _route(canary: Canary, matches: list[dict[str, Any]], route: list[dict[str, Any]]) -> dict[str, Any]:
    service = canary.spec.service
    rewrite = {"uri": service.rewrite.uri, "authority": service.rewrite.authority} if service.rewrite else {}
    options = {
        "match": matches,
        "rewrite": {key: value for key, value in rewrite.items() if value},
        "timeout": service.timeout,
        "retries": service.retries,
        "corsPolicy": service.cors_policy,
        "headers": service.headers,
    }
    return {**{key: value for key, value in options.items() if value}, "route": route}


def _destination(canary: Canary, host: str, weight: int, gateways: Sequence[str]) -> dict[str, Any]:
    service = canary.spec.service
    destination: dict[str, Any] = {"host": host}
    if service.port_discovery and gateways[0] != "mesh":
        destination["port"] = {"number": service.port}
    return {"destination": destination, "weight": weight}


def _merge_matches(testers: list[dict[str, Any]], own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every tester condition within every route condition: an A/B test stays inside the service's routes."""
    if not own:
        return testers
    return [
        {**route, **tester, **_merged_maps(route, tester, ("headers", "queryParams", "sourceLabels"))}
        for tester in testers
        for route in own
    ]


def _merged_maps(first: Mapping[str, Any], second: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: {**first.get(key, {}), **second.get(key, {})} for key in keys if key in first or key in second}


def _ports(canary: Canary, target: Manifest) -> list[dict[str, Any]]:
    service = canary.spec.service
    target_port = service.target_port or service.port
    first: dict[str, Any] = {
        "name": service.port_name,
        "port": service.port,
        "protocol": "TCP",
        "targetPort": target_port,
    }
    if service.app_protocol:
        first["appProtocol"] = service.app_protocol
    return [first, *(_discovered_ports(target, service.port, target_port) if service.port_discovery else ())]


def _discovered_ports(target: Manifest, port: int, target_port: int | str) -> list[dict[str, Any]]:
    """The other ports of the target's containers, the proxy's own left out (Flagger's ``portDiscovery``)."""
    return [
        {
            "name": found.get("name") or f"tcp-{found['containerPort']}",
            "port": found["containerPort"],
            "protocol": found.get("protocol", "TCP"),
            "targetPort": found["containerPort"],
        }
        for container in target["spec"]["template"]["spec"]["containers"]
        if container["name"] not in _PROXY_CONTAINERS
        for found in container.get("ports", ())
        if found["containerPort"] not in (port, target_port) and found.get("name") != target_port
    ]


def _with_node_ports(ports: list[dict[str, Any]], live: Manifest | None) -> list[dict[str, Any]]:
    """The API server gave the node ports of a NodePort Service; leaving them out would move them."""
    given = {
        port.get("name"): port["nodePort"]
        for port in (live or {"spec": {}})["spec"].get("ports", ())
        if "nodePort" in port
    }
    return [{**port, "nodePort": given[port["name"]]} if port["name"] in given else port for port in ports]


def _original_configuration(live: Manifest) -> dict[str, str]:
    annotations = live["metadata"].get("annotations", {})
    if ORIGINAL_CONFIGURATION in annotations or _LAST_APPLIED in annotations:
        return {}
    return {ORIGINAL_CONFIGURATION: canonical_json(live["spec"])}
