"""InfluxDB's query API for Flux (https://docs.influxdata.com/influxdb/v2/api/v2/#post-/api/v2/query)."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from controller.core.probes import Sample
from controller.shell.providers.rest import Dialect, Question, Request, series


def _request(question: Question, query: str) -> Request:
    secret = {"Authorization": f"Token {question.key('token')}"} if question.secret else {}
    return Request(
        f"{question.address()}/api/v2/query",
        "POST",
        params={"org": question.key("org")} if question.secret else None,
        headers={"Accept": "application/csv", **secret},
        body={"query": query, "type": "flux", "dialect": {"header": True, "annotations": ["datatype"]}},
    )


def _read(text: str) -> Iterator[Sample]:
    """The first record of each table of annotated CSV, as Flagger reads it; an error is a table too."""
    columns: list[str] = []
    types: list[str] = []
    tables: set[tuple[str, str]] = set()
    for row in csv.reader(text.splitlines()):
        if not any(row):
            columns = []
        elif row[0].startswith("#"):
            columns, types = [], row
        elif not columns:
            columns = row
            if not {"_value", "error"} & set(columns):
                raise ValueError(f"no annotated CSV with a column _value: {','.join(row)}")
        else:
            record = dict(zip(columns, row, strict=False))
            if "error" in record:
                raise ValueError(record["error"])
            table = record.get("result", ""), record["table"]
            if table in tables:
                continue
            tables.add(table)
            if types and types[columns.index("_value")] not in ("double", "long", "unsignedLong"):
                raise ValueError(f"_value is a {types[columns.index('_value')]}, it must be a number")
            if record["_value"]:
                yield series(record["_value"], result=table[0] or "_result", table=table[1])


INFLUXDB = Dialect(
    ask=lambda question: _request(question, question.query),
    read=_read,
    check=lambda question: _request(question, "buckets() |> limit(n: 1)"),
    seconds=15.0,
)
