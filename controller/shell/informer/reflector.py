"""Keeping the cache current where kopf does not: first lists, metadata-only watches, and a look for what was missed.

kopf lists a kind anew when its watch broke for too long, and does not tell what vanished meanwhile. So each kind is
compared with the cluster after such a list, and now and then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from controller.core.model import Manifest
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.backoff import backoff_seconds
from controller.shell.kubernetes.client import Kube, Listing
from controller.shell.kubernetes.errors import ClusterError, Gone, NotFound, Transient
from controller.shell.kubernetes.kinds import CONFIGS, WATCHED, Kind, key_of, version_of
from controller.shell.reporting.metrics import Metrics

log = logging.getLogger(__name__)

COMPARE_SECONDS = 600
"""How often every kind is compared with the cluster."""
SETTLE_SECONDS = 5
"""How long after kopf listed a kind anew it is compared: its own events come first."""
WATCH_ATTEMPTS = 4
"""A watch that fails so often in a row starts anew with a list."""


class Reflector:
    """The lists and watches of all kinds in ``namespaces``; of the whole cluster if there are none."""

    def __init__(self, kube: Kube, cache: Cache, telemetry: Metrics, namespaces: Iterable[str]) -> None:
        self._kube = kube
        self._cache = cache
        self._telemetry = telemetry
        self._namespaces = tuple(namespaces) or ("",)
        self._versions: dict[tuple[Kind, str], str] = {}
        self._relisted: set[Kind] = set()
        self._wanted = asyncio.Event()

    async def first_lists(self) -> None:
        """Fill the cache; return when every kind is complete, however long its CRD takes to be installed."""
        for kind in (*WATCHED, *CONFIGS):  # one by one, so that an API server that is down is told once
            for namespace in self._namespaces:
                self._versions[kind, namespace] = await self._first_list(kind, namespace)

    async def follow(self) -> None:
        """Watch ConfigMaps and Secrets, and compare the other kinds; never returns."""
        async with asyncio.TaskGroup() as group:
            for kind in CONFIGS:
                for namespace in self._namespaces:
                    group.create_task(self._follow(kind, namespace), name=f"watch {kind.plural}")
            group.create_task(self._compare_all(), name="compare with the cluster")

    def was_relisted(self, kind: Kind) -> None:
        """Kopf has listed ``kind`` anew."""
        self._relisted.add(kind)
        self._wanted.set()

    async def _first_list(self, kind: Kind, namespace: str) -> str:
        attempt, said = 0, ""
        while True:
            try:
                return await self._list(kind, namespace)
            except ClusterError as error:
                attempt += 1
                problem = _first_list_problem(kind, error)
                if problem != said:
                    log.warning(problem)
                said = problem
                await asyncio.sleep(backoff_seconds(attempt, limit=10))

    async def _list(self, kind: Kind, namespace: str) -> str:
        """Take in all objects of a kind; the version from which a watch goes on."""
        metadata_only = kind in CONFIGS
        listing = await self._kube.list(kind, namespace, metadata_only=metadata_only)
        for item in listing.items:
            if metadata_only:
                self._cache.note(item)
            else:
                self._cache.put(item)
        self._drop_absent(kind, namespace, listing)
        return listing.version

    def _drop_absent(self, kind: Kind, namespace: str, listing: Listing) -> int:
        listed = {key_of(item) for item in listing.items}
        absent = [key for key in self._cache.keys(kind.name, namespace) if key not in listed]
        return sum(self._cache.remove(key, int(listing.version)) for key in absent)

    async def _follow(self, kind: Kind, namespace: str) -> None:
        attempt = 0
        while True:
            try:
                version = self._versions.pop((kind, namespace), "") or await self._list(kind, namespace)
                attempt = 0
                await self._watch(kind, namespace, version)
            except Gone:
                log.debug("%s: the watch is too old to go on, listing anew", kind.plural)
            except ClusterError as error:
                attempt += 1
                log.warning("%s are not watched at the moment: %s", kind.plural, error)
                await asyncio.sleep(backoff_seconds(attempt))

    async def _watch(self, kind: Kind, namespace: str, version: str) -> None:
        attempt = 0
        while True:
            try:
                async for change in self._kube.watch(kind, namespace, version, metadata_only=True):
                    attempt, version = 0, str(change.manifest["metadata"]["resourceVersion"])
                    if change.type == "DELETED":
                        self._cache.remove(key_of(change.manifest), int(version))
                    elif change.type != "BOOKMARK":
                        self._cache.note(change.manifest)
            except Transient as error:
                attempt += 1
                if attempt >= WATCH_ATTEMPTS:
                    raise
                log.info("%s: the watch broke off and is taken up again: %s", kind.plural, error)
                await asyncio.sleep(backoff_seconds(attempt))

    async def _compare_all(self) -> None:
        while True:
            try:
                async with asyncio.timeout(COMPARE_SECONDS):
                    await self._wanted.wait()
                await asyncio.sleep(SETTLE_SECONDS)
                kinds, regular = set(self._relisted), False
            except TimeoutError:
                kinds, regular = set(WATCHED), True
            self._wanted.clear()
            self._relisted -= kinds
            for kind in kinds:
                await self._compare(kind, regular=regular)

    async def _compare(self, kind: Kind, *, regular: bool) -> None:
        """Take in what the watch of ``kind`` has missed; a ``regular`` look that finds something counts against it."""
        missed = 0
        try:
            for namespace in self._namespaces:
                listing = await self._kube.list(kind, namespace, metadata_only=True)
                for item in listing.items:
                    missed += await self._take_newer(kind, item)
                missed += self._drop_absent(kind, namespace, listing)
        except ClusterError as error:
            log.warning("%s could not be compared with the cluster: %s", kind.plural, error)
            return
        if regular:
            self._telemetry.compared(kind.name, missed)

    async def _take_newer(self, kind: Kind, item: Manifest) -> bool:
        key = key_of(item)
        if version_of(item) <= self._cache.version(key):
            return False
        try:
            return self._cache.put(await self._kube.get(kind, key[1], key[2]))
        except NotFound:
            return self._cache.remove(key)


def _first_list_problem(kind: Kind, error: ClusterError) -> str:
    if isinstance(error, NotFound):
        owner = "this controller" if kind.group.startswith("flagger") else "Istio"
        return f"Waiting: the CRD {kind.plural}.{kind.group} is not installed. It comes with {owner}."
    if isinstance(error, Transient):
        return f"Waiting for the Kubernetes API: {error}"
    return f"Waiting: {kind.plural} cannot be listed, is the controller's ClusterRole installed? {error}"
