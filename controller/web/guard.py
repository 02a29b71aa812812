"""What protects every answer of the page in a browser: its headers, and the names under which it is served.

A site of somebody else can give its own name the address of this page (DNS rebinding), and read it then. So the page
answers only where no such name can lead: at an address, at localhost, and at the names of a Service inside a cluster;
and at the one that the controller's option gives it.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "canary",  # and not which versions of what
}
_SUFFIXES = (".svc", ".svc.cluster.local")


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Called for every answer before it is sent."""
    response.headers.update(_HEADERS)


def refuse_other_names(url: str) -> Middleware:
    """Answer under the names of `is_own_name` alone."""

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_own_name(request.host, url):
            raise web.HTTPMisdirectedRequest(
                text="The page is not served under this name, but at an address, at localhost, at its Service's name"
                " and at that of --page-url: `canary open` leads to it.\n"
            )
        return await handler(request)

    return refuse


def is_own_name(host: str, url: str = "") -> bool:
    """Whether ``Host`` is an address, a name without a domain, one of a Service, or that of ``url``; empty: of none."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    own = "." not in name or name.endswith(_SUFFIXES) or _is_address(name) or name == urlsplit(url).hostname
    return bool(name) and own


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
