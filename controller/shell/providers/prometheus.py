"""Prometheus' HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar, cast
from urllib.parse import urlencode

import aiohttp

from controller.api.metric_template import MetricProvider
from controller.core.analysis.thresholds import number_of
from controller.core.probes import History, NoValues, QueryFailed, Sample, Samples, Value
from controller.shell.budget import Caller
from controller.shell.outside import ANSWER_BYTES, QUOTED, Answer, NoAnswer, Outside, printable, server_of
from controller.shell.secrets import decoded

T = TypeVar("T")

Matrix: TypeAlias = tuple[Mapping[str, Any], ...]
"""Elements with ``metric`` (labels) and ``values`` (pairs of Unix seconds and text)."""

QUERY_SECONDS = 5
"""Timeout of an instant query, as in Flagger."""
RANGE_SECONDS, RANGE_BYTES = 120, 64 * ANSWER_BYTES
"""Timeout and largest answer of a range query."""
GET_CHARACTERS = 2000
"""Longer queries are sent with POST. Shorter ones with GET, as by Flagger: some proxies allow nothing else."""


class Prometheus:
    """One Prometheus.

    Args:
        outside: sends the requests.
        caller: on whose behalf.
        provider: address, headers, and whether its certificate is checked.
        secret: a Secret with ``token``, or with ``username`` and ``password``, and with ``ca.crt`` where the server has
            a certificate of its own; empty for none.
    """

    def __init__(
        self, outside: Outside, caller: Caller, provider: MetricProvider, secret: Mapping[str, Any] | None = None
    ) -> None:
        self._outside = outside
        self._caller = caller
        self._provider = provider
        self._headers = [(name, value) for name, values in provider.headers.items() for value in values]
        self._secret = secret or {}
        self._server = server_of(provider.address)

    async def query(self, query: str) -> Value | NoValues | QueryFailed:
        """The number that an instant query gives."""
        answer = await self.samples(query)
        found = answer if isinstance(answer, QueryFailed) else number_of(answer.samples)
        return QueryFailed(printable(found.reason)) if isinstance(found, QueryFailed) else found

    async def samples(self, query: str) -> Samples | QueryFailed:
        """All samples of an instant query; a scalar is one sample without labels."""
        return await self._ask("query", {"query": query}, lambda data: Samples(_samples(data)))

    async def history(self, query: str, looks: int, step: int) -> History | QueryFailed:
        """All samples at each of the last times, by a subquery: its times are multiples of ``step``."""
        past = f"({query})[{looks * step}s:{step}s]"
        return await self._ask("query", {"query": past}, lambda data: _by_time(_matrix(data)))

    async def series(self, query: str, *, start: float, end: float, step: float) -> Matrix | QueryFailed:
        """The series of a range query, as Prometheus gives them; ``start`` and ``end`` in Unix seconds."""
        form = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        return await self._ask("query_range", form, _matrix, seconds=RANGE_SECONDS, limit=RANGE_BYTES)

    async def check(self) -> str:
        """Why it cannot be used; empty if it can (Flagger asks it for ``vector(1)``)."""
        match await self.query("vector(1)"):
            case Value(1.0):
                return ""
            case QueryFailed(reason):
                return reason
            case other:
                return f"{self._server} answers vector(1) with {other}"

    async def _ask(
        self,
        endpoint: str,
        form: Mapping[str, str],
        read: Callable[[Mapping[str, Any]], T],
        *,
        seconds: float = QUERY_SECONDS,
        limit: int = ANSWER_BYTES,
    ) -> T | QueryFailed:
        if {"?", "#"} & set(self._provider.address):
            return QueryFailed(f"{self._server}: the address of a Prometheus has no ? or #")
        try:
            keys = decoded(self._secret)
            credentials = _authorization(keys, self._secret)
            trusted = _trusting(keys["ca.crt"]) if "ca.crt" in keys else True
        except ValueError as error:
            return QueryFailed(f"{self._server}: {error}")
        short = len(urlencode(form)) <= GET_CHARACTERS
        answer = await self._outside.ask(
            self._caller,
            "GET" if short else "POST",
            f"{self._provider.address.rstrip('/')}/api/v1/{endpoint}",
            params=form if short else None,
            form=None if short else form,
            headers=[*self._headers, *credentials.items()],
            verify=not self._provider.insecure_skip_verify and trusted,
            seconds=seconds,
            limit=limit,
        )
        if isinstance(answer, NoAnswer):
            return QueryFailed(f"{self._server} {answer.reason}")
        data = _data(answer)
        if isinstance(data, str):
            return QueryFailed(f"{self._server} answered {answer.status}{data}")
        try:
            return read(data)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
            problem = f"{printable(str(error))[:QUOTED]}: {answer.quoted()}"
            return QueryFailed(f"{self._server} gave a result that cannot be read: {problem}")


def _authorization(keys: Mapping[str, str], secret: Mapping[str, Any]) -> dict[str, str]:
    """Raises ValueError for a Secret that has nothing of use."""
    if "token" in keys:
        return {"Authorization": f"Bearer {keys['token']}"}
    if "username" in keys and "password" in keys:
        return {"Authorization": aiohttp.encode_basic_auth(keys["username"], keys["password"])}
    if not secret or "ca.crt" in keys:
        return {}
    raise ValueError(f"Secret {secret['metadata']['name']!r} has neither a token nor a username and password")


@lru_cache(maxsize=16)
def _trusting(certificates: str) -> ssl.SSLContext:
    """Trusts these authorities alone. Raises ValueError if they are none."""
    problem = "key 'ca.crt' of the Secret has no certificates in PEM"
    if not certificates:  # for which `ssl` would trust its own default ones
        raise ValueError(problem)
    try:
        return ssl.create_default_context(cadata=certificates)
    except (ssl.SSLError, ValueError):
        raise ValueError(problem) from None


def _data(answer: Answer) -> Mapping[str, Any] | str:
    """The ``data`` of a successful answer, or what is wrong with it."""
    if 300 <= answer.status < 400:
        return ": redirects are not followed, the address must be the final one"
    if not answer.complete:
        return f" with more than can be read: {answer.quoted()}"
    try:
        body = json.loads(answer.text)
    except (ValueError, RecursionError):
        return f", which is not Prometheus' JSON: {answer.quoted()}"
    if isinstance(body, dict) and body.get("status") == "success" and isinstance(body.get("data"), dict):
        return cast("dict[str, Any]", body["data"])
    problem = body.get("error") if isinstance(body, dict) else None
    return f": {answer.quoted(problem if isinstance(problem, str) else None)}"


def _samples(data: Mapping[str, Any]) -> tuple[Sample, ...]:
    match data["resultType"]:
        case "scalar":
            return (Sample({}, float(data["result"][1])),)
        case "vector":
            return tuple(
                Sample({str(name): str(value) for name, value in element["metric"].items()}, float(element["value"][1]))
                for element in data["result"]
            )
        case other:
            raise ValueError(f"a {other} is not a number; the query must give a scalar or an instant vector")


def _by_time(matrix: Matrix) -> History:
    times: dict[float, list[Sample]] = {}
    for element in matrix:
        labels = {str(name): str(value) for name, value in element["metric"].items()}
        for time, value in element["values"]:
            times.setdefault(float(time), []).append(Sample(labels, float(value)))
    return History(tuple(Samples(tuple(times[time])) for time in sorted(times)))


def _matrix(data: Mapping[str, Any]) -> Matrix:
    if data["resultType"] != "matrix":
        raise ValueError(f"a {data['resultType']} is not the answer to a range query")
    return tuple(data["result"])
