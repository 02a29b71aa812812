"""The history of each Canary: watched from the cache, and kept by the leader in a ConfigMap that the Canary owns.

Every replica knows the rollout that is under way, or was the last since it started (`HistoryKeeper.current`). The ones
before are in the cluster, and are read when somebody asks (`HistoryKeeper.read`). The leader writes a rollout when it
has ended, when many samples would be lost with it, and when it is told to stop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError

from controller.api.canary import Canary
from controller.api.errors import CanaryError, InvalidObject
from controller.api.history import History, Rollout
from controller.api.parse import parse_canary
from controller.api.status import CanaryStatus
from controller.core.history import Origin, has_moved, see
from controller.core.kept import merged, up_to_date
from controller.core.model import Manifest
from controller.core.objects.kinds import as_workload
from controller.core.rollout.phases import UNDER_WAY
from controller.shell.history_store import HistoryStore
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.backoff import backoff_seconds
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import ClusterError
from controller.shell.kubernetes.kinds import CANARY, Key
from controller.shell.reporting.logs import canary_log

SETTLE_SECONDS = 5.0
"""How long after its end a rollout is written: what it failed for may be said a tick later."""
STANDBY_SECONDS = 60.0
"""How long a process that does not lead remembers it: it may lead before the one that does has written it."""
SAVE_SAMPLES = 30
"""A rollout is written after so many more samples."""
ATTEMPTS = 8
"""How often a write is tried; what is lost then is a record of the past."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Record:
    """What is known of one Canary.

    Attributes:
        rollout: under way, or the last one; None once it has ended and is written.
        unsaved: rollouts before it that are not written yet.
        saved: samples of it that are.
        due: when to write, by the event loop's clock; None: nothing is to be written.
        attempts: writes that failed in a row.
    """

    rollout: Rollout | None = None
    unsaved: list[Rollout] = field(default_factory=list)
    saved: int = 0
    due: float | None = None
    attempts: int = 0


class HistoryKeeper:
    """Watches the Canaries in ``cache``; writes nothing before `run`."""

    def __init__(self, kube: Kube, cache: Cache) -> None:
        self._store = HistoryStore(kube, cache)
        self._cache = cache
        self._records: dict[Key, _Record] = {}
        self._changed = asyncio.Event()
        self._leads = False
        self._followers: list[Callable[[Key], None]] = []
        cache.witness(self._hear)

    def follow(self, follower: Callable[[Key], None]) -> Callable[[], None]:
        """Call ``follower`` with the key of each Canary whose record has changed; returns what ends that."""
        self._followers.append(follower)
        return lambda: self._followers.remove(follower)

    def current(self, key: Key) -> Rollout | None:
        """The rollout that is under way, or has ended and is not written yet, as this process has seen it."""
        record = self._records.get(key)
        return record.rollout if record else None

    async def read(self, key: Key) -> History:
        """All rollouts of a Canary, the oldest first. The API is asked only for a ConfigMap that has changed.

        Raises:
            ClusterError: it cannot be read.
        """
        manifest = self._cache.get(key)
        if manifest is None:
            return ()
        kept, known = await self._store.read(key, manifest), tuple(self._known(key))
        try:
            return up_to_date(kept, known, parse_canary(manifest))
        except InvalidObject:
            return merged(kept, known)

    async def run(self) -> None:
        """Write what has to be written, once `lead` was called; until then forget it in time. Never returns."""
        while True:
            await self._wait()
            for key in self._due_now():
                await self._save(key)

    def lead(self) -> None:
        """From now on this process writes, what others may have left unwritten too."""
        self._leads = True
        for record in self._records.values():
            if record.due is not None:
                record.due = None
                self._plan(record)

    async def flush(self, seconds: float) -> None:
        """Write all that is not written yet, at most so many seconds: this process ends."""
        if not self._leads:
            return
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*map(self._save, tuple(self._records)))
        except TimeoutError:
            log.warning("the rollouts of some Canaries could not be written")

    def _hear(self, key: Key, before: Manifest | None, after: Manifest | None) -> None:
        if key[0] != CANARY.name:
            return
        if after is None:
            self._records.pop(key, None)
            self._store.forget(key)
            return
        status = after.get("status") or {}
        record = self._records.get(key)
        if (record is None or record.rollout is None) and status.get("phase") not in UNDER_WAY:
            return
        if record is not None and before is not None and not has_moved(before.get("status"), status):
            return
        try:
            self._see(key, before, parse_canary(after))
        except CanaryError as error:
            canary_log(key[2], key[1], __name__).debug("the rollout is not recorded: %s", error)
        except Exception:  # noqa: BLE001 -- a record must not keep a Canary from being looked after
            canary_log(key[2], key[1], __name__).exception("the rollout could not be recorded")

    def _see(self, key: Key, before: Manifest | None, canary: Canary) -> None:
        record = self._records.setdefault(key, _Record())
        known = record.rollout
        seen = see(known, canary, _status(before), self._origin(canary))
        record.rollout = seen.rollout
        if seen.superseded is not None:
            record.unsaved.append(seen.superseded)
            record.saved = 0
            self._plan(record)
        rollout = seen.rollout
        if rollout is not None and rollout != known:
            if rollout.outcome is not None or len(rollout.samples) >= record.saved + SAVE_SAMPLES:
                self._plan(record)
            for follower in tuple(self._followers):
                follower(key)

    def _plan(self, record: _Record) -> None:
        if record.due is None:
            patience = SETTLE_SECONDS if self._leads else STANDBY_SECONDS
            record.due = asyncio.get_running_loop().time() + patience
            self._changed.set()

    def _origin(self, canary: Canary) -> Origin:
        target, primary = (
            self._cache.get((kind, canary.namespace, name)) for kind, name in (canary.target_key, canary.primary_key)
        )
        kind, name = canary.target_key
        by, changed_at = self._cache.author((kind, canary.namespace, name))
        return Origin(_images(target), _images(primary), by, datetime.fromisoformat(changed_at) if changed_at else None)

    def _known(self, key: Key) -> Iterator[Rollout]:
        if record := self._records.get(key):
            yield from record.unsaved
            if record.rollout is not None:
                yield record.rollout

    async def _wait(self) -> None:
        """Until the next write is due."""
        while True:
            now = asyncio.get_running_loop().time()
            due = min((each.due for each in self._records.values() if each.due is not None), default=None)
            if due is not None and due <= now:
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(None if due is None else due - now):
                    await self._changed.wait()
            except TimeoutError:
                return

    def _due_now(self) -> list[Key]:
        now = asyncio.get_running_loop().time()
        return [key for key, each in self._records.items() if each.due is not None and each.due <= now]

    async def _save(self, key: Key) -> None:
        record, manifest = self._records.get(key), self._cache.get(key)
        if record is None or manifest is None:
            return
        record.due = None
        unsaved, rollout = list(record.unsaved), record.rollout
        try:
            if self._leads:
                await self._store.write(key, manifest, [*unsaved, *([rollout] if rollout else [])])
        except ClusterError as error:
            record.attempts += 1
            again = record.attempts < ATTEMPTS
            told = "trying again" if again else "given up"
            canary_log(key[2], key[1], __name__).warning("the history could not be written, %s: %s", told, error)
            if again:
                record.due = asyncio.get_running_loop().time() + backoff_seconds(record.attempts)
                return
        record.attempts = 0
        record.unsaved = record.unsaved[len(unsaved) :]
        record.saved = len(rollout.samples) if rollout else 0
        if rollout is not None and rollout.outcome is not None and record.rollout is rollout and not record.unsaved:
            self._records.pop(key, None)


def _status(manifest: Manifest | None) -> CanaryStatus | None:
    """Of a version before, when its rollout began."""
    started = ((manifest or {}).get("status") or {}).get("startedAt")
    try:
        return CanaryStatus.model_validate({"startedAt": started})
    except ValidationError:
        return None


def _images(workload: Manifest | None) -> dict[str, str]:
    """By container."""
    if workload is None:
        return {}
    return {str(each["name"]): str(each["image"]) for each in as_workload(workload).template["spec"]["containers"]}
