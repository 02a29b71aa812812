"""New Relic's query API for NRQL (https://docs.newrelic.com/docs/apis/insights-apis/query-insights-event-data-api)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from controller.core.probes import Sample
from controller.shell.providers.rest import Dialect, Question, Request, series


def _ask(question: Question) -> Request:
    account = question.key("newrelic_account_id")
    return Request(
        f"{question.address('https://insights-api.newrelic.com')}/v1/accounts/{account}/query",
        params={"nrql": f"{question.query} SINCE {question.interval:.0f} seconds ago"},
        headers={"X-Query-Key": question.key("newrelic_query_key")},
    )


def _read(text: str) -> Iterator[Sample]:
    """``{"result": 1}``, or ``{"average": 1}`` and the like: each function of NRQL has a name of its own."""
    for number, result in enumerate(json.loads(text)["results"], start=1):
        values = [result["result"]] if "result" in result else list(result.values())
        for value in values:
            if value is not None:
                yield series(value, result=number)


def _check(question: Question) -> Request:
    return _ask(Question(question.provider, question.secret, "SELECT * FROM Metric", question.interval, question.now))


NEWRELIC = Dialect(_ask, _read, _check)
