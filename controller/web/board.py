"""The cache as pages. What has not changed is not drawn again: a cluster may have hundreds of Canaries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias

from controller.core.model import Manifest
from controller.core.objects.ownership import claims
from controller.shell.history import HistoryKeeper
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.errors import ClusterError
from controller.shell.kubernetes.kinds import CANARY, WORKLOADS, Key
from controller.views.cards import Filter, render_card, sort_key
from controller.views.subject import Subject
from controller.views.summary import Summary, summarize
from controller.web.journal import Journal

_AT_ONCE = 5
"""Cards that are drawn before others get their turn: one takes up to 5 ms."""
_Versions: TypeAlias = tuple[int, ...]
_WORKLOADS = frozenset(kind.name for kind in WORKLOADS)


class Board:
    """Draws from the cache, and asks the cluster for nothing but the record of rollouts that were written since.

    Args:
        cache: what the watches have shown.
        history: the rollouts of each Canary.
        clock: the time.
    """

    def __init__(self, cache: Cache, history: HistoryKeeper, clock: Callable[[], datetime]) -> None:
        self._cache = cache
        self._history = history
        self._clock = clock
        self._journal = Journal(clock)
        self._cards: dict[Key, tuple[_Versions, Summary, str]] = {}

    def namespaces(self) -> list[str]:
        """Those with a Canary."""
        return sorted({namespace for _, namespace, _ in self._cache.keys(CANARY.name)})

    async def cards(self, wanted: Filter) -> AsyncIterator[str]:
        """The cards that a list shows, in its order."""
        found: list[tuple[str, str]] = []
        for number, key in enumerate(self._cache.keys(CANARY.name), start=1):
            if wanted.has_place(*key[1:]) and (card := self.card(key, wanted)):
                found.append(card)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        for _, html in sorted(found):
            yield html

    def card(self, key: Key, wanted: Filter) -> tuple[str, str] | None:
        """Order and HTML of a Canary's card; None where there is none, or where ``wanted`` leaves it out."""
        subject = self.subject(key[1], key[2])
        if subject is None:
            return None
        versions = tuple(_version(each) for each in (subject.manifest, *subject.workloads))
        known = self._cards.get(key)
        if known is None or known[0] != versions:
            summary = summarize(subject.manifest, *subject.workloads)
            known = self._cards[key] = (versions, summary, render_card(summary, self._history.current(key)))
        return (sort_key(known[1]), known[2]) if wanted.has(known[1]) else None

    def changed(self, key: Key, before: Manifest | None, after: Manifest | None) -> None:
        """A witness of the cache: a Canary that is gone leaves nothing here."""
        self._journal.changed(key, before, after)
        if after is None:
            self._cards.pop(key, None)

    def subject(self, namespace: str, name: str) -> Subject | None:
        """What the page of a Canary is drawn from; None where there is no such Canary."""
        key = (CANARY.name, namespace, name)
        manifest = self._cache.get(key)
        if manifest is None:
            return None
        target, primary = _workloads(manifest)
        return Subject(manifest, self._find(target), self._find(primary), self._clock(), self._journal.of(key))

    async def with_rollouts(self, subject: Subject) -> Subject:
        """The same with its rollouts; where the past cannot be read, with the one under way."""
        key = (CANARY.name, subject.namespace, subject.name)
        try:
            return replace(subject, rollouts=await self._history.read(key))
        except ClusterError:
            current = self._history.current(key)
            return replace(subject, rollouts=(current,) if current else ())

    def parts(self, namespace: str, name: str) -> frozenset[Key]:
        """The objects that the page of a Canary shows."""
        key = (CANARY.name, namespace, name)
        manifest = self._cache.get(key)
        places = _workloads(manifest) if manifest is not None else ()
        return frozenset((key, *(each for each in places if each)))

    def _find(self, key: Key | None) -> Manifest | None:
        return self._cache.get(key) if key else None


def _workloads(manifest: Manifest) -> tuple[Key | None, Key | None]:
    """Where target and primary are, as far as the Canary, which may be invalid, says so."""
    namespace = str(manifest["metadata"].get("namespace", ""))
    target, primary, *_ = [(kind, namespace, name) for kind, name in claims(manifest)] or (None, None)
    return (target, primary) if target and target[0] in _WORKLOADS else (None, None)


def _version(manifest: Manifest) -> int:
    return int(manifest["metadata"].get("resourceVersion") or 0)
