"""Metric providers: one module each; those that answer one request with numbers are entered in `DIALECTS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from controller.api.metric import DEFAULT_METRIC_INTERVAL_SECONDS
from controller.api.metric_template import MetricProvider
from controller.core.probes import History, NoValues, QueryFailed, Samples, Value
from controller.shell.budget import Caller
from controller.shell.outside import Outside, server_of
from controller.shell.providers.cloudwatch import CLOUDWATCH
from controller.shell.providers.datadog import DATADOG
from controller.shell.providers.dynatrace import DYNATRACE
from controller.shell.providers.externalmetrics import EXTERNALMETRICS
from controller.shell.providers.graphite import GRAPHITE
from controller.shell.providers.influxdb import INFLUXDB
from controller.shell.providers.newrelic import NEWRELIC
from controller.shell.providers.prometheus import Prometheus
from controller.shell.providers.rest import Dialect, RestProvider
from controller.shell.providers.splunk import SPLUNK
from controller.shell.providers.stackdriver import STACKDRIVER


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


DIALECTS: Mapping[str, Dialect] = {
    "cloudwatch": CLOUDWATCH,
    "datadog": DATADOG,
    "dynatrace": DYNATRACE,
    "externalmetrics": EXTERNALMETRICS,
    "graphite": GRAPHITE,
    "influxdb": INFLUXDB,
    "newrelic": NEWRELIC,
    "splunk": SPLUNK,
    "stackdriver": STACKDRIVER,
}


def open_provider(
    outside: Outside,
    caller: Caller,
    provider: MetricProvider,
    secret: Mapping[str, Any] | None,
    interval: float = DEFAULT_METRIC_INTERVAL_SECONDS,
) -> Provider | QueryFailed:
    """The provider that a MetricTemplate describes; ``secret`` is the Secret it refers to, ``interval`` in seconds.

    A type that is not supported, and a Secret that is missing, are failures of every query.
    """
    if provider.secret_ref is not None and secret is None:
        where = server_of(provider.address) if provider.address else provider.type
        return QueryFailed(f"Secret {provider.secret_ref.name!r} of the metric provider {where} not found")
    if provider.type == "prometheus":
        return Prometheus(outside, caller, provider, secret)
    if provider.type in DIALECTS:
        return RestProvider(DIALECTS[provider.type], outside, caller, provider, secret, interval)
    return QueryFailed(f"metric provider {provider.type!r} is not supported")
