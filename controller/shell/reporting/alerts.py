"""Sending alerts: in the background, a few seconds and a few times each. None holds a rollout up."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from pydantic import ValidationError

from controller.api.alert_provider import AlertProviderSpec
from controller.api.errors import InvalidObject
from controller.api.parse import parse_alert_provider
from controller.api.webhook import Webhook
from controller.core.decision import Alert, Event, Receiver
from controller.core.messages import Letter, address_of, render
from controller.core.model import Manifest
from controller.core.probes import Refused
from controller.shell.budget import Caller
from controller.shell.kubernetes.client import Kube
from controller.shell.kubernetes.errors import ClusterError
from controller.shell.kubernetes.kinds import ALERT_PROVIDER, SECRET
from controller.shell.outside import Answer, Outside, without_controls
from controller.shell.reporting.lanes import Lanes
from controller.shell.secrets import decoded
from controller.shell.webhooks import post

TIMEOUT, RETRIES = "5s", 2
"""Of one request, as in Flagger; how often it is repeated where that may help."""
WAITING = 20
"""Alerts of one Canary that wait to be sent."""
WITH_TOKEN = ("slack", "webhook")
"""Types of AlertProvider that take a token."""


class AlertSender:
    """Sends alerts, in order for each Canary. What is not sent is told in an event.

    Args:
        kube: where AlertProviders and their Secrets are read.
        outside: sends the requests.
        tell: records an event about a Canary.
        own: the controller's own receivers.
    """

    def __init__(
        self,
        kube: Kube,
        outside: Outside,
        tell: Callable[[Manifest, Event], None],
        own: Sequence[AlertProviderSpec] = (),
    ) -> None:
        self._kube = kube
        self._outside = outside
        self._tell = tell
        self._own = tuple(own)
        self._lanes = Lanes("alerts", WAITING)

    def send(self, canary: Manifest, alert: Alert) -> None:
        """Send ``alert`` when there is time."""
        for receiver in alert.to or self._own:
            work = partial(self._deliver, canary, alert, receiver)
            if not self._lanes.add(str(canary["metadata"]["uid"]), work):
                self._tell(canary, Event(f"{_name(receiver)} not sent: too many alerts are waiting", "Warning"))

    def forget(self, uid: str) -> None:
        """Forget the Canary with this uid, which was deleted."""
        self._lanes.forget(uid)

    async def flush(self, seconds: float) -> None:
        """Wait until all is sent, at most so many seconds."""
        await self._lanes.flush(seconds)

    async def _deliver(self, canary: Manifest, alert: Alert, receiver: Receiver | AlertProviderSpec) -> None:
        if problem := await self._problem(canary, alert, receiver):
            self._tell(canary, Event(f"{_name(receiver)} not sent: {problem}", "Warning"))

    async def _problem(self, canary: Manifest, alert: Alert, receiver: Receiver | AlertProviderSpec) -> str:
        """Send; why it was not sent, empty if it was. Quotes neither the address nor the token."""
        name, namespace = canary["metadata"]["name"], canary["metadata"]["namespace"]
        try:
            provider, secret = (receiver, {}) if isinstance(receiver, AlertProviderSpec) else await self._find(receiver)
            url = address_of(provider, secret)
            webhook = Webhook(name="alert", url=url, timeout=TIMEOUT, retries=RETRIES)
        except ValidationError:
            return "its address is no URL that starts with http:// or https://"
        except (ClusterError, InvalidObject, ValueError) as error:
            return str(error)
        token = secret.get("token") if provider.type in WITH_TOKEN else None
        answer = await post(
            self._outside,
            Caller(namespace, name),
            webhook,
            _clean(render(Letter(name, namespace, alert, provider))),
            headers=[("Authorization", f"Bearer {token}")] if token else (),
            proxy=provider.proxy,
            agrees=_is_success,
        )
        return answer.reason if isinstance(answer, Refused) else ""

    async def _find(self, receiver: Receiver) -> tuple[AlertProviderSpec, Mapping[str, str]]:
        """The AlertProvider and its Secret. Raises ClusterError, InvalidObject, or ValueError for a broken Secret."""
        namespace, _, name = receiver.provider.partition("/")
        provider = parse_alert_provider(await self._kube.get(ALERT_PROVIDER, namespace, name)).spec
        if provider.secret_ref is None:
            return provider, {}
        return provider, decoded(await self._kube.get(SECRET, namespace, provider.secret_ref.name))


def _name(receiver: Receiver | AlertProviderSpec) -> str:
    if isinstance(receiver, AlertProviderSpec):
        return f"Alert to --{receiver.type}-url"
    return f"Alert {receiver.alert} to AlertProvider {receiver.provider}"


def _clean(node: object) -> object:
    """``node`` without control characters in its texts."""
    if isinstance(node, str):
        return without_controls(node)
    if isinstance(node, dict):
        return {key: _clean(value) for key, value in node.items()}
    return [_clean(item) for item in node] if isinstance(node, list) else node


def _is_success(answer: Answer) -> bool:
    """Slack's API says in the body of a 200 that it has refused: ``{"ok": false, "error": "channel_not_found"}``."""
    try:
        body = json.loads(answer.text)
    except (ValueError, RecursionError):
        return True
    return not (isinstance(body, dict) and body.get("ok") is False)
