"""The objects that an app becomes, beside its Canary: plain mappings, under Kubernetes' own names.

What the stack passes as it is lies over what its short keys say, so that everything can be said, and most need not be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from controller.api.names import primary_name
from controller.api.parse import without_nulls
from stack.app import AppConfig, HpaConfig
from stack.kubernetes import with_quantities
from stack.merge import POD_LISTS, merge
from stack.names import PROXY_ANNOTATION

PORT_NAME = "http"
_FILES = "files"
"""The volume of an app's files."""
_POD_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
_CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""Together what the Pod Security Standard `restricted` asks for."""
_STARTUP_PERIOD = 2
"""Seconds: a pod is ready as soon after its start as this."""


def app_labels(name: str, app: AppConfig) -> dict[str, str]:
    """Of the Deployment and its pods; `app` tells them from the primary's."""
    return {"app": name, **app.labels}


def config_maps(name: str, app: AppConfig) -> Mapping[str, Mapping[str, str]]:
    """The data of the ConfigMaps that the app's pods use, by name."""
    found = {f"{name}-config": app.config, f"{name}-files": {_file_key(path): text for path, text in app.files.items()}}
    return {each: data for each, data in found.items() if data}


def proxy_annotations(version: str) -> dict[str, str]:
    """Of a pod template, so that its pods roll when their sidecars are to have another version; none for no version."""
    return {PROXY_ANNOTATION: version} if version else {}


def build_deployment(name: str, app: AppConfig, proxy: str = "") -> dict[str, Any]:
    """The spec of the app's Deployment; `proxy` is the version of its sidecars.

    Without `replicas`: 1 at first, then they are the controller's or the autoscaler's.
    """
    template: dict[str, Any] = {"metadata": {"labels": app_labels(name, app)}, "spec": build_pod(name, app)}
    if annotations := {**app.annotations, **proxy_annotations(proxy)}:
        template["metadata"]["annotations"] = annotations
    ours = {
        "minReadySeconds": app.min_ready_seconds,
        "revisionHistoryLimit": 5,
        "progressDeadlineSeconds": app.progress_deadline_seconds,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
        "selector": {"matchLabels": {"app": name}},
        "template": template,
    }
    theirs = app.deployment_spec
    if _type_of(theirs.get("strategy")) not in {None, "RollingUpdate"}:
        del ours["strategy"]
    merged: dict[str, Any] = without_nulls(merge(ours, theirs))
    return merged


def images_of(name: str, app: AppConfig) -> dict[str, str]:
    """The images of an app, by container."""
    return {each["name"]: str(each.get("image", "")) for each in build_pod(name, app)["containers"]}


def _type_of(strategy: Any) -> Any:
    return strategy.get("type") if isinstance(strategy, Mapping) else None


def named_pod_spec(name: str, app: AppConfig) -> dict[str, Any]:
    """What the stack passes as the PodSpec, its containers named: one without a name is the app's own."""
    given = dict(app.pod_spec)
    if isinstance(containers := given.get("containers"), list):
        given["containers"] = [
            {**each, "name": each.get("name") or name} if isinstance(each, Mapping) else each for each in containers
        ]
    quantified: dict[str, Any] = with_quantities(given)
    return quantified


def build_pod(name: str, app: AppConfig) -> dict[str, Any]:
    """The PodSpec: the app's own container first, and what the stack passes laid over it.

    Every container of it fits `restricted`, and none gets a token, unless the stack says so.
    """
    given = named_pod_spec(name, app)
    own: Mapping[str, Any] = next((each for each in given.get("containers", ()) if each.get("name") == name), {})
    ours: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "securityContext": _POD_SECURITY,
        "containers": [without_nulls(_build_container(name, app, own.get("ports") or ()))],
    }
    if app.files:
        ours["volumes"] = [{"name": _FILES, "configMap": {"name": f"{name}-files"}}]
    merged = merge(ours, given, lists=POD_LISTS)
    for key in merged.keys() & {"initContainers", "containers"}:
        merged[key] = [merge({"securityContext": _CONTAINER_SECURITY}, each) for each in merged[key] or ()]
    pod: dict[str, Any] = without_nulls(merged)
    return pod


def _build_container(name: str, app: AppConfig, declared: Any) -> dict[str, Any]:
    """The container that the short keys describe; `declared` are the ports that the stack passes beside them."""
    ports, probed = _main_port(app, declared)
    return {
        "name": name,
        "image": app.image_reference,
        "imagePullPolicy": "IfNotPresent",
        "command": app.command or None,
        "env": [{"name": key, "value": value} for key, value in app.env.items()] or None,
        "envFrom": list(_environment(name, app)) or None,
        "ports": ports or None,
        "readinessProbe": _probe(app.readiness_path, probed),
        "livenessProbe": _probe(app.liveness_path, probed),
        # The liveness probe starts after this one has succeeded: a slow start is judged by the progress deadline alone.
        "startupProbe": _probe(
            app.liveness_path,
            probed,
            period_seconds=_STARTUP_PERIOD,
            failure_threshold=math.ceil(app.progress_deadline_seconds / _STARTUP_PERIOD),
        ),
        "resources": {"requests": app.resources.requests, "limits": app.resources.limits},
        "volumeMounts": [
            {"name": _FILES, "mountPath": path, "subPath": _file_key(path), "readOnly": True} for path in app.files
        ]
        or None,
    }


def _main_port(app: AppConfig, declared: Any) -> tuple[list[dict[str, Any]], int | str]:
    """The container's port behind the Service, unless that names one that the stack passes; and where to probe."""
    port = app.service.target_port or app.service.port
    if isinstance(port, str):
        return [], port
    names = {each.get("containerPort"): each.get("name") for each in declared if each.get("protocol") in {None, "TCP"}}
    name = names.get(port) or (None if PORT_NAME in names.values() else PORT_NAME)
    return ([] if port in names else [{"name": name, "containerPort": port}]), name or port


def _environment(name: str, app: AppConfig) -> Iterator[dict[str, Any]]:
    if app.config:
        yield {"configMapRef": {"name": f"{name}-config"}}
    for secret in app.secrets:
        yield {"secretRef": {"name": secret}}


def _probe(
    path: str | None, port: int | str, *, period_seconds: int = 5, failure_threshold: int | None = None
) -> dict[str, Any] | None:
    if path is None:
        return None
    return {
        "httpGet": {"path": path, "port": port},
        "timeoutSeconds": 5,
        "periodSeconds": period_seconds,
        "failureThreshold": failure_threshold,
    }


def _file_key(path: str) -> str:
    """The key of a file in its ConfigMap: a path has slashes, a key has not."""
    return path.removeprefix("/").replace("/", "_")


def build_autoscaler(hpa: HpaConfig) -> dict[str, Any]:
    """The spec of a HorizontalPodAutoscaler, but for what it scales."""
    target = {"type": "Utilization", "averageUtilization": hpa.cpu_utilization}
    cpu = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}] if hpa.has_cpu else []
    spec = {
        "minReplicas": hpa.min_replicas,
        "maxReplicas": hpa.max_replicas,
        "metrics": [*with_quantities(hpa.metrics), *cpu],
    }
    return spec | ({"behavior": hpa.behavior} if hpa.behavior else {})


def build_disruption_budget(name: str, app: AppConfig) -> dict[str, Any] | None:
    """The spec of the PodDisruptionBudget, if there is one: for the primary, which has the users.

    One pod at a time unless the stack says otherwise, so that a node with the only one can be drained.
    """
    if not app.pod_disruption_budget:
        return None
    return {**app.pod_disruption_budget, "selector": {"matchLabels": {"app": primary_name(name)}}}
