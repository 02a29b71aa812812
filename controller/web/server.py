"""The page's own port: lists and pages of Canaries, their news, and what a person asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from controller.core.model import Manifest
from controller.shell.history import HistoryKeeper
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.kinds import Key
from controller.shell.server import listen
from controller.views.cards import Filter, render_list
from controller.views.html import PAGE_STYLE, STYLE
from controller.views.rollout_page import render_past, render_rollout
from controller.views.subject import Subject
from controller.web.board import Board
from controller.web.feed import Feed
from controller.web.guard import add_headers, refuse_other_names
from controller.web.live import MOST_PAGES, Draw, draw_cards, draw_sections, is_canary, send_news
from controller.web.pods import PodWatches
from controller.web.writing import Writing

_SCRIPT = Path(__file__).with_name("page.js")
_MOST_BODY = 4096
"""Bytes of what a person asks for."""
_LONGEST = 300
"""Characters of a filter that are looked at."""


class Page:
    """Everything that the page's port answers, from one cache.

    Args:
        kube: writes what people ask for (`Writing`), and watches the pods that they look at.
        clock: the time, if not that of the machine.
    """

    def __init__(
        self, cache: Cache, history: HistoryKeeper, kube: Kube, clock: Callable[[], datetime] | None = None
    ) -> None:
        self.feed = Feed()
        self.pods = PodWatches(kube, self.feed.changed)
        self._board = Board(cache, history, clock or (lambda: datetime.now(UTC)))
        self._writing = Writing(kube)

    def changed(self, key: Key, before: Manifest | None, after: Manifest | None) -> None:
        """A witness of the cache."""
        self._board.changed(key, before, after)
        self.feed.changed(key)

    def application(self, url: str = "") -> web.Application:
        """The routes; every answer has the headers that protect it, those without a route too. `url`: of the page."""
        application = web.Application(client_max_size=_MOST_BODY, middlewares=[refuse_other_names(url)])
        application.on_response_prepare.append(add_headers)
        canary = "/canaries/{namespace}/{name}"
        application.add_routes(
            [
                web.get("/", self._list),
                web.get("/live", self._list_live),
                web.get(canary, self._rollout),
                web.get(f"{canary}/live", self._rollout_live),
                web.get(f"{canary}/rollouts/{{number:[0-9]+}}", self._past),
                web.post(f"{canary}/actions", self._act),
                web.get("/style.css", _style),
                web.get("/page.js", _script),
            ]
        )
        return application

    async def _list(self, request: web.Request) -> web.Response:
        wanted = _filter(request)
        cards = [card async for card in self._board.cards(wanted)]
        return _html(render_list(cards, self._board.namespaces(), wanted))

    async def _list_live(self, request: web.Request) -> web.StreamResponse:
        return await self._live(request, is_canary, draw_cards(self._board, _filter(request)))

    async def _rollout(self, request: web.Request) -> web.Response:
        namespace, name = _place(request)
        return _html(render_rollout(await self._board.with_rollouts(self._subject(namespace, name))))

    async def _past(self, request: web.Request) -> web.Response:
        subject = await self._board.with_rollouts(self._subject(*_place(request)))
        number = request.match_info["number"]
        found = next((each for each in subject.rollouts if str(each.number) == number), None)
        if found is None:
            raise web.HTTPNotFound(text=f"No rollout {number} of {subject.namespace}/{subject.name} is kept.\n")
        return _html(render_past(subject, found))

    async def _rollout_live(self, request: web.Request) -> web.StreamResponse:
        namespace, name = _place(request)

        def shown(key: Key) -> bool:
            return key[1] == namespace and key in self._board.parts(namespace, name)

        with self.pods.look() as look:
            return await self._live(request, shown, draw_sections(self._board, look, namespace, name))

    async def _live(self, request: web.Request, wanted: Callable[[Key], bool], draw: Draw) -> web.StreamResponse:
        if len(self.feed) >= MOST_PAGES:
            raise web.HTTPServiceUnavailable(text=f"{MOST_PAGES} pages are open already.\n")
        with self.feed.subscribe(wanted) as subscription:
            return await send_news(request, subscription, draw)

    def _subject(self, namespace: str, name: str) -> Subject:
        subject = self._board.subject(namespace, name)
        if subject is None:
            raise web.HTTPNotFound(text=f"There is no Canary {namespace}/{name}, or this controller does not see it.\n")
        return subject

    async def _act(self, request: web.Request) -> web.Response:
        namespace, name = _place(request)
        return await self._writing.answer(request, self._subject(namespace, name))


@asynccontextmanager
async def open_page(cache: Cache, history: HistoryKeeper, kube: Kube, port: int, url: str = "") -> AsyncIterator[int]:
    """Serve what ``cache`` and ``history`` have on all addresses, until the block ends; yields the port.

    For port 0 the system chooses one. ``url`` is where people open the page, if there is such an address.

    Raises:
        StartError: the port is taken.
    """
    page = Page(cache, history, kube)
    # A handler whose browser has gone is cancelled: an open page leaves nothing behind.
    runner = web.AppRunner(page.application(url), access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    forget = cache.witness(page.changed)
    try:
        listener = listen(port, "the page")
        await web.SockSite(runner, listener).start()
        yield int(listener.getsockname()[1])
    finally:
        forget()
        await runner.cleanup()


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html")


async def _style(_: web.Request) -> web.Response:
    return web.Response(text=STYLE + PAGE_STYLE, content_type="text/css")


async def _script(_: web.Request) -> web.FileResponse:
    return web.FileResponse(_SCRIPT)


def _place(request: web.Request) -> tuple[str, str]:
    return request.match_info["namespace"], request.match_info["name"]


def _filter(request: web.Request) -> Filter:
    return Filter(**{each: request.query.get(each, "")[:_LONGEST] for each in ("namespace", "state", "name")})
