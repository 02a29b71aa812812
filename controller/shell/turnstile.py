"""One piece of work at a time between two looks at the network."""

from __future__ import annotations

import asyncio


class Turnstile:
    """Lets those who wait pass one by one, in order, and answers of the network be read between any two.

    With hundreds of Canaries due at once the event loop would do the work of all of them before it reads what has
    arrived, and an answer that was there in time would count as none: a failed check, because the controller is busy.
    So too much work makes steps late, and nothing else.
    """

    def __init__(self) -> None:
        self._order = asyncio.Lock()

    async def wait(self) -> None:
        """Return when it is the caller's turn to work without waiting for anything."""
        async with self._order:
            await asyncio.sleep(0)
