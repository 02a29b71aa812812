"""Graphite's render API (https://graphite.readthedocs.io/en/latest/render_api.html)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode

from controller.core.probes import Sample
from controller.shell.providers.rest import Dialect, Question, Request, basic_auth, series


def _render(question: Question, query: str) -> Request:
    """A query is the query string of the URL, as in ``target=summarize(…)&from=-2min``; it may be on several lines."""
    pairs = [pair for pair in parse_qsl(" ".join(query.split())) if pair[0] != "format"]
    if not any(name == "target" for name, _ in pairs):
        raise ValueError("a query of Graphite has a target, as in target=averageSeries(app.errors)&from=-2min")
    form = urlencode([*pairs, ("format", "json")])
    return Request(f"{question.address()}/render?{form}", headers=basic_auth(question))


def _read(text: str) -> Iterator[Sample]:
    """The newest value of each series; the last points may have none yet."""
    for each in json.loads(text):
        values = [value for value, _ in each["datapoints"] if value is not None]
        if values:
            yield series(values[-1], target=each["target"])


GRAPHITE = Dialect(
    ask=lambda question: _render(question, question.query),
    read=_read,
    check=lambda question: _render(question, "target=test"),
)
