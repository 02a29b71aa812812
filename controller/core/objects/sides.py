"""``spec.groupHeader``: a request that one Canary's canary sends on goes to the next one's canary, if it has traffic.

A route says in a header of the request to which side it goes, and the next routes read it; in between the app hands it
on, as it does the headers of a trace. A header that nobody hands on changes nothing: the weights decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

Mark = Literal["canary", "primary"]


def came_by(header: str, mark: Mark) -> dict[str, Any]:
    """The condition of an http route for requests that came by this side of another Canary."""
    return {"headers": {header: {"exact": mark}}}


def mark_sides(header: str, canary_host: str, routes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """``routes`` whose destinations say in ``header`` which side they are; a mirrored request has no side."""
    return [
        {**route, "route": [_marked(header, canary_host, destination) for destination in route["route"]]}
        for route in routes
    ]


def _marked(header: str, canary_host: str, destination: dict[str, Any]) -> dict[str, Any]:
    mark: Mark = "canary" if destination["destination"]["host"] == canary_host else "primary"
    return {**destination, "headers": {**destination.get("headers", {}), "request": {"set": {header: mark}}}}
