"""Session affinity: cookies that keep users on the version they first had (flagger/pkg/router/istio.go, v1.44).

================  ==================================================================================================
canary's weight   who has the cookie
================  ==================================================================================================
above 0           of this rollout's canary goes to the canary; of its primary, to the primary until the next weight
0                 of the last canary goes where all do, and loses it
================  ==================================================================================================

Each rollout has a cookie of its own, so one of a revision that was rolled back leads to no later canary, not even to
the same revision tried again. Flagger draws the values at random; here they follow from the Canary and its state.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from controller.api.analysis import SessionAffinity
from controller.api.canary import Canary
from controller.core.model import NO_COOKIES, Cookies, State

STICKY_ROUTE = "sticky-route"
"""What a route of those who have a cookie is called (Flagger)."""


def next_cookies(canary: Canary, state: State) -> Cookies:
    """The cookies that go with the routes of ``state``, which has those from before; doing it again changes nothing."""
    affinity, before = canary.spec.analysis.session_affinity, state.cookies
    if affinity is None:
        return NO_COOKIES
    weight = state.routes.canary_weight
    if not weight:
        return Cookies(previous=before.canary or before.previous)
    own = before.canary
    if own.partition("=")[0] != affinity.cookie_name:
        own = _cookie(affinity.cookie_name, canary.metadata.uid, state.applied, state.begun_at)
    twin = _cookie(affinity.primary_cookie_name, own, weight) if affinity.primary_cookie_name else ""
    return Cookies(canary=own, primary=twin, previous=before.previous)


def _cookie(name: str, *origin: object) -> str:
    text = "/".join(map(str, origin))
    return f"{name}={hashlib.sha256(text.encode()).hexdigest()[:16]}"


def has_cookie(cookie: str) -> dict[str, Any]:
    """The condition of an http route for requests that have ``cookie``; in Flagger's words."""
    name, _, value = cookie.partition("=")
    return {"headers": {"Cookie": {"regex": f".*{_literally(name)}.*{_literally(value)}.*"}}}


def _literally(text: str) -> str:
    """For a regular expression of RE2; what needs no escape is left as Flagger writes it."""
    return re.sub(r"[.*+^$|?(){}\[\]\\]", r"\\\g<0>", text)


def set_cookie(affinity: SessionAffinity, cookie: str, max_age: int) -> dict[str, Any]:
    """The operation on response headers that sets ``cookie`` for ``max_age`` seconds; below 0 the browser drops it.

    A cookie is dropped only by one of the same domain and path (RFC 6265, 5.3), so these are always said; in Flagger
    they are not.
    """
    attributes: Mapping[str, object] = {
        "Domain": affinity.domain,
        "HttpOnly": affinity.http_only,
        "Max-Age": str(max_age),
        "Partitioned": affinity.partitioned,
        "Path": affinity.path,
        "SameSite": affinity.same_site,
        "Secure": affinity.secure,
    }
    words = [name if value is True else f"{name}={value}" for name, value in attributes.items() if value]
    # Envoy reads a header's value as a format.
    return {"add": {"Set-Cookie": "; ".join((cookie, *words)).replace("%", "%%")}}
