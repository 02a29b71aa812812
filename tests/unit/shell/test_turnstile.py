"""Work of many waits its turn, and what the network brings is read between any two pieces of it."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from controller.shell.turnstile import Turnstile


async def test_answers_are_read_between_any_two_pieces_of_work_and_nobody_overtakes():
    turnstile, seen = Turnstile(), list[object]()

    async def work(number: int) -> None:
        await turnstile.wait()
        seen.append(number)

    async def network() -> None:
        """Takes what has arrived each time when the loop comes by."""
        while True:
            seen.append("read")
            await asyncio.sleep(0)

    reading = asyncio.create_task(network())
    await asyncio.gather(*(work(number) for number in range(50)))
    reading.cancel()
    worked = [at for at, what in enumerate(seen) if what != "read"]
    assert [seen[at] for at in worked] == list(range(50))
    assert all(later - earlier > 1 for earlier, later in pairwise(worked))


async def test_whoever_gives_up_holds_nobody_up():
    turnstile = Turnstile()
    tasks = [asyncio.create_task(turnstile.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    for task in tasks[:2]:
        task.cancel()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert [task.cancelled() for task in tasks] == [True, True, False]
