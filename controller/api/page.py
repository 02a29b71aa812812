"""Where the page of a Canary is."""

from __future__ import annotations

from urllib.parse import quote


def path_of(namespace: str, name: str) -> str:
    """The path of a Canary's own page."""
    return f"/canaries/{quote(namespace, safe='')}/{quote(name, safe='')}"


def address_of(url: str, namespace: str, name: str) -> str:
    """The same where people open the page, at ``url``; empty where that is."""
    return url.rstrip("/") + path_of(namespace, name) if url else ""
