"""The objects of the canary API that a stack creates, and what goes with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_kubernetes import autoscaling

from controller.api import API_VERSION, Canary, InvalidObject, MetricTemplate, parse_canary, parse_metric_template
from controller.api.names import CANARY_KIND, METRIC_TEMPLATE_KIND
from stack.app import AppConfig, CanariedConfig, TargetConfig
from stack.kubernetes import find_problems, with_quantities
from stack.names import LOST_ROUTES_ANNOTATION
from stack.observability import MetricTemplateConfig, PrometheusConfig
from stack.workload import build_autoscaler


def build_canary(name: str, namespace: str, config: AppConfig | TargetConfig) -> Canary:
    """The Canary for the workload `name`.

    Raises:
        InvalidObject: it is not valid, worded as the API server would word it.
    """
    spec = {
        **other_fields(config),
        "targetRef": {"apiVersion": "apps/v1", "kind": config.kind, "name": name},
        "service": config.service.to_dict(),
        "analysis": config.analysis.to_dict(),
    }
    return _parse({"name": name, "namespace": namespace}, spec)


def canaried_arguments(name: str, config: AppConfig | TargetConfig) -> dict[str, Any]:
    """What a stack says of a Canary, as arguments of `Canaried`, beside its target."""
    lost = "\n".join(f"{route}: {' '.join(why.split())}" for route, why in config.lost_routes.items())
    return {
        "service": config.service.to_dict(),
        "analysis": config.analysis.to_dict(),
        "autoscaler": build_autoscaler(config.autoscaler) if config.autoscaler else None,
        "labels": {"app": name},
        "annotations": {LOST_ROUTES_ANNOTATION: lost} if lost else None,
        "spec": other_fields(config),
    }


def other_fields(config: CanariedConfig) -> dict[str, Any]:
    """What a stack says of a Canary, as fields of its spec, beside `service` and `analysis`."""
    switches = {"skipAnalysis": config.skip_analysis, "suspend": config.suspend}
    return {
        **config.canary,
        "progressDeadlineSeconds": config.progress_deadline_seconds,
        **{field: True for field, on in switches.items() if on},
    }


def valid_canary_spec(canary: Mapping[str, Any]) -> dict[str, Any]:
    """The spec of a Canary with this `name`, `namespace` and `spec`.

    Raises:
        pulumi.RunError: it is not valid, worded as the API server would word it.
    """
    try:
        spec: dict[str, Any] = _parse(canary, canary["spec"]).to_dict()["spec"]
    except InvalidObject as error:
        raise pulumi.RunError(str(error)) from None
    return spec


def valid_autoscaler_spec(autoscaler: Mapping[str, Any]) -> dict[str, Any]:
    """The spec of a HorizontalPodAutoscaler with this `name`, `namespace` and `spec`, that scales `targetRef`.

    Raises:
        pulumi.RunError: it is not valid, worded as the API server would word it.
    """
    spec: dict[str, Any] = with_quantities({**autoscaler["spec"], "scaleTargetRef": autoscaler["targetRef"]})
    if problems := [*find_problems(spec, autoscaling.v2.HorizontalPodAutoscalerSpecArgs, "spec")]:
        found = InvalidObject("HorizontalPodAutoscaler", autoscaler["namespace"] or "", autoscaler["name"], problems)
        raise pulumi.RunError(str(found))
    return spec


def _parse(named: Mapping[str, Any], spec: Mapping[str, Any]) -> Canary:
    metadata = {key: named[key] for key in ("name", "namespace")}
    return parse_canary({"apiVersion": API_VERSION, "kind": CANARY_KIND, "metadata": metadata, "spec": spec})


def build_metric_template(
    name: str, namespace: str, config: MetricTemplateConfig, prometheus: PrometheusConfig
) -> MetricTemplate:
    """The MetricTemplate, which asks `prometheus` unless it names another server.

    Raises:
        InvalidObject: it is not valid, worded as the API server would word it.
    """
    provider = config.provider or prometheus.provider
    spec = {"provider": provider.to_dict(), "query": config.query}
    metadata = {"name": name, "namespace": namespace}
    return parse_metric_template(
        {"apiVersion": API_VERSION, "kind": METRIC_TEMPLATE_KIND, "metadata": metadata, "spec": spec}
    )
