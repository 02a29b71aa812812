"""The Grafana dashboard of a canary's analysis: what the controller decides on, primary beside canary.

Its uid and variables are those of Flagger's own dashboard, so existing links keep working:
``/d/flagger-istio/istio-canary?var-namespace=prod&var-primary=backend-primary&var-canary=backend``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from controller.api import promql

DASHBOARD_FILE = "istio-canary.json"

_SOURCE = {"type": "prometheus", "uid": "prometheus"}
_WINDOW = "$__rate_interval"
_WIDTH, _HEIGHT = 8, 8


def build_dashboard() -> dict[str, Any]:
    """A Grafana dashboard, as its JSON model."""
    panels = [_rate(), _error_rate(), _latency(0.99), _weight(), _checks(), _latency(0.5)]
    return {
        "uid": "flagger-istio",
        "title": "Istio Canary",
        "tags": ["canary", "istio"],
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-15m", "to": "now"},
        "templating": {"list": _variables()},
        "panels": [panel | {"id": i + 1, "gridPos": _position(i)} for i, panel in enumerate(panels)],
    }


def _variables() -> list[dict[str, Any]]:
    workloads = f'label_values({promql.REQUESTS}{{destination_workload_namespace="$namespace"}}, destination_workload)'
    return [
        _variable("namespace", f"label_values({promql.REQUESTS}, destination_workload_namespace)"),
        _variable("primary", workloads, "/.*-primary$/"),
        _variable("canary", workloads, "/^(?!.*-primary$).*$/"),
    ]


def _variable(name: str, query: str, regex: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _SOURCE,
        "query": query,
        "regex": regex,
        "refresh": 2,
        "sort": 1,
    }


def _position(index: int) -> dict[str, int]:
    """Three panels a row, over Grafana's 24 columns."""
    row, column = divmod(index, 3)
    return {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}


def _rate() -> dict[str, Any]:
    return _panel("Requests", "reqps", _both(promql.request_rate))


def _error_rate() -> dict[str, Any]:
    return _panel("Error rate (5xx)", "percent", _both(promql.error_rate))


def _latency(quantile: float) -> dict[str, Any]:
    query = partial(promql.latency, quantile=quantile)
    return _panel(f"Latency, {quantile:.0%} of requests", "ms", _both(query))


def _weight() -> dict[str, Any]:
    query = 'flagger_canary_weight{namespace="$namespace", workload=~"$primary|$canary"}'
    return _panel("Traffic weight", "percent", {"{{ workload }}": query})


def _checks() -> dict[str, Any]:
    query = 'flagger_canary_metric_analysis{namespace="$namespace", name="$canary"}'
    return _panel("Metric checks, last value", "none", {"{{ metric }}": query})


def _both(query: Callable[[str, str], str]) -> dict[str, str]:
    """`query` for the primary and for the canary."""
    return {side: query(promql.destination('"$namespace"', f'"${side}"'), _WINDOW) for side in ("primary", "canary")}


def _panel(title: str, unit: str, queries: dict[str, str]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + i), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
        for i, (legend, query) in enumerate(queries.items())
    ]
    defaults = {"unit": unit, "min": 0}
    return {
        "type": "timeseries",
        "title": title,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": targets,
    }
