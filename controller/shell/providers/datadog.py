"""Datadog's query API (https://docs.datadoghq.com/api/latest/metrics/#query-timeseries-points)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from controller.core.probes import Sample
from controller.shell.providers.rest import Dialect, Question, Request, series

INTERVALS = 10
"""How many of the metric's intervals are asked for, as by Flagger."""


def _request(question: Question, path: str, params: dict[str, str] | None = None) -> Request:
    headers = {
        "DD-API-KEY": question.key("datadog_api_key"),
        "DD-APPLICATION-KEY": question.key("datadog_application_key"),
    }
    return Request(f"{question.address('https://api.datadoghq.com')}{path}", params=params, headers=headers)


def _ask(question: Question) -> Request:
    start, end = int(question.now - INTERVALS * question.interval), int(question.now)
    return _request(question, "/api/v1/query", {"query": question.query, "from": str(start), "to": str(end)})


def _read(text: str) -> Iterator[Sample]:
    """The oldest point of each series: the newest is of a time that has not ended (Flagger)."""
    body = json.loads(text)
    if body.get("status") == "error":
        raise ValueError(body.get("error") or text)
    for each in body["series"]:
        values = [value for _, value in each["pointlist"] if value is not None]
        if values:
            yield series(values[0], metric=each.get("metric"), scope=each.get("scope"))


DATADOG = Dialect(_ask, _read, check=lambda question: _request(question, "/api/v1/validate"))
