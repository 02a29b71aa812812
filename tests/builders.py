"""Objects for tests: a whole, valid default each, and only what a test is about said by the test."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from controller.api.canary import Canary
from controller.api.metric_template import MetricTemplate
from controller.api.parse import parse_canary, parse_metric_template

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
NAMESPACE = "prod"

WEIGHTED: Mapping[str, Any] = {"interval": "10s", "threshold": 3, "stepWeight": 20, "maxWeight": 50}
AB_TESTING: Mapping[str, Any] = {
    "interval": "10s",
    "threshold": 3,
    "iterations": 2,
    "match": [{"headers": {"user-agent": {"regex": ".*Firefox.*"}}}],
}
BLUE_GREEN: Mapping[str, Any] = {"interval": "10s", "threshold": 3, "iterations": 2}

ERROR_RATE: Mapping[str, Any] = {
    "name": "error-rate",
    "templateRef": {"name": "error-rate", "namespace": "istio-system"},
    "thresholdRange": {"max": 1},
    "interval": "30s",
}


def canary_manifest(
    *,
    name: str = "backend",
    kind: str = "Deployment",
    analysis: Mapping[str, Any] = WEIGHTED,
    service: Mapping[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A Canary as the API serves it; ``spec`` adds to or replaces parts of the default spec."""
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{name}",
            "generation": 1,
            "resourceVersion": "1",
        },
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": kind, "name": name},
            "service": {"port": 9898, **(service or {})},
            "analysis": copy.deepcopy(dict(analysis)),
            **spec,
        },
    }


def make_canary(**parts: Any) -> Canary:
    """See ``canary_manifest``."""
    return parse_canary(canary_manifest(**parts))


def webhook(name: str, type_: str) -> dict[str, Any]:
    return {"name": name, "type": type_, "url": f"http://hooks.test/{name}"}


def error_rate_template(
    query: str = 'errors{workload="{{ target }}",namespace="{{ namespace }}"}[{{ interval }}]',
) -> MetricTemplate:
    return parse_metric_template(
        {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "MetricTemplate",
            "metadata": {"name": "error-rate", "namespace": "istio-system"},
            "spec": {
                "provider": {"type": "prometheus", "address": "http://prometheus.istio-system:9090"},
                "query": query,
            },
        }
    )


def make_deployment(
    name: str = "backend",
    *,
    image: str = "podinfo:1",
    replicas: int | None = 1,
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A Deployment whose rollout is done."""
    labels = labels or {"app": name}
    wanted = 1 if replicas is None else replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{name}",
            "generation": 1,
            "resourceVersion": "1",
        },
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "selector": {"matchLabels": dict(labels)},
            "strategy": {"type": "RollingUpdate"},
            "template": {
                "metadata": {"labels": dict(labels), "annotations": {"prometheus.io/scrape": "true"}},
                "spec": {
                    "containers": [{"name": name, "image": image, "ports": [{"name": "http", "containerPort": 9898}]}]
                },
            },
        },
        "status": ready_status(wanted, 1),
    }


def make_daemon_set(
    name: str = "backend", *, image: str = "podinfo:1", labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A DaemonSet whose rollout is done, in a cluster of one node."""
    made = make_deployment(name, image=image, replicas=None, labels=labels)
    spec = {**made["spec"], "updateStrategy": {"type": "RollingUpdate"}}
    del spec["strategy"]
    return {**made, "kind": "DaemonSet", "spec": spec, "status": daemon_status(made["status"])}


def make_target(kind: str) -> dict[str, Any]:
    """The workload that ``canary_manifest`` of a kind names."""
    return {"Deployment": make_deployment, "DaemonSet": make_daemon_set}[kind]()


def daemon_status(status: Mapping[str, Any]) -> dict[str, Any]:
    """What the DaemonSet controller reports where the Deployment controller would report ``status``."""
    wanted, old = status["updatedReplicas"], status["replicas"] - status["updatedReplicas"]
    return {
        "observedGeneration": status["observedGeneration"],
        "desiredNumberScheduled": wanted,
        "currentNumberScheduled": wanted,
        "updatedNumberScheduled": wanted - old,
        "numberAvailable": status["availableReplicas"],
        "numberReady": status["availableReplicas"],
        "numberMisscheduled": 0,
    }


def ready_status(replicas: int, generation: int) -> dict[str, Any]:
    """What the Deployment controller reports when all replicas run the newest template."""
    return {
        "observedGeneration": generation,
        "replicas": replicas,
        "updatedReplicas": replicas,
        "availableReplicas": replicas,
    }


def waiting_status(replicas: int, generation: int) -> dict[str, Any]:
    """Pods of the newest template are on their way."""
    return {
        "observedGeneration": generation,
        "replicas": replicas + 1,
        "updatedReplicas": replicas,
        "availableReplicas": replicas,
    }


def down_status(replicas: int, generation: int) -> dict[str, Any]:
    """The pods run the newest template, and none of them is available."""
    return {**ready_status(replicas, generation), "availableReplicas": 0}


def expired_status(replicas: int, generation: int) -> dict[str, Any]:
    """Pods of the newest template did not come up within the Deployment's progress deadline."""
    exceeded = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    return {**waiting_status(replicas, generation), "conditions": [exceeded]}


def make_autoscaler(name: str = "backend", *, low: int = 2, high: int = 4) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": NAMESPACE, "resourceVersion": "1"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": low,
            "maxReplicas": high,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 99}},
                }
            ],
        },
    }


def make_scaled_object(name: str = "backend", *, low: int = 2, high: int = 4, **spec: Any) -> dict[str, Any]:
    """KEDA's autoscaler, with one trigger by a query."""
    query = 'sum(rate(requests{app="backend"}[1m]))'
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name, "namespace": NAMESPACE, "resourceVersion": "1"},
        "spec": {
            "scaleTargetRef": {"name": name},
            "minReplicaCount": low,
            "maxReplicaCount": high,
            "triggers": [{"type": "prometheus", "name": "load", "metadata": {"query": query, "threshold": "5"}}],
            **spec,
        },
    }


def make_config(name: str, data: Mapping[str, str], *, kind: str = "ConfigMap", **extra: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, "resourceVersion": "1"},
        "data": dict(data),
        **extra,
    }
