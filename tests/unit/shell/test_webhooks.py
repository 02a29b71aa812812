"""Webhooks on a real HTTP server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from controller.api.status import Phase
from controller.api.webhook import Webhook
from controller.core.probes import HookProbe, Passed, Refused
from controller.shell import webhooks
from controller.shell.outside import server_of
from controller.shell.webhooks import ask_webhook
from tests.builders import make_canary
from tests.unit.shell.fakes import outside, serving


class Receiver:
    """Answers with the next of ``answers`` (status, body), the last one from then on."""

    def __init__(self, *answers: tuple[int, str], delay: float = 0) -> None:
        self.answers = list(answers)
        self.delay = delay
        self.bodies: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        await asyncio.sleep(self.delay)
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, text=body)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        application = web.Application()
        application.router.add_post("/gate", self.answer)
        async with serving(application) as address:
            yield f"{address}/gate"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(webhooks, "backoff_seconds", lambda attempt, limit: 0.0)


async def ask(url: str, **fields: Any) -> Passed | Refused:
    webhook = Webhook.model_validate({"name": "gate", "url": url, **fields})
    async with outside() as it:
        return await ask_webhook(it, make_canary(), HookProbe(webhook, Phase.PROGRESSING, "0123456789abcdef"))


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_a_success_agrees(status):
    receiver = Receiver((status, ""))
    async with receiver.serve() as url:
        assert await ask(url, metadata={"cmd": "echo"}) == Passed()
    assert receiver.bodies == [
        {
            "name": "backend",
            "namespace": "prod",
            "phase": "Progressing",
            "checksum": "0123456789abcdef",
            "metadata": {"cmd": "echo"},
        }
    ]


async def test_without_metadata_none_is_sent():
    receiver = Receiver((200, ""))
    async with receiver.serve() as url:
        await ask(url)
    assert "metadata" not in receiver.bodies[0]


@pytest.mark.parametrize(
    ("answers", "retries", "calls", "problem"),
    [
        pytest.param([(403, "Forbidden")], 3, 1, "answered 403: Forbidden", id="a refusal is quoted, and not retried"),
        pytest.param([(203, "")], 0, 1, "answered 203", id="203 is a refusal"),
        pytest.param([(500, "x" * 300)], 0, 1, "answered 500: " + "x" * 200, id="of a long body the beginning"),
        pytest.param([(503, "no")], 2, 3, "answered 503: no, 3 times", id="a server error is retried"),
        pytest.param([(302, "")], 0, 1, "answered 302: redirects are not followed", id="a redirect is a refusal"),
        pytest.param([(403, "a\x1b[31m\r\nb")], 0, 1, "answered 403: a [31m b", id="control characters are left out"),
        pytest.param([(501, "no")], 2, 1, "answered 501: no", id="what is not implemented is not"),
    ],
)
async def test_a_refusal_says_where_and_what(answers, retries, calls, problem):
    receiver = Receiver(*answers)
    async with receiver.serve() as url:
        assert await ask(url, retries=retries) == Refused(f"POST {server_of(url)} {problem}")
    assert len(receiver.bodies) == calls


async def test_a_retry_that_succeeds_agrees():
    async with Receiver((500, ""), (200, "")).serve() as url:
        assert await ask(url, retries=1) == Passed()


async def test_a_time_out_says_after_how_long():
    async with Receiver((200, ""), delay=2).serve() as url:
        assert await ask(url, timeout="50ms") == Refused(f"POST {server_of(url)} gave no answer within 0.05s")


async def test_a_receiver_that_is_not_there_is_a_refusal():
    async with Receiver((200, "")).serve() as url:
        pass
    answer = await ask(url)
    assert isinstance(answer, Refused)
    assert answer.reason.startswith(f"POST {server_of(url)} failed: Cannot connect to host 127.0.0.1")


async def test_a_gate_without_a_url_is_closed_until_a_person_opens_it():
    async with outside() as session:
        gate = HookProbe(Webhook(name="lead", type="confirm-promotion"), Phase.PROGRESSING, "")
        assert await ask_webhook(session, make_canary(), gate) == Refused("a person has not approved yet")
