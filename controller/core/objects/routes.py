"""The routes of a VirtualService: who goes to the primary, and who to the canary.

=========================  ==================================================================================
without analysis.match     one http route: primary and canary by weight; a mirrored round adds ``mirror``
with analysis.match        one for the matched requests, like that; one for the rest, primary only
with sessionAffinity       before each route by weight, one for those who have a cookie (`affinity`)
with groupHeader           before all of them, for requests that another Canary's canary or primary sends (`sides`)
with appProtocol: tcp      one tcp route: primary and canary by weight, of connections
=========================  ==================================================================================

A gateway listens on a port of its own, so where a Service has several ports its route names the one that is meant.
A request in the mesh keeps the port that the client called: where both are so, each has routes of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controller.api.canary import Canary
from controller.core.model import Cookies, Facts, Routes
from controller.core.objects.affinity import STICKY_ROUTE, has_cookie, set_cookie
from controller.core.objects.services import Side, service_name, side_ports
from controller.core.objects.sides import came_by, mark_sides

MESH = "mesh"


def build_routes(facts: Facts, routes: Routes, cookies: Cookies) -> dict[str, list[dict[str, Any]]]:
    """``http`` or ``tcp`` of a VirtualService's spec."""
    built: list[dict[str, Any]] = []
    for own, by_port in _groups(facts):
        shares = [
            _destination(facts, "primary", routes.primary_weight, by_port=by_port),
            _destination(facts, "canary", routes.canary_weight, by_port=by_port),
        ]
        if facts.canary.spec.service.is_tcp:
            built.append(_matched(own, {"route": shares}))
        else:
            built += _http(facts, routes, cookies, own, shares)
    return {"tcp" if facts.canary.spec.service.is_tcp else "http": built}


def _groups(facts: Facts) -> Iterator[tuple[list[dict[str, Any]], bool]]:
    """The conditions of ``service.match``, and whether their routes name the port; a delegate may be at any gateway."""
    service = facts.canary.spec.service
    own, several = [dict(match) for match in service.match], _has_several_ports(facts)
    gateways = [] if service.delegation else list(service.gateways) or [MESH]
    outside = [gateway for gateway in gateways if gateway != MESH]
    by_port = gateways != [MESH] and (several or service.port_discovery)
    if not by_port or not several or outside == gateways:
        yield own, by_port
        return
    for inside, named in ((_within(own, outside), True), (_within(own, [MESH]), False)):
        if inside:
            yield inside, named


def _has_several_ports(facts: Facts) -> bool:
    return any(len(side_ports(facts, side)) > 1 for side in ("primary", "canary"))


def _within(matches: list[dict[str, Any]], gateways: list[str]) -> list[dict[str, Any]]:
    """The matches, for requests through ``gateways`` only; a match that names gateways keeps those it shares."""
    narrowed = [
        {**match, "gateways": [gateway for gateway in match.get("gateways") or gateways if gateway in gateways]}
        for match in matches or [{}]
    ]
    return [match for match in narrowed if match["gateways"]]


def _http(
    facts: Facts, routes: Routes, cookies: Cookies, own: list[dict[str, Any]], shares: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    canary, analysis = facts.canary, facts.canary.spec.analysis
    weighted = _route(canary, shares)
    if routes.mirrored:
        weighted["mirror"] = shares[1]["destination"]
        if analysis.mirror_weight:
            weighted["mirrorPercentage"] = {"value": analysis.mirror_weight}
    if not analysis.match:
        built = _with_sticky(facts, cookies, own, weighted)
    else:
        testers = _merge_matches([match.to_dict() for match in analysis.match], own)
        rest = _route(canary, [{**shares[0], "weight": 100}])
        built = [*_with_sticky(facts, cookies, testers, weighted), _matched(own, rest)]
    header = canary.spec.group_header
    if header is None or not routes.canary_weight:
        return built
    led = [
        _matched(_merge_matches([came_by(header, "canary")], own), {**weighted, "route": _weighed(shares, 100)}),
        _matched(_merge_matches([came_by(header, "primary")], own), {**weighted, "route": _weighed(shares, 0)}),
    ]
    return mark_sides(header, canary.names.canary_service, [*led, *built])


def _with_sticky(
    facts: Facts, cookies: Cookies, matches: list[dict[str, Any]], weighted: dict[str, Any]
) -> list[dict[str, Any]]:
    """The route by weight, after those of the users who have a cookie (`affinity`)."""
    affinity = facts.canary.spec.analysis.session_affinity
    if affinity is None:
        return [_matched(matches, weighted)]
    primary, canary = weighted["route"]
    sticky: list[dict[str, Any]] = []
    if not cookies.canary:
        if cookies.previous:
            dropped = _with_response(weighted, set_cookie(affinity, cookies.previous, -1))
            sticky.append(_kept(cookies.previous, matches, dropped))
        return [*sticky, _matched(matches, weighted)]
    given = {**canary, "headers": {"response": set_cookie(affinity, cookies.canary, affinity.max_age)}}
    sticky.append(_kept(cookies.canary, matches, {**weighted, "route": _weighed(weighted["route"], 100)}))
    if cookies.primary:
        seconds = math.ceil(facts.canary.spec.analysis.tick_seconds(facts.options.minimum_interval))
        sticky.append(_kept(cookies.primary, matches, {**weighted, "route": _weighed(weighted["route"], 0)}))
        primary = {**primary, "headers": {"response": set_cookie(affinity, cookies.primary, seconds)}}
    return [*sticky, _matched(matches, {**weighted, "route": [primary, given]})]


def _kept(cookie: str, matches: list[dict[str, Any]], route: dict[str, Any]) -> dict[str, Any]:
    return {"name": STICKY_ROUTE, **_matched(_merge_matches([has_cookie(cookie)], matches), route)}


def _with_response(route: dict[str, Any], operations: Mapping[str, Any]) -> dict[str, Any]:
    """``route`` with operations on response headers added to its own."""
    headers = route.get("headers") or {}
    response = headers.get("response") or {}
    added = {**(response.get("add") or {}), **operations["add"]}
    return {**route, "headers": {**headers, "response": {**response, "add": added}}}


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


def _weighed(shares: list[dict[str, Any]], canary_weight: int) -> list[dict[str, Any]]:
    primary, canary = shares
    return [{**primary, "weight": 100 - canary_weight}, {**canary, "weight": canary_weight}]


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
