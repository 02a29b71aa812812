"""Recording what happened: a log line, a Kubernetes event on the Canary, and the Canary's ``type: event`` webhooks.

Events look as Flagger's do: reason ``Synced``, source ``flagger``. An event that is repeated raises the count of the
first one. Recording never holds a rollout up: what does not fit the queue is only logged.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from controller.api.names import API_VERSION, CANARY_KIND
from controller.api.webhook import HookType, Webhook
from controller.core.decision import Event
from controller.core.model import Manifest
from controller.core.probes import Refused
from controller.shell.allowance import Allowance
from controller.shell.budget import Caller
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import ClusterError, NotFound
from controller.shell.kubernetes.kinds import EVENT
from controller.shell.outside import Outside, without_controls
from controller.shell.reporting.lanes import Lanes
from controller.shell.reporting.logs import canary_log
from controller.shell.webhooks import post

REASON = "Synced"
COMPONENT = "flagger"
QUEUE_LENGTH = 1000
WEBHOOK_QUEUE_LENGTH = 100
"""Events of one Canary that wait for its event webhooks."""
REMEMBERED = 1000
"""Events whose repetition is counted on the first one."""
BURST, REFILL_SECONDS = 100, 2.0
"""New or repeated events a Canary may have at once, and how often one more. client-go allows 25 and one every 300 s."""


@dataclass(slots=True)
class _Sent:
    """An event that is in the cluster."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class _Entry:
    canary: Manifest
    event: Event
    webhooks: tuple[Webhook, ...]
    checksum: str
    at: datetime


class EventRecorder:
    """Sends events in the background, in order.

    Args:
        kube: where the Kubernetes events go.
        outside: sends to webhooks.
        clock: the time of an event.
        default_webhook: URL that gets the events of Canaries that have no webhook of type ``event``; empty for none.
    """

    def __init__(self, kube: Kube, outside: Outside, clock: Callable[[], datetime], default_webhook: str = "") -> None:
        self._kube = kube
        self._outside = outside
        self._clock = clock
        self._default = (Webhook(name="event-webhook", url=default_webhook, type="event"),) if default_webhook else ()
        self._to_cluster: asyncio.Queue[_Entry] = asyncio.Queue(QUEUE_LENGTH)
        self._to_webhooks = Lanes("event webhooks", WEBHOOK_QUEUE_LENGTH)
        self._sent: OrderedDict[tuple[str, str, str], _Sent] = OrderedDict()
        self._allowances: dict[str, Allowance] = {}

    def record(self, canary: Manifest, event: Event, webhooks: tuple[Webhook, ...] = (), checksum: str = "") -> None:
        """Log ``event`` at once, and send it on when there is time."""
        event = replace(event, message=without_controls(event.message))
        metadata = canary["metadata"]
        log = canary_log(metadata["name"], metadata["namespace"], __name__)
        log.log(logging.WARNING if event.type == "Warning" else logging.INFO, "%s", event.message)
        listeners = tuple(each for each in webhooks if each.hook_type is HookType.EVENT) or self._default
        entry = _Entry(canary, event, listeners, checksum, self._clock())
        if self._to_cluster.full():
            log.warning("too many events are waiting, this one is only logged: %s", event.message)
        else:
            self._to_cluster.put_nowait(entry)
        if listeners and not self._to_webhooks.add(str(metadata["uid"]), partial(self._call_webhooks, entry)):
            log.warning("too many events are waiting for the event webhooks, they do not get: %s", event.message)

    def forget(self, uid: str) -> None:
        """Forget the Canary with this uid, which was deleted."""
        self._allowances.pop(uid, None)
        self._to_webhooks.forget(uid)

    async def run(self) -> None:
        """Send what is recorded; never returns."""
        try:
            while True:
                await self._send_next()
        finally:
            self._to_webhooks.close()

    async def flush(self, seconds: float) -> None:
        """Wait until all is sent, at most so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._to_cluster.join()
        except TimeoutError:
            logging.getLogger(__name__).warning("%d events could not be sent", self._to_cluster.qsize())

    async def _send_next(self) -> None:
        entry = await self._to_cluster.get()
        try:
            await self._send_to_cluster(entry)
        except ClusterError as error:
            logging.getLogger(__name__).warning("an event could not be sent: %s", error)
        except Exception:  # one event that cannot be sent must not silence all that follow
            logging.getLogger(__name__).exception("an event could not be sent")
        finally:
            self._to_cluster.task_done()

    async def _send_to_cluster(self, entry: _Entry) -> None:
        metadata, event = entry.canary["metadata"], entry.event
        if not self._may_send(str(metadata["uid"])):
            return
        key = (str(metadata["uid"]), event.type, event.message)
        sent = self._sent.get(key)
        if sent is not None:
            sent.count += 1
            patch = {"count": sent.count, "lastTimestamp": _timestamp(entry.at)}
            try:
                await self._kube.patch(EVENT, metadata["namespace"], sent.name, patch)
            except NotFound:  # they expire after an hour
                del self._sent[key]
            else:
                self._sent.move_to_end(key)
                return
        manifest = build_event(entry.canary, event, entry.at)
        await self._kube.create(manifest)
        self._sent[key] = _Sent(manifest["metadata"]["name"], 1)
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)

    def _may_send(self, uid: str) -> bool:
        now = asyncio.get_running_loop().time()
        return self._allowances.setdefault(uid, Allowance(BURST, REFILL_SECONDS, now)).take_if_left(now)

    async def _call_webhooks(self, entry: _Entry) -> None:
        metadata = entry.canary["metadata"]
        for webhook in entry.webhooks:
            own = {
                "eventMessage": entry.event.message,
                "eventType": entry.event.type,
                "timestamp": str(int(entry.at.timestamp() * 1000)),
            }
            payload = {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "phase": (entry.canary.get("status") or {}).get("phase", ""),
                "checksum": entry.checksum,
                "metadata": {**webhook.metadata, **own},
            }
            answer = await post(self._outside, Caller(metadata["namespace"], metadata["name"]), webhook, payload)
            if isinstance(answer, Refused):
                log = canary_log(metadata["name"], metadata["namespace"], __name__)
                log.warning("event webhook %s: %s", webhook.name, answer.reason)


def build_event(canary: Manifest, event: Event, at: datetime) -> dict[str, Any]:
    """The core/v1 Event that says ``event`` about ``canary``."""
    metadata = canary["metadata"]
    name = f"{metadata['name'][:200]}.{uuid.uuid4().hex[:16]}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": metadata["namespace"]},
        "involvedObject": _reference(metadata),
        "reason": REASON,
        "message": event.message[:1024],
        "type": event.type,
        "source": {"component": COMPONENT},
        "count": 1,
        "firstTimestamp": _timestamp(at),
        "lastTimestamp": _timestamp(at),
    }


def _reference(metadata: Mapping[str, Any]) -> dict[str, str]:
    named = {key: str(metadata[key]) for key in ("name", "namespace", "uid", "resourceVersion")}
    return {"apiVersion": API_VERSION, "kind": CANARY_KIND, **named}


def _timestamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
