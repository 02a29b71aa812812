"""Splunk Observability's SignalFlow, by server-sent events (https://dev.splunk.com/observability/reference)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from controller.core.probes import Sample
from controller.shell.providers.rest import Dialect, Question, Request, series

INTERVALS = 10
"""How many of the metric's intervals are asked for, as by Flagger."""


def _request(question: Question, host: Literal["api", "stream"], path: str) -> tuple[str, dict[str, str]]:
    """The URL on ``api.REALM`` or ``stream.REALM``, and the headers.

    A MetricTemplate names either host, and ``wss://`` as well, which is what Flagger speaks to the second.
    """
    scheme, _, rest = question.address(websocket=True).partition("://")
    name, _, realm = rest.partition(".")
    rest = f"{host}.{realm}" if name in ("api", "stream") else rest
    return f"{scheme.replace('ws', 'http')}://{rest}{path}", {"X-SF-Token": question.key("sf_token_key")}


def _ask(question: Question) -> Request:
    url, headers = _request(question, "stream", "/v2/signalflow/execute")
    end = int(question.now * 1000)
    start = end - int(INTERVALS * question.interval * 1000)
    params = {"start": str(start), "stop": str(end), "immediate": "true"}
    return Request(url, "POST", params, {**headers, "Content-Type": "text/plain"}, text=question.query)


def _check(question: Question) -> Request:
    url, headers = _request(question, "api", "/v2/metric")
    return Request(url, params={"limit": "1"}, headers=headers)


def _read(text: str) -> Iterator[Sample]:
    """The newest value of each series."""
    newest: dict[str, Any] = {}
    events = tuple(_events(text))
    if not events:
        raise ValueError(f"no stream of events: {text}")
    for kind, message in events:
        if kind == "error":
            raise ValueError(message.get("message") or str(message.get("errors") or message))
        if kind == "data":
            newest |= {each["tsId"]: each["value"] for each in message["data"] if each["value"] is not None}
    for name, value in newest.items():
        yield series(value, tsId=name)


def _events(text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The events of a stream: blocks of lines, as in ``event: data`` and ``data: {…}``."""
    for block in text.replace("\r\n", "\n").split("\n\n"):
        lines = [line.partition(":") for line in block.split("\n")]
        kind = "".join(value.strip() for name, _, value in lines if name == "event")
        data = "\n".join(value.strip() for name, _, value in lines if name == "data")
        if kind and data:
            yield kind, json.loads(data)


SPLUNK = Dialect(_ask, _read, _check)
