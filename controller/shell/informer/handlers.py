"""Every kopf decorator of the controller, and nothing else.

Only ``on.event`` watches: kopf's daemons, timers and ``on.create`` and its like would put a finalizer or annotations of
kopf's on every Canary.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import kopf

from controller.shell.informer.cache import Cache
from controller.shell.informer.reflector import Reflector
from controller.shell.kubernetes.access import Access
from controller.shell.kubernetes.kinds import WATCHED, Kind, key_of, version_of


def build_registry(
    access: Access,
    cache: Cache,
    watching: Reflector,
    start: Callable[[], Awaitable[None]],
    stop: Callable[[], Awaitable[None]],
) -> kopf.OperatorRegistry:
    """The handlers: log in, start, stop, and one watch for each kind."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=access.server, aiohttp_session=access.open_session())

    @kopf.on.startup(registry=registry)
    async def start_up(**_: Any) -> None:
        await start()

    @kopf.on.cleanup(registry=registry)
    async def clean_up(**_: Any) -> None:
        await stop()

    for kind in WATCHED:
        _watch(registry, kind, cache, watching)
    return registry


def _watch(registry: kopf.OperatorRegistry, kind: Kind, cache: Cache, watching: Reflector) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, id=f"watch-{kind.plural}", registry=registry)
    async def take_in(event: kopf.RawEvent, **_: Any) -> None:
        manifest = {**event["object"], "apiVersion": kind.api_version, "kind": kind.name}
        if event["type"] is None:
            watching.was_relisted(kind)
        if event["type"] == "DELETED":
            cache.remove(key_of(manifest), version_of(manifest))
        else:
            cache.put(manifest)
