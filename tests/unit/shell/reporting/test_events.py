"""Events: what is sent, how repetition is counted, and that recording never blocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from controller.api.webhook import Webhook
from controller.core.decision import Event
from controller.core.probes import Passed, Refused
from controller.shell.kubernetes.errors import Transient
from controller.shell.reporting import events
from controller.shell.reporting.events import BURST, QUEUE_LENGTH, REFILL_SECONDS, WEBHOOK_QUEUE_LENGTH, EventRecorder
from tests.builders import NOW, canary_manifest
from tests.unit.shell.fakes import FakeKube

pytestmark = pytest.mark.looptime

CANARY = {**canary_manifest(), "status": {"phase": "Progressing"}}


@asynccontextmanager
async def recording(kube: FakeKube, default_webhook: str = "") -> AsyncIterator[EventRecorder]:
    it = EventRecorder(kube, None, lambda: NOW, default_webhook)  # type: ignore[arg-type]  # `post` is replaced
    running = asyncio.create_task(it.run())
    try:
        yield it
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_event_looks_as_flagger_s_does():
    kube = FakeKube()
    async with recording(kube) as it:
        it.record(CANARY, Event("Initialization done! backend.prod"))
        await it.flush(1)
    (sent,) = kube.objects("Event")
    name = sent["metadata"]["name"]
    assert name.startswith("backend.")
    assert {key: value for key, value in sent.items() if key != "metadata"} == {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "Canary",
            "name": "backend",
            "namespace": "prod",
            "uid": "uid-backend",
            "resourceVersion": "1",
        },
        "reason": "Synced",
        "message": "Initialization done! backend.prod",
        "type": "Normal",
        "source": {"component": "flagger"},
        "count": 1,
        "firstTimestamp": "2026-01-01T12:00:00Z",
        "lastTimestamp": "2026-01-01T12:00:00Z",
    }


async def test_a_repeated_event_is_counted_on_the_first_one():
    kube = FakeKube()
    async with recording(kube) as it:
        for message in ("one", "two", "one", "one"):
            it.record(CANARY, Event(message))
        await it.flush(1)
    assert [(event["message"], event["count"]) for event in kube.objects("Event")] == [("one", 3), ("two", 1)]


async def test_an_event_that_has_expired_is_created_again():
    kube = FakeKube()
    async with recording(kube) as it:
        it.record(CANARY, Event("one"))
        await it.flush(1)
        kube.remove("Event", "prod", kube.objects("Event")[0]["metadata"]["name"])
        it.record(CANARY, Event("one"))
        await it.flush(1)
    assert [event["count"] for event in kube.objects("Event")] == [1]


async def test_a_canary_that_tells_too_much_is_only_logged_for_a_while(caplog):
    kube = FakeKube()
    async with recording(kube) as it:
        for number in range(BURST + 10):
            it.record(CANARY, Event(f"event {number}"))
        await it.flush(1)
        assert len(kube.objects("Event")) == BURST
        await asyncio.sleep(2 * REFILL_SECONDS)
        for number in range(10):
            it.record(CANARY, Event(f"later {number}"))
        await it.flush(1)
    assert len(kube.objects("Event")) == BURST + 2


async def test_what_does_not_fit_the_queue_is_logged(caplog):
    it = EventRecorder(FakeKube(), None, lambda: NOW)  # type: ignore[arg-type]  # nothing is sent
    for number in range(QUEUE_LENGTH + 1):
        it.record(CANARY, Event(f"event {number}", "Warning"))
    assert f"too many events are waiting, this one is only logged: event {QUEUE_LENGTH}" in caplog.text


async def test_an_event_that_cannot_be_sent_silences_none_that_follow(caplog):
    kube = FakeKube()
    kube.failures["create"] = [Transient("POST events", 500, "down"), ZeroDivisionError("bug")]  # type: ignore[list-item]
    async with recording(kube) as it:
        for message in ("lost", "lost too", "kept"):
            it.record(CANARY, Event(message))
        await it.flush(1)
    assert [event["message"] for event in kube.objects("Event")] == ["kept"]
    assert "an event could not be sent: Kubernetes API, POST events: answered 500: down" in caplog.text


OWN = Webhook(name="own", url="http://hooks.test/own", type="event", metadata={"channel": "x", "eventType": "mine"})
GATE = Webhook(name="gate", url="http://hooks.test/gate", type="confirm-rollout")


@pytest.mark.parametrize(
    ("webhooks", "called"),
    [
        pytest.param((OWN, GATE), ["http://hooks.test/own"], id="its own replace the controller's"),
        pytest.param((GATE,), ["http://hooks.test/all"], id="without one the controller's"),
    ],
)
async def test_event_webhooks_get_every_event(monkeypatch, webhooks, called):
    calls: list[tuple[str, dict[str, Any]]] = []

    async def post(outside, caller, webhook, payload):
        calls.append((webhook.url, payload))
        return Passed()

    monkeypatch.setattr(events, "post", post)
    async with recording(FakeKube(), "http://hooks.test/all") as it:
        it.record(CANARY, Event("hello", "Warning"), webhooks, "0123456789abcdef")
        await it.flush(1)
        await asyncio.sleep(0)
    assert [url for url, _ in calls] == called
    payload = calls[0][1]
    assert (payload["name"], payload["namespace"], payload["phase"], payload["checksum"]) == (
        "backend",
        "prod",
        "Progressing",
        "0123456789abcdef",
    )
    own = {"eventMessage": "hello", "eventType": "Warning", "timestamp": str(int(NOW.timestamp() * 1000))}
    assert payload["metadata"] == {**({"channel": "x"} if "own" in called[0] else {}), **own}


async def test_a_webhook_that_hangs_delays_no_other_canary(monkeypatch):
    calls: list[str] = []

    async def post(outside, caller, webhook, payload):
        if caller.name == "slow":
            await asyncio.sleep(3600)
        calls.append(caller.name)
        return Passed()

    monkeypatch.setattr(events, "post", post)
    async with recording(FakeKube()) as it:
        for number in range(WEBHOOK_QUEUE_LENGTH + 2):
            it.record(canary_manifest(name="slow"), Event(f"event {number}"), (OWN,))
        it.record(canary_manifest(name="quick"), Event("one"), (OWN,))
        await it.flush(1)
        assert calls == ["quick"]
        it.forget("uid-slow")
        await asyncio.sleep(3601)
        assert calls == ["quick"]


async def test_control_characters_reach_no_event():
    kube = FakeKube()
    async with recording(kube) as it:
        it.record(CANARY, Event("first line\n\x1b[31msecond\x00"))
        await it.flush(1)
    assert [event["message"] for event in kube.objects("Event")] == ["first line\n [31msecond "]


async def test_a_webhook_that_refuses_is_logged_and_holds_nothing_up(monkeypatch, caplog):
    async def post(outside, caller, webhook, payload):
        await asyncio.sleep(3600)
        return Refused("POST http://hooks.test/own gave no answer within 3600s")

    monkeypatch.setattr(events, "post", post)
    kube = FakeKube()
    async with recording(kube) as it:
        it.record(CANARY, Event("one"), (OWN,))
        it.record(CANARY, Event("two"), (OWN,))
        await it.flush(1)
        assert [event["message"] for event in kube.objects("Event")] == ["one", "two"]
        await asyncio.sleep(3601)
    assert "event webhook own: POST http://hooks.test/own gave no answer" in caplog.text
