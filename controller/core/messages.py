"""What an alert looks like in each chat: the request that its incoming webhook takes.

Texts are data, some of it from servers that are not trusted: what a chat would read as markup is escaped, and the
length is limited, as each chat refuses a message that is too long.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from controller.api.alert_provider import AlertProviderSpec
from controller.core.decision import Alert

USERNAME, CHANNEL = "flagger", "general"
"""Flagger's, where an AlertProvider names none."""
SLACK_API = "https://slack.com/api/chat.postMessage"
"""Where a Slack token is used, if its Secret has no address."""
TEXT, NAME, VALUE, FIELDS = 2000, 100, 1000, 20
"""Longest text, name and value of a field, in characters, and most fields: less than the limit of every chat."""


@dataclass(frozen=True, slots=True)
class Letter:
    """An alert about one Canary, with what its looks depend on.

    Attributes:
        canary: name of the Canary.
        namespace: its namespace.
        alert: what is told.
        provider: channel and name of the sender.
    """

    canary: str
    namespace: str
    alert: Alert
    provider: AlertProviderSpec

    @property
    def subject(self) -> str:
        """``C.n``, as Flagger signs its alerts."""
        return f"{self.canary}.{self.namespace}"

    @property
    def text(self) -> str:
        return _shortened(self.alert.text, TEXT)

    @property
    def fields(self) -> list[tuple[str, str]]:
        return [(_shortened(name, NAME), _shortened(value, VALUE)) for name, value in self.alert.fields[:FIELDS]]


def render(letter: Letter) -> dict[str, Any]:
    """The JSON to be sent to a provider of this type."""
    return RENDERINGS[letter.provider.type](letter)


def address_of(provider: AlertProviderSpec, secret: Mapping[str, str]) -> str:
    """Where the alerts of a provider are sent; empty if neither it nor its Secret says so."""
    address = provider.address or secret.get("address", "")
    if provider.type == "slack" and not address and secret.get("token"):
        return SLACK_API
    if provider.type == "discord" and address:  # takes Slack's format there
        scheme, host, path, query, _ = urlsplit(address)
        path = path if path.endswith("/slack") else f"{path.rstrip('/')}/slack"
        return urlunsplit((scheme, host, path, query, ""))
    return address


def _slack(letter: Letter) -> dict[str, Any]:
    """https://docs.slack.dev/messaging/formatting-message-text, and what Rocket.Chat and Discord take of it."""
    fields = ((_slack_text(name), _slack_text(value)) for name, value in letter.fields)
    return {
        "channel": letter.provider.channel or CHANNEL,
        "username": letter.provider.username or USERNAME,
        "icon_emoji": ":rocket:",
        "attachments": [
            {
                "color": {"info": "good", "warn": "warning", "error": "danger"}[letter.alert.severity],
                "author_name": letter.subject,
                "text": _slack_text(letter.text),
                "mrkdwn_in": ["text"],
                "fields": [{"title": name, "value": value, "short": False} for name, value in fields],
            }
        ],
    }


def _teams(letter: Letter) -> dict[str, Any]:
    """An Adaptive Card for a workflow that posts to a channel (https://adaptivecards.io/explorer)."""
    color = {"info": "good", "warn": "warning", "error": "attention"}[letter.alert.severity]
    body: list[dict[str, Any]] = [
        {"type": "TextBlock", "text": letter.subject, "weight": "bolder", "size": "medium", "color": color},
        {"type": "TextBlock", "text": letter.text, "wrap": True},
    ]
    if letter.fields:
        body.append({"type": "FactSet", "facts": [{"title": name, "value": value} for name, value in letter.fields]})
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _google_chat(letter: Letter) -> dict[str, Any]:
    """https://developers.google.com/workspace/chat/api/reference/rest/v1/cards"""
    paragraph = {"textParagraph": {"text": f"<b>{html.escape(letter.text, quote=False)}</b>"}}
    fields = [
        {"decoratedText": {"topLabel": name, "text": html.escape(value, quote=False), "wrapText": True}}
        for name, value in letter.fields
    ]
    header = {"title": letter.subject, "subtitle": letter.alert.severity}
    card = {"header": header, "sections": [{"widgets": [paragraph, *fields]}]}
    return {"cardsV2": [{"cardId": "canary", "card": card}]}


def _webhook(letter: Letter) -> dict[str, Any]:
    return {
        "name": letter.canary,
        "namespace": letter.namespace,
        "severity": letter.alert.severity,
        "message": letter.text,
        "metadata": dict(letter.fields),
    }


RENDERINGS: Mapping[str, Callable[[Letter], dict[str, Any]]] = {
    "slack": _slack,
    "rocket": _slack,
    "discord": _slack,
    "msteams": _teams,
    "gchat": _google_chat,
    "webhook": _webhook,
}
"""By the type of the AlertProvider."""


def _slack_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
