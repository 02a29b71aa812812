"""Every kopf decorator of the controller, and nothing else.

Only ``on.event`` watches: kopf's daemons, timers and ``on.create`` and its like would put a finalizer or annotations of
kopf's on every Canary.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import kopf

from controller.shell.informer.cache import Cache
from controller.shell.informer.lists import Lists, take_in
from controller.shell.kubernetes.access import Access
from controller.shell.kubernetes.client import accept_header
from controller.shell.kubernetes.kinds import CONFIGS, OPTIONAL, WATCHED, Kind, key_of, version_of

_BY_PLURAL = {kind.plural: kind for kind in (*WATCHED, *OPTIONAL, *CONFIGS)}


def build_registry(
    access: Access,
    cache: Cache,
    lists: Lists,
    start: Callable[[], Awaitable[None]],
    stop: Callable[[], Awaitable[None]],
) -> kopf.OperatorRegistry:
    """The handlers: log in, start, stop, and one watch for each kind."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=access.server, aiohttp_session=access.open_session(_lists_and_watches(lists)))

    @kopf.on.startup(registry=registry)
    async def start_up(**_: Any) -> None:
        await start()
        for kind in lists.served:  # kopf begins to watch after this
            _watch(registry, kind, cache)

    @kopf.on.cleanup(registry=registry)
    async def clean_up(**_: Any) -> None:
        await stop()

    for kind in (*WATCHED, *CONFIGS):
        _watch(registry, kind, cache)
    return registry


def _watch(registry: kopf.OperatorRegistry, kind: Kind, cache: Cache) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, id=f"watch-{kind.plural}", registry=registry)
    async def receive(event: kopf.RawEvent, **_: Any) -> None:
        manifest = {**event["object"], "apiVersion": kind.api_version, "kind": kind.name}
        if event["type"] == "DELETED":
            cache.remove(key_of(manifest), version_of(manifest))
        else:
            take_in(cache, kind, manifest)


def _lists_and_watches(lists: Lists) -> aiohttp.ClientMiddlewareType:
    """What kopf has no setting for: metadata alone of ConfigMaps and Secrets, and what becomes of its lists.

    The first one would bring again what fills the cache already, in thousands of events. It is asked for as of our own
    list, without an object: kopf's watch then goes on from there, and nothing is missed.
    """

    async def middleware(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        kind, watching = _BY_PLURAL.get(request.url.name), "watch" in request.url.query
        if kind in CONFIGS:
            request.headers["Accept"] = accept_header(metadata_only=True, listing=not watching)
        if kind is None or watching:
            return await send(request)
        if version := lists.pop_version(kind, _namespace(request.url.parts)):
            url = request.url
            request.url = url.update_query(_NOTHING | {"resourceVersion": version})
            response = await send(request)
            if response.ok:
                return response
            response.release()  # that version is too old by now
            request.url = url
        response = await send(request)
        lists.was_relisted(kind)
        return response

    return middleware


_NOTHING = {"fieldSelector": "metadata.name=-", "resourceVersionMatch": "Exact"}
"""No object has this name."""


def _namespace(path: Sequence[str]) -> str:
    """That of a list; empty for one of the whole cluster."""
    before, namespace = path[-3:-1]
    return namespace if before == "namespaces" else ""
