"""What has changed, sent to an open page as it does (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Each event is one element of the page as HTML, with its id: the page's script puts it in the place of the old one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

from aiohttp import web

from controller.shell.kubernetes.kinds import CANARY, Key
from controller.views.cards import Filter, card_id
from controller.views.rollout_page import render_sections
from controller.web.board import Board
from controller.web.feed import Subscription
from controller.web.pods import Look

MOST_PAGES = 200
"""Open at a time."""
BEAT_SECONDS = 20.0
"""How often a page without news gets a sign of life, by which a connection that is gone shows."""
WRITE_SECONDS = 10.0
"""A page that has not taken its news for so long is dropped; it connects again by itself."""
GATHER_SECONDS = 0.2
"""Changes that come together are drawn once."""

Draw: TypeAlias = Callable[[list[Key]], AsyncIterator[tuple[str, str | None]]]
"""Elements by their id, with the HTML that they are now; None: it is gone."""


def draw_cards(board: Board, wanted: Filter) -> Draw:
    """The cards of the Canaries that have changed."""

    async def draw(changed: list[Key]) -> AsyncIterator[tuple[str, str | None]]:
        for key in changed:
            card = board.card(key, wanted)
            yield card_id(*key[1:]), card[1] if card else None

    return draw


def draw_sections(board: Board, look: Look, namespace: str, name: str) -> Draw:
    """The parts of one Canary's page that look other than before; ``look`` is that of the page."""
    shown: dict[str, str] = {}

    async def draw(_: list[Key]) -> AsyncIterator[tuple[str, str | None]]:
        subject = look.at(board.subject(namespace, name))
        sections = render_sections(await board.with_rollouts(subject)) if subject else {}
        for each in {**shown, **sections}:
            if shown.get(each) != sections.get(each):
                yield each, sections.get(each)
        shown.clear()
        shown.update(sections)

    return draw


def is_canary(key: Key) -> bool:
    return key[0] == CANARY.name


async def send_news(request: web.Request, subscription: Subscription, draw: Draw) -> web.StreamResponse:
    """Send what changes until the page is closed, or does not read."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    await response.prepare(request)
    await _send(response, "retry: 3000\n\n" + await _events(draw, []))
    while True:
        changed = await subscription.changes(BEAT_SECONDS)
        if not await _send(response, await _events(draw, changed) if changed else ": \n\n"):
            return response
        await asyncio.sleep(GATHER_SECONDS)


async def _events(draw: Draw, changed: list[Key]) -> str:
    return "".join([f"data: {json.dumps({'id': at, 'html': html})}\n\n" async for at, html in draw(changed)])


async def _send(response: web.StreamResponse, text: str) -> bool:
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            await response.write(text.encode())
    except (TimeoutError, ConnectionError):
        return False
    return True
