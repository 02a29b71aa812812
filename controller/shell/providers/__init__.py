"""Metric providers: one module each, entered in `PROVIDERS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from controller.api.metric_template import MetricProvider
from controller.core.probes import History, NoValues, QueryFailed, Samples, Value
from controller.shell.budget import Caller
from controller.shell.outside import Outside, server_of
from controller.shell.providers.prometheus import Prometheus


class Provider(Protocol):
    """A server that answers queries. No method raises: a failure is an answer, judged by the core."""

    async def query(self, query: str) -> Value | NoValues | QueryFailed:
        """The query's number."""
        ...

    async def samples(self, query: str) -> Samples | QueryFailed:
        """All elements of the query's result, with their labels."""
        ...

    async def history(self, query: str, looks: int, step: int) -> History | QueryFailed:
        """All elements of the query's result at ``looks`` times up to now, ``step`` seconds apart."""
        ...

    async def check(self) -> str:
        """Why the server cannot be used; empty if it can."""
        ...


PROVIDERS: Mapping[str, type[Prometheus]] = {"prometheus": Prometheus}


def open_provider(
    outside: Outside, caller: Caller, provider: MetricProvider, secret: Mapping[str, Any] | None
) -> Provider | QueryFailed:
    """The provider that a MetricTemplate describes; ``secret`` is the Secret it refers to.

    A type that is not supported, and a Secret that is missing, are failures of every query.
    """
    opened = PROVIDERS.get(provider.type)
    if opened is None:
        return QueryFailed(f"metric provider {provider.type!r} is not supported; supported: {', '.join(PROVIDERS)}")
    if provider.secret_ref is not None and secret is None:
        return QueryFailed(
            f"Secret {provider.secret_ref.name!r} of the metric provider {server_of(provider.address)} not found"
        )
    return opened(outside, caller, provider, secret)
