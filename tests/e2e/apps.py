"""Canaries beside the program's, in a namespace of their own: what a test applies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMESPACE = "trials"


def deployment(
    name: str, revision: str = "1", *, tag: str = "6.1.0", port: int = 9898, labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    labels = dict(labels or {"app": name})
    container = {
        "name": "podinfo",
        "image": f"ghcr.io/stefanprodan/podinfo:{tag}",
        "imagePullPolicy": "IfNotPresent",
        "command": ["./podinfo", f"--port={port}"],
        "env": [{"name": "REVISION", "value": revision}],
        "ports": [{"name": "http", "containerPort": port}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": port}, "periodSeconds": 1},
    }
    return _of_pods(name, NAMESPACE, labels, labels, container)


def canary(name: str, target: str | None = None, **analysis: Any) -> dict[str, Any]:
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target or name},
            "service": {"port": 9898},
            "analysis": {"interval": "3s", "threshold": 2, "stepWeight": 10, "maxWeight": 50, **analysis},
        },
    }


def template(name: str, query: str, address: str = "http://prometheus.istio-system:9090") -> dict[str, Any]:
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"provider": {"type": "prometheus", "address": address}, "query": query},
    }


def metric(name: str) -> dict[str, Any]:
    return {"name": name, "templateRef": {"name": name}, "thresholdRange": {"max": 1}, "interval": "10s"}


def caller(name: str, namespace: str, image: str, *, inject: bool) -> dict[str, Any]:
    """A pod in which tests run commands; without a sidecar it calls as somebody from outside the mesh does."""
    labels = {"app": name}
    container = {"name": "shell", "image": image, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "1h"]}
    return _of_pods(name, namespace, labels, {**labels, "sidecar.istio.io/inject": str(inject).lower()}, container)


def _of_pods(
    name: str, namespace: str, selector: Mapping[str, str], labels: Mapping[str, str], container: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": selector},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
