"""Servers that nobody trusts: bounded answers, budgets, and messages that give nothing away."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib

import pytest
from aiohttp import web

from controller.shell import budget
from controller.shell.budget import Caller
from controller.shell.outside import ANSWER_BYTES, Answer, NoAnswer, Outside, open_outside, server_of
from tests.unit.shell.fakes import CALLER, Respond, outside, serving


async def get(respond: Respond, seconds: float = 5.0) -> Answer | NoAnswer:
    async with serving(respond) as url, outside() as it:
        return await it.ask(CALLER, "GET", url, seconds=seconds)


def sends(body: bytes, encoding: str = "") -> Respond:
    async def respond(request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": encoding} if encoding else None)

    return respond


BOMB = gzip.compress(bytes(300_000_000))


@pytest.mark.parametrize(
    ("respond", "answer"),
    [
        pytest.param(sends(b"yes"), Answer(200, "yes"), id="text"),
        pytest.param(sends(gzip.compress(b"yes"), "gzip"), Answer(200, "yes"), id="gzip that nobody asked for"),
        pytest.param(sends(zlib.compress(b"yes"), "deflate"), Answer(200, "yes"), id="deflate"),
        pytest.param(sends(b"\xff"), Answer(200, "\ufffd"), id="no UTF-8"),
        pytest.param(sends(bytes(ANSWER_BYTES)), Answer(200, "\0" * ANSWER_BYTES), id="as much as is read"),
        pytest.param(
            sends(bytes(ANSWER_BYTES + 1)), Answer(200, "\0" * ANSWER_BYTES, complete=False), id="more than is read"
        ),
        pytest.param(sends(b"yes", "gzip"), NoAnswer("failed: error"), id="gzip that is none"),
        pytest.param(
            sends(b"yes", "br"), NoAnswer("failed: its Content-Encoding br is not supported"), id="another encoding"
        ),
    ],
)
async def test_an_answer_is_a_value(respond, answer):
    assert await get(respond) == answer


async def test_an_answer_that_unpacks_to_300_mb_is_read_up_to_the_limit():
    tracemalloc.start()
    try:
        answer = await get(sends(BOMB, "gzip"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(answer, Answer)
    assert (len(answer.text), answer.complete) == (ANSWER_BYTES, False)
    assert peak < 20_000_000


async def test_a_body_that_drips_is_given_up():
    async def respond(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b".")
            await asyncio.sleep(0.02)
        return response

    assert await get(respond, seconds=0.2) == NoAnswer("gave no answer within 0.2s")


async def test_a_redirect_is_not_followed():
    asked: list[str] = []

    async def respond(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": "/login"})

    answer = await get(respond)
    assert isinstance(answer, Answer)
    assert (answer.status, asked) == (302, ["/"])


async def test_no_cookie_of_one_server_reaches_a_later_request():
    cookies: list[str] = []

    async def respond(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie", ""))
        return web.Response(headers={"Set-Cookie": "session=secret"})

    async with serving(respond) as url, outside() as it:
        for _ in range(2):
            await it.ask(CALLER, "GET", url, seconds=5)
    assert cookies == ["", ""]


@pytest.mark.parametrize(
    "url", ["http://user:password@127.0.0.1:1/services/T0/secret?token=secret", "http://[secret", "http://secret:x/"]
)
async def test_no_message_has_the_credentials_or_the_path_of_a_url(url):
    async with outside() as it:
        answer = await it.ask(CALLER, "GET", url, seconds=5)
    assert isinstance(answer, NoAnswer)
    assert "secret" not in answer.reason
    assert "password" not in answer.reason
    assert server_of(url) in ("http://127.0.0.1:1", "the URL")


async def test_what_a_server_repeats_of_the_request_is_not_quoted():
    async def respond(request: web.Request) -> web.Response:
        body = f"Cannot {request.method} {request.path_qs} part {request.path[-8:]} {request.headers['Authorization']}"
        return web.Response(status=404, text=body)

    async with serving(respond) as url, outside() as it:
        headers = [("Authorization", "Bearer abcdefgh")]
        answer = await it.ask(CALLER, "GET", f"{url}/services/T0/12345678?key=x", seconds=5, headers=headers)
    assert isinstance(answer, Answer)
    assert answer.quoted() == "Cannot GET ***?*** part *** Bearer ***"


@pytest.mark.parametrize("header", ["a\nb", "a\0b"])
async def test_a_header_that_cannot_be_sent_is_a_failure(header):
    async with serving(sends(b"")) as url, outside() as it:
        answer = await it.ask(CALLER, "GET", url, seconds=5, headers=[("Authorization", header)])
    assert answer == NoAnswer("failed: ValueError")


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("http://hooks.prod.svc/", True),
        ("http://hooks.prod.svc.cluster.local:8080/", True),
        ("http://hooks.other.svc/", False),
        ("http://prometheus.monitoring:9090/", True),
        ("http://169.254.169.254/latest/meta-data", False),
        ("http://HOOKS.PROD.SVC/", True),
        ("http://evil.test/.prod.svc", False),
        ("http://hooks.prod.svc@evil.test/", False),
    ],
)
async def test_only_allowed_hosts_are_called(url, called):
    async with open_outside() as session:
        patterns = ("*.{namespace}.svc", "*.{namespace}.svc.cluster.local")
        it = Outside(session, patterns, trusted=("http://prometheus.monitoring:9090", ""))
        answer = await it.ask(CALLER, "GET", url, seconds=0.2)
    assert isinstance(answer, NoAnswer)
    refused = "is not called: --allowed-addresses of the controller has no pattern for this host"
    assert (answer.reason != refused) is called


async def test_a_hundred_requests_that_hang_keep_nobody_else_waiting():
    async def respond(request: web.Request) -> web.Response:
        if request.path == "/hang":
            await asyncio.sleep(60)
        return web.Response(text="yes")

    async with serving(respond) as url, outside() as it:
        hanging = [
            asyncio.create_task(it.ask(Caller("prod", f"app-{number}"), "GET", f"{url}/hang", seconds=3600))
            for number in range(105)
        ]
        await asyncio.sleep(0)
        assert await it.ask(CALLER, "GET", url, seconds=5) == Answer(200, "yes")
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


@pytest.mark.parametrize(
    ("sizes", "caller", "served"),
    [
        pytest.param((2, 99, 99), Caller("prod", "one"), False, id="a Canary that has used up its own"),
        pytest.param((2, 99, 99), Caller("prod", "other"), True, id="another Canary"),
        pytest.param((9, 3, 99), Caller("prod", "other"), False, id="a host that is used up"),
        pytest.param((9, 3, 99), Caller("prod", "other", urgent=True), True, id="a host, and a rollback"),
        pytest.param((9, 99, 3), Caller("prod", "other"), False, id="the total that is used up"),
        pytest.param((9, 99, 3), Caller("prod", "other", urgent=True), True, id="the total, and a rollback"),
    ],
)
async def test_budgets_leave_room_for_what_moves_traffic_away(monkeypatch, sizes, caller, served):
    for name, size in zip(("CANARY_REQUESTS", "HOST_REQUESTS", "TOTAL_REQUESTS"), sizes, strict=True):
        monkeypatch.setattr(budget, name, size)
    monkeypatch.setattr(budget, "SLOT_SECONDS", 0.1)
    over = asyncio.Event()

    async def respond(request: web.Request) -> web.Response:
        if request.path == "/hang":
            await over.wait()
        return web.Response(text="yes")

    async with serving(respond) as url, outside() as it:
        hanging = [
            asyncio.create_task(it.ask(Caller("prod", "one"), "GET", f"{url}/hang", seconds=3600)) for _ in range(2)
        ]
        await asyncio.sleep(0)
        answer = await it.ask(caller, "GET", url, seconds=5)
        over.set()
        await asyncio.gather(*hanging)
    assert answer == (Answer(200, "yes") if served else NoAnswer("is not called: too many requests were open for 0.1s"))
