"""Prometheus: instant queries (https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries)."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Any

import aiohttp

from controller.api.metric_template import MetricProvider
from controller.core.model import NoValues, QueryFailed, Sample, Samples, Value

QUERY_SECONDS = 5
"""Flagger's time-out of a query."""


class Prometheus:
    """One Prometheus.

    Args:
        session: any HTTP session.
        provider: address, headers, and whether its certificate is checked.
        secret: a Secret with ``token``, or with ``username`` and ``password``; empty for none.
    """

    def __init__(self, session: aiohttp.ClientSession, provider: MetricProvider, secret: Mapping[str, Any]) -> None:
        self._session = session
        self._url = f"{provider.address.rstrip('/')}/api/v1/query"
        self._verify = not provider.insecure_skip_verify
        self._headers = [(name, value) for name, values in provider.headers.items() for value in values]
        self._secret = secret

    async def query(self, query: str) -> Value | NoValues | QueryFailed:
        """The number that an instant query gives: of a vector the last (Flagger); NaN or nothing is no value."""
        samples = await self.samples(query)
        if isinstance(samples, QueryFailed):
            return samples
        if not samples.samples or math.isnan(samples.samples[-1].value):
            return NoValues()
        return Value(samples.samples[-1].value)

    async def samples(self, query: str) -> Samples | QueryFailed:
        """All that an instant query gives; a scalar is one sample without labels."""
        try:
            async with self._session.post(
                self._url,
                data={"query": query},
                headers=[*self._headers, *_authorization(self._secret).items()],
                ssl=self._verify,
                timeout=aiohttp.ClientTimeout(total=QUERY_SECONDS),
            ) as response:
                return _answer(self._url, response.status, await response.text(errors="replace"))
        except TimeoutError:
            return QueryFailed(f"{self._url} gave no answer within {QUERY_SECONDS}s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return QueryFailed(f"{self._url} failed: {error or type(error).__name__}")

    async def check(self) -> str:
        """Why it cannot be used; empty if it can (Flagger asks it for ``vector(1)``)."""
        match await self.query("vector(1)"):
            case Value(1.0):
                return ""
            case QueryFailed(reason):
                return reason
            case other:
                return f"{self._url} answers vector(1) with {other}"


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


def _answer(url: str, status: int, text: str) -> Samples | QueryFailed:
    try:
        body = json.loads(text)
    except ValueError:
        return QueryFailed(f"{url} answered {status}, which is not Prometheus' JSON: {text.strip()[:200]}")
    if not isinstance(body, dict) or body.get("status") != "success":
        reason = body.get("error") if isinstance(body, dict) else None
        return QueryFailed(f"{url} answered {status}: {reason or text.strip()[:200]}")
    try:
        return Samples(_samples(body["data"]))
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
