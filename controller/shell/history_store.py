"""The ConfigMaps with the rollouts of Canaries: read when they have changed, written only where they are ours."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from controller.api.history import History, Rollout
from controller.api.names import history_name
from controller.core.kept import history_data, history_object, is_history_of, read_history
from controller.core.model import Manifest
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import NotFound
from controller.shell.kubernetes.kinds import CONFIG_MAP, Key
from controller.shell.reporting.logs import canary_log

REMEMBERED = 16
"""Canaries whose rollouts are remembered once they were read."""


class HistoryStore:
    """What is kept in the cluster, for each Canary."""

    def __init__(self, kube: Kube, cache: Cache) -> None:
        self._kube = kube
        self._cache = cache
        self._read: OrderedDict[Key, tuple[int, History]] = OrderedDict()

    def forget(self, key: Key) -> None:
        """Forget a Canary that was deleted."""
        self._read.pop(key, None)

    async def write(self, key: Key, canary: Manifest, rollouts: Sequence[Rollout]) -> None:
        """Add rollouts to the history of ``canary``, or say in the log why that is not done.

        Raises:
            ClusterError: it cannot be read or written.
        """
        live = await self._find(key)
        if live is not None and not is_history_of(canary, live):
            name = live["metadata"]["name"]
            told = "no history is kept: ConfigMap %s is not this Canary's; rename or delete it"
            canary_log(key[2], key[1], __name__).warning(told, name)
            return
        data = history_data(live, rollouts)
        if live is not None and data == live.get("data"):
            return
        wanted = history_object(canary, data, live)
        try:
            written = await (self._kube.create(wanted) if live is None else self._kube.replace(wanted))
        except NotFound:  # the namespace, or the object, is being deleted
            return
        self._cache.note(written)

    async def _find(self, key: Key) -> Manifest | None:
        try:
            return await self._kube.get(CONFIG_MAP, key[1], history_name(key[2]))
        except NotFound:
            return None

    async def read(self, key: Key, canary: Manifest) -> History:
        """The rollouts that are kept, the oldest first; read again only when the ConfigMap's version is another.

        Raises:
            ClusterError: it cannot be read.
        """
        version = self._cache.version((CONFIG_MAP.name, key[1], history_name(key[2])))
        held = self._read.get(key)
        if held is None or held[0] != version:
            live = await self._find(key) if version else None
            found = read_history(live) if live is not None and is_history_of(canary, live) else ()
            held = self._read[key] = version, found
        self._read.move_to_end(key)
        while len(self._read) > REMEMBERED:
            self._read.popitem(last=False)
        return held[1]
