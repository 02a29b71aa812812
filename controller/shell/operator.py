"""Putting the controller together, and running it until it is told to stop."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import aiohttp
import kopf

from controller import __version__
from controller.core.model import Manifest
from controller.shell.informer.cache import Cache
from controller.shell.informer.handlers import build_registry
from controller.shell.informer.reflector import Reflector
from controller.shell.kubernetes.access import Access
from controller.shell.kubernetes.client import KubeClient
from controller.shell.kubernetes.kinds import CANARY, Key
from controller.shell.reconciler.probes import ProbeRunner
from controller.shell.reconciler.reconciler import Reconciler
from controller.shell.reconciler.tasks import CanaryTasks
from controller.shell.reporting.events import EventRecorder
from controller.shell.reporting.metrics import Metrics
from controller.shell.server import serve
from controller.shell.settings import Settings

log = logging.getLogger(__name__)

FLUSH_SECONDS = 3
"""How long a controller that is told to stop goes on sending events."""


async def operate(access: Access, settings: Settings) -> None:
    """Run the controller until SIGTERM or SIGINT.

    Raises:
        StartError: it cannot start.
    """
    telemetry, tasks = Metrics(__version__), CanaryTasks()
    cache = Cache(tasks.changed)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(access.open_session())
        outside = await stack.enter_async_context(aiohttp.ClientSession(headers={"User-Agent": "canary-controller"}))
        port = await stack.enter_async_context(serve(telemetry, tasks, settings.port))
        log.info("Starting canary controller %s, /metrics and /healthz on port %d", __version__, port)
        kube = KubeClient(cluster, access.server, telemetry.requested)
        running = _Running(kube=kube, outside=outside, cache=cache, tasks=tasks, telemetry=telemetry, settings=settings)
        await kopf.operator(
            registry=build_registry(access, cache, running.watching, running.start, running.stop),
            settings=_kopf_settings(),
            standalone=True,
            # Else kopf asks for the user's name, which the uid of a container need not have.
            identity="canary-controller",  # type: ignore[arg-type]  # a NewType of str that kopf does not export
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
        )


class _Running:
    """The parts that live between kopf's start and stop."""

    def __init__(
        self,
        *,
        kube: KubeClient,
        outside: aiohttp.ClientSession,
        cache: Cache,
        tasks: CanaryTasks,
        telemetry: Metrics,
        settings: Settings,
    ) -> None:
        self.watching = Reflector(kube, cache, telemetry, settings.namespaces)
        self._cache = cache
        self._tasks = tasks
        self._telemetry = telemetry
        self._telling = EventRecorder(kube, outside, _now, settings.event_webhook)
        self._reconciling = Reconciler(
            kube=kube,
            cache=cache,
            measuring=ProbeRunner(outside, kube, cache, settings.metrics_server),
            telling=self._telling,
            telemetry=telemetry,
            depend=self._depend,
            clock=_now,
            minimum_interval=settings.minimum_interval,
        )
        self._background: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.watching.first_lists()
        log.info("Caches are synced, %d Canaries", len(self._cache.keys(CANARY.name)))
        self._background = [
            asyncio.create_task(self.watching.follow(), name="watch configs"),
            asyncio.create_task(self._telling.run(), name="tell events"),
        ]
        self._tasks.open(self._reconciling.run, self._gone)

    async def stop(self) -> None:
        await self._tasks.stop()
        await self._telling.flush(FLUSH_SECONDS)
        for task in (*self._background, *self._reconciling.background):
            task.cancel()
        await asyncio.gather(*self._background, *self._reconciling.background, return_exceptions=True)
        log.info("Stopped")

    def _depend(self, key: Key, needed: frozenset[Key]) -> None:
        if self._tasks.depend(key, needed):
            self._cache.keep_bodies(self._tasks.needed())

    def _gone(self, key: Key, last_seen: Manifest) -> None:
        _, namespace, name = key
        target = ((last_seen.get("spec") or {}).get("targetRef") or {}).get("name", "")
        self._telemetry.gone(name, namespace, str(target))
        self._telling.forget(str(last_seen["metadata"]["uid"]))
        self._cache.keep_bodies(self._tasks.needed())


def _kopf_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True  # the CRDs are there: the first lists have waited for them
    settings.networking.error_backoffs = _ForEver()
    # Memory: kopf lists by pages, and keeps the task it makes for each object no longer than it is busy.
    settings.watching.chunk_size = 200
    settings.queueing.idle_timeout = 0.1
    return settings


class _ForEver:
    """Waits between kopf's attempts of a request: an API server that is away for long must not end the controller."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((1.0, 2.0, 4.0, 8.0), itertools.repeat(15.0))


def _now() -> datetime:
    return datetime.now(UTC)
