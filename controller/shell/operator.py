"""Putting the controller together, and running it until it is stopped."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime
from typing import Any, TypeAlias

import kopf

from controller import __version__
from controller.core.model import Manifest
from controller.shell.fence import always
from controller.shell.history import HistoryKeeper
from controller.shell.informer.cache import Cache
from controller.shell.informer.handlers import build_registry
from controller.shell.informer.lists import Lists
from controller.shell.kubernetes.access import Access
from controller.shell.kubernetes.client import CONNECTIONS, MOST_WATCHES, REQUEST_SECONDS, SILENCE_SECONDS, KubeClient
from controller.shell.kubernetes.errors import StoppedError
from controller.shell.kubernetes.kinds import CANARY, Key
from controller.shell.leadership import Election, own_name
from controller.shell.outside import Outside, open_outside
from controller.shell.reconciler.probes import ProbeRunner
from controller.shell.reconciler.reconciler import Reconciler
from controller.shell.reconciler.tasks import CanaryTasks
from controller.shell.reporting.alerts import AlertSender
from controller.shell.reporting.events import EventRecorder
from controller.shell.reporting.metrics import Metrics
from controller.shell.server import serve
from controller.shell.settings import Settings

log = logging.getLogger(__name__)

RECURSION_LIMIT = 12_000
"""The API server takes JSON of 10,000 levels. One such Canary must not keep all others from being read; their stack is
below 2 MiB. The parser then refuses it."""

FINISH_SECONDS = 5
"""How long ticks, and then hooks, may go on in a controller that is stopped: what they called is not called again."""
FLUSH_SECONDS = 3
"""How long a controller that is stopped goes on sending alerts, and then events."""

PAGE_CONNECTIONS = 4 + MOST_WATCHES
PAGE_FIELD_MANAGER = "canary-page"

EXIT_SECONDS = 8
"""How long kopf may take to end after our parts have ended."""

OpenPage: TypeAlias = Callable[[Cache, HistoryKeeper, KubeClient, int, str], AbstractAsyncContextManager[int]]
"""Serves the page on a port while it is open; what it writes goes through the client, and it yields the port."""


async def operate(access: Access, settings: Settings, open_page: OpenPage | None = None) -> None:
    """Run the controller until SIGTERM or SIGINT, with the page if the settings have a port for it.

    Raises:
        StartError: it cannot start.
        StoppedError: a part that it cannot run without has ended.
    """
    sys.setrecursionlimit(RECURSION_LIMIT)
    metrics, tasks = Metrics(__version__), CanaryTasks()
    async with AsyncExitStack() as stack:
        election = None
        if settings.leader_election:  # over a connection of its own: a renewal must not wait for other requests
            lease = await stack.enter_async_context(access.open_session(connections=1))
            election = Election(
                KubeClient(lease, access.server, metrics.count_request), settings.leader_election_namespace, own_name()
            )
        may_write = election.may_write if election else always
        cluster = await stack.enter_async_context(access.open_session(connections=CONNECTIONS, may_write=may_write))
        session = await stack.enter_async_context(open_outside(may_write))
        port = await stack.enter_async_context(serve(metrics, tasks, settings.port))
        log.info("Starting canary controller %s, /metrics and /healthz on port %d", __version__, port)
        kube = KubeClient(cluster, access.server, metrics.count_request)
        outside = Outside(session, settings.allowed_addresses, trusted=settings.addresses)
        operator = _Operator(kube, outside, tasks, metrics, settings, election=election)
        if open_page is not None and settings.page_port is not None:
            # Not fenced: people may ask any replica, and their word is no decision of its own.
            people = await stack.enter_async_context(access.open_session(connections=PAGE_CONNECTIONS))
            client = KubeClient(people, access.server, metrics.count_request, PAGE_FIELD_MANAGER)
            opening = open_page(operator.cache, operator.history, client, settings.page_port, settings.page_url)
            page = await stack.enter_async_context(opening)
            log.info("The page is on port %d", page)
        await _run_kopf(access, settings, operator)
        if operator.ended.done() and not operator.ended.cancelled():
            raise StoppedError(operator.ended.result())


async def _run_kopf(access: Access, settings: Settings, operator: _Operator) -> None:
    """Run kopf until it ends; after it has begun to stop, no longer than `EXIT_SECONDS`.

    When one of its watches fails, kopf 1.45 stops the operator and then waits for the other watches without end.
    """
    running = asyncio.create_task(
        kopf.operator(
            registry=build_registry(access, operator.cache, operator.lists, operator.start, operator.stop),
            settings=_kopf_settings(),
            standalone=True,
            # Else kopf asks for the user's name, which the uid of a container need not have.
            identity="canary-controller",  # type: ignore[arg-type]  # a NewType of str that kopf does not export
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            stop_flag=operator.ended,
        )
    )
    stopping = asyncio.create_task(operator.stopped.wait())
    await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait((running,), timeout=EXIT_SECONDS)
    if not running.done():
        raise StoppedError("A watch failed, see the log.")
    stopping.cancel()
    if error := running.exception():
        raise StoppedError(f"The watches ended: {error!r}") from error


class _Operator:
    """The parts that live between kopf's start and stop. Each runs until `stop`; one that ends sooner ends all.

    Attributes:
        ended: the first part that ended too soon, and why.
        stopped: set once all parts have ended.
    """

    def __init__(
        self,
        kube: KubeClient,
        outside: Outside,
        tasks: CanaryTasks,
        metrics: Metrics,
        settings: Settings,
        *,
        election: Election | None,
    ) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.stopped = asyncio.Event()
        self.cache = Cache(tasks.changed)
        self.lists = Lists(kube, self.cache, settings.namespaces)
        self._tasks = tasks
        self._metrics = metrics
        self._election = election
        self._recorder = EventRecorder(kube, outside, _now, settings.event_webhook)
        self._alerts = AlertSender(kube, outside, self._recorder.record, settings.alert_providers)
        self._reconciler = Reconciler(
            kube=kube,
            cache=self.cache,
            runner=ProbeRunner(
                outside, kube, self.cache, settings.metrics_provider, credentials=settings.metrics_server_secret
            ),
            recorder=self._recorder,
            alerts=self._alerts,
            metrics=metrics,
            depend=self._depend,
            tell=tasks.wake_followers,
            clock=_now,
            options=settings.options,
        )
        self.history = HistoryKeeper(kube, self.cache)
        self._background: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        try:
            await self.lists.fill()
        except asyncio.CancelledError:  # stopped before it began; kopf then calls no `stop`, and waits for `ended`
            self.ended.cancel()
            raise
        log.info("Caches are synced, %d Canaries", len(self.cache.keys(CANARY.name)))
        self._supervise("comparing the cache with the cluster", self.lists.compare_relisted())
        self._supervise("sending events", self._recorder.run())
        self._supervise("keeping the history", self.history.run())
        if self._election is None:
            self._lead()
        else:
            self._supervise("leader election", self._lead_when_elected(self._election))

    async def stop(self) -> None:
        await self._tasks.stop(FINISH_SECONDS)
        if self._reconciler.background:
            await asyncio.wait(self._reconciler.background, timeout=FINISH_SECONDS)
        await self.history.flush(FLUSH_SECONDS)
        await self._alerts.flush(FLUSH_SECONDS)
        await self._recorder.flush(FLUSH_SECONDS)
        await self._cancel(*self._background, *self._reconciler.background)
        if self._election is not None:
            await self._election.release()
        log.info("Stopped")
        self.ended.cancel()
        self.stopped.set()

    async def _lead_when_elected(self, election: Election) -> None:
        """Stand by, then lead; ends when that is over."""
        await election.acquire()
        holding = self._supervise("holding the Lease", self._hold(election))
        await self.lists.catch_up()
        self._lead()
        await asyncio.wait((holding,))

    async def _hold(self, election: Election) -> None:
        try:
            await election.hold()
        finally:
            self._metrics.set_leader(leads=False)
            await self._tasks.stop()  # a write on its way must be over before another controller leads
            await self._cancel(*self._reconciler.background)

    def _lead(self) -> None:
        self._metrics.set_leader(leads=True)
        self.history.lead()
        self._reconciler.give_back_orphans()
        self._tasks.open(self._reconciler.run, removed=self._on_removed, ended=self._on_end)

    def _supervise(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._on_end)
        self._background.append(task)
        return task

    @staticmethod
    async def _cancel(*tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _depend(self, key: Key, needed: frozenset[Key]) -> None:
        self.cache.drop_bodies(self._tasks.depend(key, needed))

    def _on_removed(self, key: Key, last_seen: Manifest) -> None:
        _, namespace, name = key
        target = ((last_seen.get("spec") or {}).get("targetRef") or {}).get("name", "")
        self._metrics.remove(name, namespace, str(target))
        self._recorder.forget(str(last_seen["metadata"]["uid"]))
        self._alerts.forget(str(last_seen["metadata"]["uid"]))
        self._depend(key, frozenset())
        self._reconciler.give_back_orphans()

    def _on_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self.ended.done():
            return
        error = task.exception()
        log.error("%s ended, so the controller stops", task.get_name(), exc_info=error)
        self.ended.set_result(f"{task.get_name()} ended: {error!r}")


def _kopf_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True  # the CRDs are there: the first lists have waited for them
    settings.networking.error_backoffs = _NoEnd()
    settings.networking.request_timeout = REQUEST_SECONDS
    settings.watching.inactivity_timeout = SILENCE_SECONDS
    # Memory: kopf lists by pages, and keeps the task it makes for each object no longer than it is busy.
    settings.watching.chunk_size = 200
    settings.queueing.idle_timeout = 0.1
    settings.persistence.diffbase_storage = _NoDiffs()
    return settings


class _NoDiffs(kopf.DiffBaseStorage):
    """What kopf tells changes by. It copies every object it hears of, twice, and `on.event` has no use of that."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        """Nothing is kept in the objects."""


class _NoEnd:
    """Waits between kopf's attempts of a request: an API server that is away for long must not end the controller."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((1.0, 2.0, 4.0, 8.0), itertools.repeat(15.0))


def _now() -> datetime:
    return datetime.now(UTC)
