"""The Istio objects that carry the traffic, as Flagger shapes them (flagger/pkg/router/istio.go, v1.44).

=======================  ==================================================================================
without analysis.match   one http route: primary and canary by weight; a mirrored round adds ``mirror``
with analysis.match      http[0] for the matched requests, like that; http[1] for the rest, primary only
=======================  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from controller.api.canary import Canary
from controller.core.decision import Put
from controller.core.model import Facts, Manifest, Routes
from controller.core.objects.manifests import RECONCILE_DISABLED, Metadata, build_object, canonical_json
from controller.core.objects.ownership import ADOPTED_BY, is_owned
from controller.core.objects.services import ORIGINAL_CONFIGURATION, Side, service_name, side_ports

ISTIO = "networking.istio.io/v1"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MESH = "mesh"


def build_virtual_service(facts: Facts, routes: Routes) -> dict[str, Any]:
    """The VirtualService that sends the traffic as ``routes`` says."""
    canary, service = facts.canary, facts.canary.spec.service
    live = facts.generated.get(("VirtualService", canary.names.virtual_service))
    gateways = list(service.gateways) or [MESH]
    marks = _adoption(canary, live) if live is not None and not is_owned(canary, live) else {}
    return build_object(
        canary,
        live,
        api_version=ISTIO,
        kind="VirtualService",
        name=canary.names.virtual_service,
        annotations={**RECONCILE_DISABLED, **marks},
        given=Metadata(service.apex.labels, service.apex.annotations),
        spec={"gateways": gateways, "hosts": _hosts(canary), "http": _http(facts, routes, gateways)},
    )


def returns(owned: Iterable[Manifest]) -> Iterator[Put]:
    """The writes after which no VirtualService among ``owned`` sends anything to a canary.

    Only weights and mirrors change, so nothing of the Canary's spec, which may be unusable, is needed.
    """
    for live in owned:
        if live["kind"] == "VirtualService" and (returned := _without_canary(live)) != live:
            yield Put(returned)


def _without_canary(live: Manifest) -> dict[str, Any]:
    canary_host = f"{live['metadata']['name']}-canary"
    http = [_returned(route, canary_host) for route in live["spec"].get("http") or ()]
    return {**live, "spec": {**live["spec"], "http": http}}


def _returned(route: Mapping[str, Any], canary_host: str) -> dict[str, Any]:
    mirrored = (route.get("mirror") or {}).get("host") == canary_host
    kept = {key: value for key, value in route.items() if not (mirrored and key in ("mirror", "mirrorPercentage"))}
    destinations = route.get("route") or ()
    if not any(each["destination"]["host"] == canary_host for each in destinations):
        return kept
    weights = [0 if each["destination"]["host"] == canary_host else 100 for each in destinations]
    shared = [{**each, "weight": weight} for each, weight in zip(destinations, weights, strict=True)]
    return {**kept, "route": shared}


def build_destination_rule(facts: Facts, side: Side) -> dict[str, Any]:
    """The DestinationRule of one of the two sides."""
    host, policy = service_name(facts.canary, side), facts.canary.spec.service.traffic_policy
    live = facts.generated.get(("DestinationRule", host))
    spec: dict[str, Any] = {"host": host} | ({"trafficPolicy": policy} if policy else {})
    return build_object(facts.canary, live, api_version=ISTIO, kind="DestinationRule", name=host, spec=spec)


def _hosts(canary: Canary) -> list[str]:
    hosts, apex = list(canary.spec.service.hosts), canary.names.apex_service
    return hosts if apex in hosts or "*" in hosts else [*hosts, apex]


def _http(facts: Facts, routes: Routes, gateways: Sequence[str]) -> list[dict[str, Any]]:
    """The http routes.

    A gateway listens on a port of its own, so where a Service has several ports its route names the one that is meant.
    A request in the mesh keeps the port that the client called.
    """
    own = [dict(match) for match in facts.canary.spec.service.match]
    outside, several = [gateway for gateway in gateways if gateway != MESH], _has_several_ports(facts)
    by_port = bool(outside) and (several or facts.canary.spec.service.port_discovery)
    if not by_port or not several or MESH not in gateways:
        return _routes(facts, routes, own, by_port=by_port)
    through, inside = _within(own, outside), _within(own, [MESH])
    return [
        *(_routes(facts, routes, through, by_port=True) if through else ()),
        *(_routes(facts, routes, inside, by_port=False) if inside else ()),
    ]


def _has_several_ports(facts: Facts) -> bool:
    return any(len(side_ports(facts, side)) > 1 for side in ("primary", "canary"))


def _within(matches: list[dict[str, Any]], gateways: list[str]) -> list[dict[str, Any]]:
    """The matches, for requests through ``gateways`` only; a match that names gateways keeps those it shares."""
    narrowed = [
        {**match, "gateways": [gateway for gateway in match.get("gateways") or gateways if gateway in gateways]}
        for match in matches or [{}]
    ]
    return [match for match in narrowed if match["gateways"]]


def _routes(facts: Facts, routes: Routes, own: list[dict[str, Any]], *, by_port: bool) -> list[dict[str, Any]]:
    canary, analysis = facts.canary, facts.canary.spec.analysis
    weighted = _route(
        canary,
        [
            _destination(facts, "primary", routes.primary_weight, by_port=by_port),
            _destination(facts, "canary", routes.canary_weight, by_port=by_port),
        ],
    )
    if routes.mirrored:
        weighted["mirror"] = _destination(facts, "canary", 0, by_port=by_port)["destination"]
        if analysis.mirror_weight:
            weighted["mirrorPercentage"] = {"value": analysis.mirror_weight}
    if not analysis.match:
        return [_matched(own, weighted)]
    testers = _merge_matches([match.to_dict() for match in analysis.match], own)
    rest = _route(canary, [_destination(facts, "primary", 100, by_port=by_port)])
    return [_matched(testers, weighted), _matched(own, rest)]


def _matched(matches: list[dict[str, Any]], route: dict[str, Any]) -> dict[str, Any]:
    return {"match": matches, **route} if matches else route


def _route(canary: Canary, destinations: list[dict[str, Any]]) -> dict[str, Any]:
    service = canary.spec.service
    rewrite = {"uri": service.rewrite.uri, "authority": service.rewrite.authority} if service.rewrite else {}
    options = {
        "rewrite": {key: value for key, value in rewrite.items() if value},
        "timeout": service.timeout,
        "retries": service.retries,
        "corsPolicy": service.cors_policy,
        "headers": service.headers,
    }
    return {**{key: value for key, value in options.items() if value}, "route": destinations}


def _destination(facts: Facts, side: Side, weight: int, *, by_port: bool) -> dict[str, Any]:
    destination: dict[str, Any] = {"host": service_name(facts.canary, side)}
    if by_port:
        destination["port"] = {"number": side_ports(facts, side)[0]["port"]}
    return {"destination": destination, "weight": weight}


def _merge_matches(testers: list[dict[str, Any]], own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every tester condition within every route condition: a test stays inside the service's routes."""
    if not own:
        return testers
    return [
        {**route, **tester, **_merged_maps(route, tester, ("headers", "queryParams", "sourceLabels"))}
        for tester in testers
        for route in own
    ]


def _merged_maps(first: Mapping[str, Any], second: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: {**(first.get(key) or {}), **(second.get(key) or {})} for key in keys if key in first or key in second}


def _adoption(canary: Canary, live: Manifest) -> dict[str, str]:
    """The annotations of an adopted VirtualService: whose it is now, and what it was like before."""
    annotations = live["metadata"].get("annotations") or {}
    if ORIGINAL_CONFIGURATION in annotations or LAST_APPLIED in annotations:
        return {ADOPTED_BY: canary.name}
    return {ADOPTED_BY: canary.name, ORIGINAL_CONFIGURATION: canonical_json(live["spec"])}
