"""The objects of the canary API that a stack creates."""

from __future__ import annotations

from typing import Any

from controller.api import API_VERSION, Canary, MetricTemplate, parse_canary, parse_metric_template
from controller.api.names import CANARY_KIND, METRIC_TEMPLATE_KIND
from stack.config import AppConfig


def build_canary(name: str, namespace: str, app: AppConfig) -> Canary:
    """The Canary for the Deployment `name`.

    Raises:
        InvalidObject: it is not valid, worded as the API server would word it.
    """
    spec: dict[str, Any] = {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "progressDeadlineSeconds": app.progress_deadline_seconds,
        "service": app.service.to_dict(),
        "analysis": app.analysis.to_dict(),
    }
    if app.hpa.enabled:
        spec["autoscalerRef"] = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": name}
    switches = {"skipAnalysis": app.skip_analysis, "suspend": app.suspend}
    spec |= {field: True for field, on in switches.items() if on}
    metadata = {"name": name, "namespace": namespace}
    return parse_canary({"apiVersion": API_VERSION, "kind": CANARY_KIND, "metadata": metadata, "spec": spec})


def build_metric_template(name: str, namespace: str, query: str, prometheus_url: str) -> MetricTemplate:
    """The MetricTemplate of a query.

    Raises:
        InvalidObject: it is not valid, worded as the API server would word it.
    """
    spec = {"provider": {"type": "prometheus", "address": prometheus_url}, "query": query}
    metadata = {"name": name, "namespace": namespace}
    return parse_metric_template(
        {"apiVersion": API_VERSION, "kind": METRIC_TEMPLATE_KIND, "metadata": metadata, "spec": spec}
    )
