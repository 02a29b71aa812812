"""The values of Grafana's chart: Prometheus as its data source, the canary dashboard from a ConfigMap."""

from __future__ import annotations

from typing import Any

from controller.api import MetricProvider

DASHBOARDS = "canary-dashboards"
"""The ConfigMap with the dashboard."""


def build_grafana_values(prometheus: MetricProvider) -> dict[str, Any]:
    """Keys as in the chart's values.yaml."""
    source = {"name": "Prometheus", "uid": "prometheus", "type": "prometheus", "access": "proxy", "isDefault": True}
    names = {f"httpHeaderName{i}": name for i, name in enumerate(prometheus.headers, start=1)}
    values = {f"httpHeaderValue{i}": ", ".join(each) for i, each in enumerate(prometheus.headers.values(), start=1)}
    asked = {"url": prometheus.address} | ({"jsonData": names, "secureJsonData": values} if names else {})
    folder = {"path": "/var/lib/grafana/dashboards/canaries"}
    provider = {"name": "canaries", "orgId": 1, "type": "file", "disableDeletion": True, "options": folder}
    return {
        "testFramework": {"enabled": False},
        # Its dashboards and data sources are files: it reads nothing of the cluster. The chart's pod fits `restricted`.
        "automountServiceAccountToken": False,
        "rbac": {"create": False},
        "datasources": {"datasources.yaml": {"apiVersion": 1, "datasources": [source | asked]}},
        "dashboardProviders": {"dashboardproviders.yaml": {"apiVersion": 1, "providers": [provider]}},
        "dashboardsConfigMaps": {"canaries": DASHBOARDS},
    }
