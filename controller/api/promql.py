"""The queries for Istio's standard metrics, each once: built-in metrics, the stack's templates and its dashboard.

``series`` are label matchers, ``window`` is a duration; both may be placeholders of a template or of Grafana.
"""

from __future__ import annotations

from collections.abc import Iterable

REQUESTS = "istio_requests_total"
CONNECTIONS = "istio_tcp_connections_opened_total"
BUCKETS = "istio_request_duration_milliseconds_bucket"


def destination(namespace: str, workload: str) -> str:
    """Matchers for the requests that pods of workloads got.

    The arguments are strings of PromQL, in their quotes; ``workload`` is a regular expression.
    """
    return f'reporter="destination",destination_workload_namespace={namespace},destination_workload=~{workload}'


TARGET = destination('"{{ namespace }}"', '"{{ target }}"')
"""The canary's pods, in a template."""
INTERVAL = "{{ interval }}"
"""The metric's interval, in a template."""


def success_rate(series: str, window: str) -> str:
    """Percent of requests that were not answered 5xx.

    Flagger's query is empty if every answer is a 5xx, since its numerator then has no series; this one is 0 there, and
    empty only without traffic.
    """
    return _percent(f'{series},response_code!~"5.*"', series, window)


def error_rate(series: str, window: str) -> str:
    """Percent of requests that were answered 5xx; empty without traffic."""
    return _percent(f'{series},response_code=~"5.*"', series, window)


def latency(series: str, window: str, quantile: float = 0.99) -> str:
    """A quantile of the request duration, in milliseconds."""
    return f"histogram_quantile({quantile:g}, sum(rate({BUCKETS}{{{series}}}[{window}])) by (le))"


def request_rate(series: str, window: str) -> str:
    """Requests per second."""
    return f"sum(rate({REQUESTS}{{{series}}}[{window}]))"


def received(series: str, window: str) -> str:
    """Bytes per second that pods got; of TCP where they speak no HTTP."""
    return _first_of(("istio_request_bytes_sum", "istio_tcp_received_bytes_total"), series, window)


def sent(series: str, window: str) -> str:
    """Bytes per second that pods sent back."""
    return _first_of(("istio_response_bytes_sum", "istio_tcp_sent_bytes_total"), series, window)


def _first_of(names: Iterable[str], series: str, window: str) -> str:
    return " or ".join(f"sum(rate({name}{{{series}}}[{window}]))" for name in names)


def _percent(part: str, series: str, window: str) -> str:
    return f"100 * ({request_rate(part, window)} or on() vector(0)) / ({request_rate(series, window)} > 0)"
