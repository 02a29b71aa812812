"""Which objects have changed since a page was drawn last: for each open page a set, which does not grow with time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from controller.shell.kubernetes.kinds import Key

Wanted = Callable[[Key], bool]
"""Whether a page shows an object."""


class Subscription:
    """The changes that one open page has yet to show. A page that reads slowly misses steps in between, no more."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self._changed: dict[Key, None] = {}
        self._news = asyncio.Event()

    def add(self, key: Key) -> None:
        self._changed[key] = None
        self._news.set()

    async def changes(self, seconds: float) -> list[Key]:
        """What has changed since the last call, each once; empty if nothing did for so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return []
        self._news.clear()
        changed, self._changed = list(self._changed), {}
        return changed


class Feed:
    """Hands the changes of the cache to the open pages."""

    def __init__(self) -> None:
        self._open: set[Subscription] = set()

    def __len__(self) -> int:
        """How many pages are open."""
        return len(self._open)

    def changed(self, key: Key) -> None:
        """Note a change for each page that shows the object."""
        for each in self._open:
            if each.wanted(key):
                each.add(key)

    @contextmanager
    def subscribe(self, wanted: Wanted) -> Iterator[Subscription]:
        """The changes of the objects that are wanted, until the block ends."""
        subscription = Subscription(wanted)
        self._open.add(subscription)
        try:
            yield subscription
        finally:
            self._open.discard(subscription)
