"""Dynatrace's metrics API, version 2 (https://docs.dynatrace.com/docs/shortlink/api-metrics-v2-get-data-points)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from controller.core.probes import Sample
from controller.shell.providers.rest import Dialect, Question, Request, series

INTERVALS = 10
"""How many of the metric's intervals are asked for, as by Flagger."""


def _request(question: Question, path: str, params: dict[str, str]) -> Request:
    headers = {"Authorization": f"Api-Token {question.key('dynatrace_token')}"}
    return Request(f"{question.address()}/api/v2/metrics{path}", params=params, headers=headers)


def _ask(question: Question) -> Request:
    end = int(question.now) * 1000
    start = end - int(INTERVALS * question.interval * 1000)
    params = {"metricSelector": question.query, "resolution": "Inf", "from": str(start), "to": str(end)}
    return _request(question, "/query", params)


def _read(text: str) -> Iterator[Sample]:
    """With resolution Inf each series has one value, of the whole time."""
    for result in json.loads(text)["result"]:
        for data in result["data"]:
            values = [value for value in data["values"] if value is not None]
            if values:
                yield series(values[0], metric=result.get("metricId"), dimensions=data.get("dimensions"))


DYNATRACE = Dialect(_ask, _read, check=lambda question: _request(question, "", {"pageSize": "1"}))
