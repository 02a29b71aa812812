"""Alerts sent to a real HTTP server on loopback; AlertProviders and Secrets are in a Kubernetes API in memory."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from controller.api.alert_provider import AlertProviderSpec
from controller.core.decision import Alert, Event, Receiver
from controller.core.messages import Letter, render
from controller.shell import webhooks
from controller.shell.outside import Outside, open_outside, server_of
from controller.shell.reporting import alerts as sending
from controller.shell.reporting.alerts import RETRIES, WAITING, AlertSender
from tests.builders import canary_manifest
from tests.unit.shell.fakes import FakeKube, serving

CANARY = canary_manifest()
ALERT = Alert("error", "Canary failed\x1b[31m", (("error-rate", "100.00 > 1"),), (Receiver("on-call", "chat/on-call"),))
PATH = "/services/T0000/B0000/SECRETPATH"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(webhooks, "backoff_seconds", lambda attempt, limit: 0.0)


@dataclass
class Chat:
    """A server that answers with ``status`` and ``body``."""

    status: int = 200
    body: str = "ok"
    delay: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    got: list[web.Request] = field(default_factory=list)
    payloads: list[dict[str, Any]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.got.append(request)
        self.payloads.append(await request.json())
        await asyncio.sleep(self.delay)
        return web.Response(status=self.status, text=self.body, headers=self.headers)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        async with serving(self.answer) as address:
            yield f"{address}{PATH}"


def provider(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "AlertProvider",
        "metadata": {"name": "on-call", "namespace": "chat"},
        "spec": {"type": "slack", **spec},
    }


def secret(**data: str) -> dict[str, Any]:
    coded = {name: base64.b64encode(text.encode()).decode() for name, text in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "url", "namespace": "chat"}, "data": coded}


async def send(*manifests: dict[str, Any], own: tuple[AlertProviderSpec, ...] = (), **options: Any) -> list[Event]:
    """The events that sending one alert leads to."""
    told: list[Event] = []
    async with open_outside() as session:
        sender = AlertSender(
            FakeKube(*manifests), Outside(session, **options), lambda canary, event: told.append(event), own
        )
        sender.send(CANARY, Alert(ALERT.severity, ALERT.text, ALERT.fields) if own else ALERT)
        await sender.flush(10)
    return told


def rendered(**spec: Any) -> dict[str, Any]:
    clean = Alert("error", "Canary failed [31m", ALERT.fields)
    return render(Letter("backend", "prod", clean, AlertProviderSpec.model_validate({"type": "slack", **spec})))


@pytest.mark.parametrize(
    ("type_", "status", "body", "path"),
    [
        ("slack", 200, "ok", PATH),
        ("rocket", 200, '{"success":true}', PATH),
        ("discord", 200, "ok", f"{PATH}/slack"),
        ("msteams", 202, "", PATH),
        ("gchat", 200, "{}", PATH),
        ("webhook", 204, "", PATH),
    ],
)
async def test_an_alert_is_one_post_of_its_rendering(type_, status, body, path):
    chat = Chat(status, body)
    async with chat.serve() as url:
        assert await send(provider(type=type_, address=url)) == []
    assert [(request.method, request.path, request.content_type) for request in chat.got] == [
        ("POST", path, "application/json")
    ]
    assert chat.payloads == [rendered(type=type_, address=url)]


@pytest.mark.parametrize(
    ("type_", "authorization"), [("slack", "Bearer xoxb-token"), ("webhook", "Bearer xoxb-token"), ("rocket", None)]
)
async def test_a_secret_holds_the_address_and_the_token(type_, authorization):
    chat = Chat()
    async with chat.serve() as url:
        holder = secret(address=f"{url}\n", token="xoxb-token")
        assert await send(provider(type=type_, secretRef={"name": "url"}), holder) == []
    assert [(request.path, request.headers.get("Authorization")) for request in chat.got] == [(PATH, authorization)]


async def test_a_proxy_is_asked_for_the_address():
    chat = Chat()
    async with chat.serve() as proxy:
        address = "http://hooks.example.invalid/services/x"
        assert await send(provider(address=address, proxy=proxy.removesuffix(PATH))) == []
    assert [request.raw_path for request in chat.got] == [address]


ANSWERS = {
    "a refusal is quoted": (Chat(404, "no_service"), 1, "answered 404: no_service"),
    "a server error is tried again": (Chat(500, "down"), 1 + RETRIES, f"answered 500: down, {1 + RETRIES} times"),
    "too many alerts as well": (Chat(429, "slow"), 1 + RETRIES, f"answered 429: slow, {1 + RETRIES} times"),
    "a redirect is not followed": (
        Chat(302, headers={"Location": "https://login.example.com"}),
        1,
        "answered 302: redirects are not followed",
    ),
    "what was sent is not repeated": (Chat(400, f"POST {PATH} is wrong"), 1, "answered 400: POST *** is wrong"),
    "Slack's API refuses with a 200": (
        Chat(200, '{"ok":false,"error":"channel_not_found"}'),
        1,
        'answered 200: {"ok":false,"error":"channel_not_found"}',
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_alert_that_is_not_taken_is_told_in_an_event_once(name):
    chat, requests, problem = ANSWERS[name]
    async with chat.serve() as url:
        (event,) = await send(provider(address=url))
    assert event == Event(
        f"Alert on-call to AlertProvider chat/on-call not sent: POST {server_of(url)} {problem}", "Warning"
    )
    assert len(chat.got) == requests
    chat.got.clear()


async def test_a_chat_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(sending, "TIMEOUT", "50ms")
    chat = Chat(delay=1)
    async with chat.serve() as url:
        (event,) = await send(provider(address=url))
    assert event.message.endswith(f"POST {server_of(url)} gave no answer within 0.05s, {1 + RETRIES} times")


NOT_A_URL = "its address is no URL that starts with http:// or https://"
BY_SECRET = provider(secretRef={"name": "url"})


@pytest.mark.parametrize(
    ("manifests", "problem"),
    [
        pytest.param([], "Kubernetes API, GET alertproviders/on-call: answered 404: not found", id="no AlertProvider"),
        pytest.param([BY_SECRET], "Kubernetes API, GET secrets/url: answered 404: not found", id="no Secret"),
        pytest.param([BY_SECRET, secret(other="x")], NOT_A_URL, id="no address in the Secret"),
        pytest.param([BY_SECRET, secret(address="hooks/SECRETPATH")], NOT_A_URL, id="an address that is none"),
        pytest.param(
            [BY_SECRET, {**secret(), "data": {"address": "§"}}],
            "key 'address' of the Secret is not text in base64",
            id="an address that is no text",
        ),
        pytest.param(
            [provider(type="pigeon", address="https://x")],
            'The AlertProvider "chat/on-call" is invalid:\n  spec.type: Unsupported value: "pigeon"',
            id="an AlertProvider that is not valid",
        ),
    ],
)
async def test_a_provider_that_cannot_be_used_is_told_and_its_secret_is_not(manifests, problem):
    (event,) = await send(*manifests)
    assert f"Alert on-call to AlertProvider chat/on-call not sent: {problem}" in event.message
    assert "SECRETPATH" not in event.message


async def test_the_hosts_of_address_and_proxy_must_be_allowed():
    chat = Chat()
    async with chat.serve() as url:
        for spec in ({"address": "http://chat.example.com/x", "proxy": url}, {"address": url}):
            (event,) = await send(provider(**spec), allowed=("chat.example.com",))
            assert "--allowed-addresses of the controller has no pattern for this host" in event.message
        assert await send(provider(address=url), allowed=("127.*",)) == []
    assert len(chat.got) == 1


async def test_the_controller_s_own_receivers_need_no_pattern():
    chat = Chat()
    async with chat.serve() as url:
        own = AlertProviderSpec(type="msteams", address=url)
        assert await send(own=(own,), allowed=("chat.example.com",), trusted=(url,)) == []
        chat.status, chat.body = 400, "bad"
        (event,) = await send(own=(own,))
    assert event.message == f"Alert to --msteams-url not sent: POST {server_of(url)} answered 400: bad"


@pytest.mark.looptime
async def test_a_chat_that_hangs_delays_no_other_canary_and_keeps_no_more_than_it_may(monkeypatch):
    sent: list[str] = []

    async def post(outside: Any, caller: Any, webhook: Any, payload: Any, **rest: Any) -> Any:
        if caller.name == "slow":
            await asyncio.sleep(3600)
        sent.append(caller.name)

    monkeypatch.setattr(sending, "post", post)
    told: list[str] = []
    kube = FakeKube(provider(address="https://x"))
    sender = AlertSender(kube, None, lambda canary, event: told.append(event.message))  # type: ignore[arg-type]
    for _ in range(WAITING + 2):
        sender.send(canary_manifest(name="slow"), ALERT)
    sender.send(canary_manifest(name="quick"), ALERT)
    await asyncio.sleep(1)
    assert sent == ["quick"]
    assert set(told) == {"Alert on-call to AlertProvider chat/on-call not sent: too many alerts are waiting"}
    sender.forget("uid-slow")
    await asyncio.sleep(3601)
    assert sent == ["quick"]
    await sender.flush(1)
