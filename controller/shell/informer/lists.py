"""The lists: they fill the cache before the first tick, and compare it with the cluster where watches do not suffice.

kopf watches, from where the first lists end. When a watch has been broken for too long it lists the kind again, and
reports the objects that exist; it does not report the ones that were deleted in between. So each kind is compared with
the cluster after such a list.
A watch may also lag behind: before this controller leads, all kinds are compared.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress

from controller.core.model import Manifest
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.backoff import backoff_seconds
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import ClusterError, NotFound, Rejected, Transient
from controller.shell.kubernetes.kinds import CONFIGS, OPTIONAL, WATCHED, Kind, key_of, version_of

log = logging.getLogger(__name__)

SETTLE_SECONDS = 5
"""How long after a kind was listed again it is compared: more of its objects may still arrive."""


class Lists:
    """Lists of all kinds in ``namespaces``; of the whole cluster if there are none.

    Attributes:
        served: the optional kinds that there are, once the cache is filled.
    """

    def __init__(self, kube: Kube, cache: Cache, namespaces: Iterable[str]) -> None:
        self._kube = kube
        self._cache = cache
        self._namespaces = tuple(namespaces) or ("",)
        self._versions: dict[tuple[Kind, str], str] = {}
        self._relisted: set[Kind] = set()
        self._wanted = asyncio.Event()
        self.served: list[Kind] = []

    async def fill(self) -> None:
        """Fill the cache; return when every kind is complete, however long its CRD takes to be installed."""
        for kind in (*WATCHED, *CONFIGS):  # one by one, so that an API server that is down is reported once
            for namespace in self._namespaces:
                await self._first_list(kind, namespace)
        for kind in OPTIONAL:
            try:
                for namespace in self._namespaces:
                    await self._first_list(kind, namespace, optional=True)
                self.served.append(kind)
            except Rejected as error:
                log.info("%s are not used, and are looked for again when the controller starts: %s", kind.plural, error)

    async def catch_up(self) -> None:
        """Take in whatever has changed in the cluster until now; return when that is done."""
        for kind in (*WATCHED, *CONFIGS, *self.served):
            attempt = 0
            while not await self._compared(kind):
                attempt += 1
                await asyncio.sleep(backoff_seconds(attempt, limit=10))

    def pop_version(self, kind: Kind, namespace: str) -> str:
        """The version of the first list of a kind, once; empty after that."""
        return self._versions.pop((kind, namespace), "")

    def was_relisted(self, kind: Kind) -> None:
        """A watch has listed ``kind`` again."""
        self._relisted.add(kind)
        self._wanted.set()

    async def compare_relisted(self) -> None:
        """Compare what was listed again with the cluster; never returns."""
        attempt = 0
        while True:
            await self._wanted.wait()
            await asyncio.sleep(SETTLE_SECONDS if not attempt else backoff_seconds(attempt))
            self._wanted.clear()
            for kind in tuple(self._relisted):
                self._relisted.discard(kind)
                if await self._compared(kind):
                    attempt = 0
                else:
                    attempt += 1
                    self.was_relisted(kind)

    async def _first_list(self, kind: Kind, namespace: str, *, optional: bool = False) -> None:
        attempt, logged = 0, ""
        while True:
            try:
                listing = await self._kube.list(kind, namespace, metadata_only=kind in CONFIGS)
                for item in listing.items:
                    take_in(self._cache, kind, item)
                self._versions[kind, namespace] = listing.version
            except ClusterError as error:
                if optional and isinstance(error, Rejected):
                    raise
                attempt += 1
                problem = _first_list_problem(kind, error)
                if problem != logged:
                    log.warning(problem)
                logged = problem
                await asyncio.sleep(backoff_seconds(attempt, limit=10))
            else:
                return

    async def _compared(self, kind: Kind) -> bool:
        """Remove what is gone, and take in what is newer than known; False if that failed, which is logged."""
        try:
            for namespace in self._namespaces:
                listing = await self._kube.list(kind, namespace, metadata_only=True)
                listed = {key_of(item): item for item in listing.items}
                for key in self._cache.keys(kind.name, namespace):
                    if key not in listed:
                        self._cache.remove(key, int(listing.version))
                for key, item in listed.items():
                    if version_of(item) > self._cache.version(key):
                        await self._take_in_newer(kind, item)
        except ClusterError as error:
            log.warning("%s could not be compared with the cluster: %s", kind.plural, error)
            return False
        return True

    async def _take_in_newer(self, kind: Kind, metadata: Manifest) -> None:
        _, namespace, name = key_of(metadata)
        with suppress(NotFound):  # deleted since, which its watch will say
            take_in(self._cache, kind, metadata if kind in CONFIGS else await self._kube.get(kind, namespace, name))


def take_in(cache: Cache, kind: Kind, manifest: Manifest) -> None:
    """Put a listed or changed object into the cache; of ConfigMaps and Secrets only the version is known."""
    if kind in CONFIGS:
        cache.note(manifest)
    else:
        cache.put(manifest)


def _first_list_problem(kind: Kind, error: ClusterError) -> str:
    if isinstance(error, NotFound):
        owner = "this controller" if kind.group.startswith("flagger") else "Istio"
        return f"Waiting: the CRD {kind.plural}.{kind.group} is not installed. It comes with {owner}."
    if isinstance(error, Transient):
        return f"Waiting for the Kubernetes API: {error}"
    return f"Waiting: {kind.plural} cannot be listed, is the controller's ClusterRole installed? {error}"
