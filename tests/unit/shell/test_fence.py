"""No write leaves a process that does not lead: every method of the client, whatever it waited for, and webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from controller.shell.fence import MayWrite
from controller.shell.kubernetes.access import Access
from controller.shell.kubernetes.client import Kube, KubeClient
from controller.shell.kubernetes.errors import Transient
from controller.shell.kubernetes.kinds import CANARY, DEPLOYMENT
from controller.shell.outside import Answer, NoAnswer, Outside, open_outside
from tests.unit.shell.fakes import CALLER, serving

OBJECT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "backend", "namespace": "prod", "resourceVersion": "7"},
}
Write = Callable[[KubeClient], Awaitable[Any]]
WRITES: Mapping[str, Write] = {
    "create": lambda it: it.create(OBJECT),
    "replace": lambda it: it.replace(OBJECT),
    "replace_status": lambda it: it.replace_status(OBJECT),
    "delete": lambda it: it.delete(DEPLOYMENT, "prod", "backend", "7"),
    "patch": lambda it: it.patch(CANARY, "prod", "backend", {"metadata": {}}),
}


def test_the_table_has_every_method_that_writes():
    methods = {name for name in vars(Kube) if not name.startswith("_")}
    assert methods - {"get", "list", "watch"} == set(WRITES)


class Server:
    """Answers with ``statuses`` in order, then with 200; notes what arrives. ``pause`` holds up its answers."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.arrived: list[str] = []
        self.busy = asyncio.Event()
        self.pause = asyncio.Event()
        self.pause.set()

    async def respond(self, request: web.Request) -> web.StreamResponse:
        self.arrived.append(request.method)
        self.busy.set()
        await self.pause.wait()
        body = {**OBJECT, "items": []}
        return web.json_response(body, status=self.statuses.pop(0) if self.statuses else 200)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async with serving(self.respond) as address:
            yield address


class Leader:
    """May write as long as it ``leads``."""

    def __init__(self) -> None:
        self.leads = True

    def may_write(self) -> bool:
        return self.leads

    async def lose(self, fresh: bool) -> str:
        """Log in, and lose the Lease meanwhile."""
        self.leads = False
        return "Bearer token"

    async def lose_when_refused(self, fresh: bool) -> str:
        self.leads = self.leads and not fresh
        return "Bearer token"

    async def keep(self, fresh: bool) -> str:
        return "Bearer token"


@asynccontextmanager
async def client(
    server: Server, may_write: MayWrite, log_in: Callable[[bool], Awaitable[str]]
) -> AsyncIterator[KubeClient]:
    async with server.serving() as url:
        access = Access(url, None, log_in)
        async with access.open_session(connections=1, may_write=may_write) as session:
            yield KubeClient(session, url, lambda verb, kind: None)


@pytest.mark.parametrize("name", WRITES)
async def test_one_that_stands_by_reads_and_writes_nothing(name):
    server, standby = Server(), Leader()
    standby.leads = False
    async with client(server, standby.may_write, standby.keep) as kube:
        await kube.get(DEPLOYMENT, "prod", "backend")
        await kube.list(DEPLOYMENT)
        with pytest.raises(Transient, match="not sent: this controller does not hold the Lease"):
            await WRITES[name](kube)
    assert server.arrived == ["GET", "GET"]


@pytest.mark.parametrize("name", WRITES)
async def test_a_lease_that_is_lost_while_a_write_gets_its_credentials_stops_it(name):
    server, leader = Server(), Leader()
    async with client(server, leader.may_write, leader.lose) as kube:
        with pytest.raises(Transient, match="not sent"):
            await WRITES[name](kube)
    assert server.arrived == []


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_that_was_refused_is_not_sent_again_without_the_lease(name):
    server, leader = Server(401), Leader()
    async with client(server, leader.may_write, leader.lose_when_refused) as kube:
        with pytest.raises(Transient, match="not sent"):
            await WRITES[name](kube)
    assert len(server.arrived) == 1


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_that_waits_for_a_connection_is_not_sent_when_it_gets_one(name):
    server, leader = Server(), Leader()
    async with client(server, leader.may_write, leader.keep) as kube:
        server.pause.clear()
        before = asyncio.create_task(kube.get(DEPLOYMENT, "prod", "backend"))
        await server.busy.wait()
        write = asyncio.ensure_future(WRITES[name](kube))
        await asyncio.sleep(0)
        leader.leads = False
        server.pause.set()
        await before
        with pytest.raises(Transient, match="not sent"):
            await write
    assert server.arrived == ["GET"]


@pytest.mark.parametrize("name", WRITES)
async def test_a_lease_that_is_lost_between_the_headers_and_the_body_stops_both(name):
    server, answers = Server(), iter([True, False])
    async with client(server, lambda: next(answers), Leader().keep) as kube:
        with pytest.raises(Transient, match="not sent"):
            await asyncio.wait_for(WRITES[name](kube), 5)
    assert server.arrived == []
    assert list(answers) == []


async def test_no_webhook_is_called_without_the_lease():
    server, leader = Server(), Leader()
    async with server.serving() as url, open_outside(leader.may_write) as session:
        outside = Outside(session)
        assert isinstance(await outside.ask(CALLER, "POST", f"{url}/hook", seconds=5, body={}), Answer)
        leader.leads = False
        refused = await outside.ask(CALLER, "POST", f"{url}/hook", seconds=5, body={})
        assert refused == NoAnswer("failed: not sent: this controller does not hold the Lease")
    assert server.arrived == ["POST"]
