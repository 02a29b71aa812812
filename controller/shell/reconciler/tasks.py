"""One task per Canary, and who has to be woken by which object."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from controller.core.model import Manifest
from controller.core.objects.ownership import claims
from controller.shell.kubernetes.kinds import CANARY, Key

OVERDUE_SECONDS = 120.0
"""A loop that has not woken this long after its time is stuck."""

Run: TypeAlias = Callable[[Key, asyncio.Event, Callable[[float | None], None]], Coroutine[Any, Any, None]]
"""The loop of one Canary: its key, what wakes it, and what it calls with the seconds it rests, or None when it works
(`Reconciler.run`)."""


class CanaryTasks:
    """Starts a task when a Canary appears, wakes it when something changes, and stops it when the Canary is deleted.

    An object that a task writes wakes the others that depend on it: the task itself knows what it wrote, and a decision
    that something follows from at once has a time for the next tick.

    Nothing starts before `open`: a Canary must not be judged by a cache that is filled in part.
    """

    def __init__(self) -> None:
        self._run: Run | None = None
        self._removed: Callable[[Key, Manifest], None] | None = None
        self._ended: Callable[[asyncio.Task[None]], None] | None = None
        self._waiting: set[Key] = set()
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._wakers: dict[Key, asyncio.Event] = {}
        self._due: dict[Key, float] = {}
        self._working: set[Key] = set()
        self._stopping = False
        self._needs: dict[Key, frozenset[Key]] = {}
        self._dependents: defaultdict[Key, set[Key]] = defaultdict(set)

    def open(
        self,
        run: Run,
        *,
        removed: Callable[[Key, Manifest], None],
        ended: Callable[[asyncio.Task[None]], None],
    ) -> None:
        """Start the tasks of all known Canaries.

        Args:
            run: the loop of one Canary.
            removed: called for each Canary that was deleted, with its last manifest.
            ended: called for each task that is over, a cancelled one too.
        """
        self._run, self._removed, self._ended = run, removed, ended
        for key in sorted(self._waiting):
            self._start(key)
        self._waiting.clear()

    def changed(self, key: Key, before: Manifest | None, after: Manifest | None) -> None:
        """The cache's listener."""
        if key[0] == CANARY.name:
            self._canary_changed(key, before, after)
        self.wake_followers(key)

    def wake_followers(self, key: Key) -> None:
        """Wake those that depend on an object, but for the one that calls this."""
        writer = asyncio.current_task()
        for dependent in self._dependents.get(key, ()):
            if self._tasks.get(dependent) is not writer:
                self._wake(dependent)

    def depend(self, canary: Key, keys: frozenset[Key]) -> list[Key]:
        """``canary`` has to be woken for changes of ``keys``, nothing else but itself.

        Returns what no Canary depends on any more.
        """
        before = self._needs.pop(canary, frozenset())
        for key in before - keys:
            self._dependents[key].discard(canary)
        for key in keys - before:
            self._dependents[key].add(canary)
        if keys:
            self._needs[canary] = keys
        free = [key for key in before - keys if not self._dependents[key]]
        for key in free:
            del self._dependents[key]
        return free

    def counts(self) -> list[tuple[str, int]]:
        """How many Canaries there are in each namespace."""
        totals: defaultdict[str, int] = defaultdict(int)
        for _, namespace, _ in self._tasks:
            totals[namespace] += 1
        return sorted(totals.items())

    def overdue(self, now: float) -> list[str]:
        """NAME.NAMESPACE of the Canaries whose loop should have run long before ``now`` (the event loop's time)."""
        late = [key for key, due in self._due.items() if now > due + OVERDUE_SECONDS]
        return [f"{name}.{namespace}" for _, namespace, name in sorted(late)]

    async def stop(self, patience: float = 0.0) -> None:
        """Cancel all tasks and wait for them; those that work go on until they rest, ``patience`` seconds at most."""
        self._stopping, tasks = True, list(self._tasks.values())
        for key, task in self._tasks.items():
            if key not in self._working:
                task.cancel()
        if tasks and patience:
            await asyncio.wait(tasks, timeout=patience)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _canary_changed(self, key: Key, before: Manifest | None, after: Manifest | None) -> None:
        if before is None and after is not None:
            self._start(key)
        elif after is None and before is not None:
            self._stop(key, before)
        self._wake(key)
        if before is None or after is None or before.get("spec") != after.get("spec"):
            for manifest in (before, after):
                self._wake_rivals(key[1], manifest or {})

    def _wake_rivals(self, namespace: str, canary: Manifest) -> None:
        """Those that depend on something which ``canary`` may have claimed, or claims now, may have to stand back."""
        for kind, name in claims(canary):
            for rival in self._dependents.get((kind, namespace, name), ()):
                self._wake(rival)

    def _start(self, key: Key) -> None:
        if self._run is None or self._ended is None:
            self._waiting.add(key)
            return
        self._wakers[key] = asyncio.Event()

        def resting(delay: float | None) -> None:
            self._due[key] = float("inf") if delay is None else asyncio.get_running_loop().time() + delay
            if delay is None:
                self._working.add(key)
                return
            self._working.discard(key)
            if self._stopping:
                self._tasks[key].cancel()

        self._due[key] = float("inf")
        task = asyncio.create_task(self._run(key, self._wakers[key], resting), name=f"Canary {key[2]}.{key[1]}")
        task.add_done_callback(self._ended)
        self._tasks[key] = task

    def _stop(self, key: Key, last_seen: Manifest) -> None:
        self._waiting.discard(key)
        if key in self._tasks:
            self._tasks.pop(key).cancel()
            del self._wakers[key], self._due[key]
            self._working.discard(key)
        if self._removed is not None:
            self._removed(key, last_seen)

    def _wake(self, key: Key) -> None:
        if key in self._wakers:
            self._wakers[key].set()
