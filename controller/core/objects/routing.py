"""The Istio objects that carry the traffic, as Flagger shapes them (flagger/pkg/router/istio.go, v1.44)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from controller.api.canary import Canary
from controller.core.decision import Put
from controller.core.model import NO_COOKIES, Cookies, Facts, Manifest, Routes
from controller.core.objects.manifests import RECONCILE_DISABLED, Metadata, build_object, canonical_json
from controller.core.objects.ownership import ADOPTED_BY, is_owned
from controller.core.objects.routes import MESH, build_routes
from controller.core.objects.services import ORIGINAL_CONFIGURATION, Side, service_name

ISTIO = "networking.istio.io/v1"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def build_virtual_service(facts: Facts, routes: Routes, cookies: Cookies = NO_COOKIES) -> dict[str, Any]:
    """The VirtualService that sends the traffic as ``routes`` and ``cookies`` say."""
    canary, service = facts.canary, facts.canary.spec.service
    live = facts.generated.get(("VirtualService", canary.names.virtual_service))
    marks = _adoption(canary, live) if live is not None and not is_owned(canary, live) else {}
    return build_object(
        canary,
        live,
        api_version=ISTIO,
        kind="VirtualService",
        name=canary.names.virtual_service,
        annotations={**RECONCILE_DISABLED, **marks},
        given=Metadata(service.apex.labels, service.apex.annotations),
        spec={**_places(canary), **build_routes(facts, routes, cookies)},
    )


def returns(owned: Iterable[Manifest]) -> Iterator[Put]:
    """The writes after which no VirtualService among ``owned`` sends anything to a canary.

    Only weights and mirrors change, so nothing of the Canary's spec, which may be unusable, is needed.
    """
    for live in owned:
        if live["kind"] == "VirtualService" and (returned := _without_canary(live)) != live:
            yield Put(returned)


def _without_canary(live: Manifest) -> dict[str, Any]:
    canary_host, spec = f"{live['metadata']['name']}-canary", live["spec"]
    kinds = [kind for kind in ("http", "tcp") if spec.get(kind)]
    returned = {kind: [_returned(route, canary_host) for route in spec[kind]] for kind in kinds}
    return {**live, "spec": {**spec, **returned}}


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


def _places(canary: Canary) -> dict[str, list[str]]:
    """Where the routes apply; a delegate leaves that to the VirtualService that delegates to it."""
    service, apex = canary.spec.service, canary.names.apex_service
    if service.delegation:
        return {}
    hosts = [] if {apex, "*"}.intersection(service.hosts) else [apex]
    return {"gateways": list(service.gateways) or [MESH], "hosts": [*service.hosts, *hosts]}


def _adoption(canary: Canary, live: Manifest) -> dict[str, str]:
    """The annotations of an adopted VirtualService: whose it is now, and what it was like before."""
    annotations = live["metadata"].get("annotations") or {}
    if ORIGINAL_CONFIGURATION in annotations or LAST_APPLIED in annotations:
        return {ADOPTED_BY: canary.name}
    return {ADOPTED_BY: canary.name, ORIGINAL_CONFIGURATION: canonical_json(live["spec"])}
