"""Work in the background, in order for each Canary: what hangs delays its own Canary only, and no rollout."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

Work: TypeAlias = Callable[[], Awaitable[None]]


class Lanes:
    """A queue and a task for each Canary that has something to do.

    Args:
        name: what is done, for the log.
        length: how much of a Canary may wait.
    """

    def __init__(self, name: str, length: int) -> None:
        self._name = name
        self._length = length
        self._waiting: dict[str, deque[Work]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def add(self, uid: str, work: Work) -> bool:
        """Do ``work`` after what the Canary with this uid has waiting; False, and not, if that is too much."""
        waiting = self._waiting.setdefault(uid, deque())
        if len(waiting) >= self._length:
            return False
        waiting.append(work)
        if uid not in self._tasks:
            self._tasks[uid] = asyncio.create_task(self._drain(uid, waiting), name=f"{self._name} of {uid}")
        return True

    def forget(self, uid: str) -> None:
        """Forget what the Canary with this uid has waiting."""
        if task := self._tasks.get(uid):
            task.cancel()

    def close(self) -> None:
        """Forget everything."""
        for task in self._tasks.values():
            task.cancel()

    async def flush(self, seconds: float) -> None:
        """Wait until all is done, at most so many seconds; then forget the rest."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=seconds)
        self.close()

    async def _drain(self, uid: str, waiting: deque[Work]) -> None:
        try:
            while waiting:
                try:
                    await waiting.popleft()()
                except Exception:  # what cannot be done must not keep the rest from being done
                    logging.getLogger(__name__).exception("%s failed", self._name)
        finally:
            del self._waiting[uid], self._tasks[uid]
