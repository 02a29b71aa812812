"""The values of Grafana's chart: Prometheus as its data source, the canary dashboard from a ConfigMap."""

from __future__ import annotations

from typing import Any

GRAFANA = "flagger-grafana"
DASHBOARDS = "canary-dashboards"
"""The ConfigMap with the dashboard."""


def build_grafana_values(prometheus_url: str) -> dict[str, Any]:
    """Keys as in the chart's values.yaml."""
    source = {"name": "Prometheus", "uid": "prometheus", "type": "prometheus", "access": "proxy", "isDefault": True}
    folder = {"path": "/var/lib/grafana/dashboards/canaries"}
    provider = {"name": "canaries", "orgId": 1, "type": "file", "disableDeletion": True, "options": folder}
    return {
        "testFramework": {"enabled": False},
        "datasources": {"datasources.yaml": {"apiVersion": 1, "datasources": [source | {"url": prometheus_url}]}},
        "dashboardProviders": {"dashboardproviders.yaml": {"apiVersion": 1, "providers": [provider]}},
        "dashboardsConfigMaps": {"canaries": DASHBOARDS},
    }
