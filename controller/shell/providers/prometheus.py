"""Prometheus: instant and range queries (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import aiohttp

from controller.api.metric_template import MetricProvider
from controller.core.analysis.thresholds import number_of
from controller.core.model import NoValues, QueryFailed, Sample, Samples, Value

T = TypeVar("T")

Matrix: TypeAlias = tuple[Mapping[str, Any], ...]
"""Elements with ``metric`` (labels) and ``values`` (pairs of Unix seconds and text)."""

QUERY_SECONDS = 5
"""Timeout of an instant query, as in Flagger."""
RANGE_SECONDS = 120
"""Timeout of a range query."""


class Prometheus:
    """One Prometheus.

    Args:
        session: any HTTP session.
        provider: address, headers, and whether its certificate is checked.
        secret: a Secret with ``token``, or with ``username`` and ``password``; empty for none.
    """

    def __init__(self, session: aiohttp.ClientSession, provider: MetricProvider, secret: Mapping[str, Any]) -> None:
        self._session = session
        self._url = f"{provider.address.rstrip('/')}/api/v1"
        self._verify = not provider.insecure_skip_verify
        self._headers = [(name, value) for name, values in provider.headers.items() for value in values]
        self._secret = secret

    async def query(self, query: str) -> Value | NoValues | QueryFailed:
        """The number that an instant query gives."""
        answer = await self.samples(query)
        return answer if isinstance(answer, QueryFailed) else number_of(answer.samples)

    async def samples(self, query: str) -> Samples | QueryFailed:
        """All that an instant query gives; a scalar is one sample without labels."""
        return await self._ask("query", {"query": query}, QUERY_SECONDS, lambda data: Samples(_samples(data)))

    async def series(self, query: str, *, start: float, end: float, step: float) -> Matrix | QueryFailed:
        """The series of a range query, as Prometheus gives them; ``start`` and ``end`` in Unix seconds."""
        form = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        return await self._ask("query_range", form, RANGE_SECONDS, _matrix)

    async def _ask(
        self, endpoint: str, form: Mapping[str, str], seconds: float, read: Callable[[Mapping[str, Any]], T]
    ) -> T | QueryFailed:
        url = f"{self._url}/{endpoint}"
        try:
            async with self._session.post(
                url,
                data=form,
                headers=[*self._headers, *_authorization(self._secret).items()],
                ssl=self._verify,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                return _answer(url, response.status, await response.text(errors="replace"), read)
        except TimeoutError:
            return QueryFailed(f"{url} gave no answer within {seconds:g}s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return QueryFailed(f"{url} failed: {error or type(error).__name__}")

    async def check(self) -> str:
        """Why it cannot be used; empty if it can (Flagger asks it for ``vector(1)``)."""
        match await self.query("vector(1)"):
            case Value(1.0):
                return ""
            case QueryFailed(reason):
                return reason
            case other:
                return f"{self._url}/query answers vector(1) with {other}"


def _authorization(secret: Mapping[str, Any]) -> dict[str, str]:
    """Raises ValueError for a Secret that has neither."""
    if not secret:
        return {}
    values = {name: _decoded(name, text) for name, text in (secret.get("data") or {}).items()}
    if "token" in values:
        return {"Authorization": f"Bearer {values['token']}"}
    if "username" in values and "password" in values:
        return {"Authorization": aiohttp.encode_basic_auth(values["username"], values["password"])}
    raise ValueError(f"Secret {secret['metadata']['name']!r} has neither a token nor a username and password")


def _decoded(name: str, text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode().strip()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError(f"key {name!r} of the Secret is not text in base64") from None


def _answer(url: str, status: int, text: str, read: Callable[[Mapping[str, Any]], T]) -> T | QueryFailed:
    try:
        body = json.loads(text)
    except ValueError:
        return QueryFailed(f"{url} answered {status}, which is not Prometheus' JSON: {text.strip()[:200]}")
    if not isinstance(body, dict) or body.get("status") != "success":
        reason = body.get("error") if isinstance(body, dict) else None
        return QueryFailed(f"{url} answered {status}: {reason or text.strip()[:200]}")
    try:
        return read(body["data"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        return QueryFailed(f"{url} gave a result that cannot be read ({error}): {text.strip()[:200]}")


def _samples(data: Mapping[str, Any]) -> tuple[Sample, ...]:
    match data["resultType"]:
        case "scalar":
            return (Sample({}, float(data["result"][1])),)
        case "vector":
            return tuple(Sample(element["metric"], float(element["value"][1])) for element in data["result"])
        case other:
            raise ValueError(f"a {other} is not a number; the query must give a scalar or an instant vector")


def _matrix(data: Mapping[str, Any]) -> Matrix:
    if data["resultType"] != "matrix":
        raise ValueError(f"a {data['resultType']} is not the answer to a range query")
    return tuple(data["result"])
