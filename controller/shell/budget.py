"""How many requests may be open to servers outside: one Canary cannot use up the connections that others need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

CANARY_REQUESTS, HOST_REQUESTS, TOTAL_REQUESTS = 8, 200, 400
"""How many requests may be open at once for one Canary, to one host, and in total. With TLS each takes 300 KiB."""
RESERVED = 0.1
"""The part of the last two that is kept for urgent requests."""
SLOT_SECONDS = 30
"""How long a request waits for others to end before it fails."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The Canary that a request is sent for; ``urgent`` if the answer may move traffic away from a bad version."""

    namespace: str
    name: str
    urgent: bool = False


class NoSlotError(Exception):
    """Too many requests are open; the message says so."""


class Budget:
    """Who may send now: slots of each Canary, of each host, and in total."""

    def __init__(self) -> None:
        self._semaphores: WeakValueDictionary[tuple[str, ...], asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, caller: Caller, host: str) -> AsyncIterator[None]:
        """Hold a slot of the Canary, of the host, and of the total. Raises NoSlotError after `SLOT_SECONDS`."""
        wanted: list[tuple[tuple[str, ...], int]] = [(("canary", caller.namespace, caller.name), CANARY_REQUESTS)]
        if not caller.urgent:
            ordinary = 1 - RESERVED
            wanted += [(("ordinary", host), int(HOST_REQUESTS * ordinary))]
            wanted += [(("ordinary",), int(TOTAL_REQUESTS * ordinary))]
        wanted += [(("host", host), HOST_REQUESTS), (("total",), TOTAL_REQUESTS)]
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(SLOT_SECONDS):
                    for key, size in wanted:
                        semaphore = self._semaphores.get(key) or asyncio.Semaphore(size)
                        self._semaphores[key] = semaphore
                        await stack.enter_async_context(semaphore)
            except TimeoutError:
                raise NoSlotError(f"too many requests were open for {SLOT_SECONDS}s") from None
            yield
