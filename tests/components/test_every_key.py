"""Every key of the stack's own configuration changes an object: nothing is silently ignored."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pulumi
import pytest
from pydantic import BaseModel

from controller.api.alert_provider import AlertProviderSpec
from controller.api.analysis import Analysis
from controller.api.metric_template import MetricProvider
from controller.api.service import ServiceSpec
from stack.config import StackConfig
from stack.merge import merge
from tests.components.recording import IMAGE, PROJECT, run_program

CART = {"image": "registry.example/cart", "tag": "1", "service": {"port": 80}}
TLS = {"gateway": {"credentialName": "shop-tls"}}
BUILT = {"controller": {"image": "registry.example/controller", "build": {"enabled": True}}}
TARGET = {"apps": {"cart": None}, "targets": {"cart": {"service": {"port": 80}}}}
RESOURCES = {"cpu": "70m"}
MEMORY = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "200Mi"}},
}
EXTERNAL = {"observability": {"prometheus": {"enabled": False, "url": "http://prometheus.example"}}}
EXISTING = {
    "istio": {
        "enabled": False,
        "existing": {"gatewaySelector": {"istio": "edge"}, "gatewayService": "edge.istio-system"},
    }
}
NEXT = {"istio": {"revisions": {"next": "1.32.0"}}}
NO_HOOKS = {"webhooks": {"conformance-test": None, "load-test": None}}

OTHER_GATEWAY = {
    "gateways": {"cart": {"hosts": ["shop.example"], "credentialName": "shop-tls", "selector": {"istio": "edge"}}},
    "secrets": {"shop-tls": {"tls.crt": "c", "tls.key": "k"}, "other-tls": {"tls.crt": "c", "tls.key": "k"}},
    "apps": {"cart": {"secrets": ["other-tls", "shop-tls"]}},
}
LOGIN = {
    "istio": {"repository": "https://charts.example"},
    "observability": {"grafana": {"repository": "https://charts.example"}},
    "alerts": {"team": {"provider": {"type": "slack", "secretRef": {"name": "charts"}}}},
    "secrets": {"charts": {"username": "alice", "password": "hunter2", "address": "https://chat.example"}},
}
CNI = {"istio": {"cni": {"enabled": True}}}
STORED = {"observability": {"prometheus": {"storage": {"size": "10Gi"}}}}
QUEUE = {"observability": {"metricTemplates": {"cart": {"query": "up"}}}}
ALERT = {
    "alerts": {"cart": {"provider": {"type": "slack", "secretRef": {"name": "chat"}}}},
    "secrets": {"chat": {"address": "https://chat.example"}},
}
KEYS_OF_PAGE = '{"keys": [{"kty": "RSA", "n": "x", "e": "AQAB"}]}'
JWT = {"issuer": "https://login.example.com", "audiences": ["rollouts"]}


def behind_gateway(**auth: Any) -> dict[str, Any]:
    page = {"gateway": {"host": "rollouts.example.com", "auth": auth}}
    authorizers = [{"name": name, "envoyExtAuthzHttp": {"service": "a.b", "port": 1}} for name in ("sign-in", "other")]
    mesh = {"meshConfig": {"extensionProviders": authorizers}}
    return {"controller": {"image": IMAGE, "page": page}, "istio": {"values": {"istiod": mesh}}}


BEHIND_GATEWAY = behind_gateway(jwt={**JWT, "jwks": KEYS_OF_PAGE, "header": "X-Token"})
BY_COOKIE = behind_gateway(jwt={**JWT, "jwksUri": "https://login.example.com/keys", "cookie": "page"})
SIGNED_IN = behind_gateway(provider="sign-in")
OVERRIDE = {"promotion": {"override": {"cart": {"version": "1", "by": "alice", "why": "hotfix"}}}}
FREEZE = [{"from": "2026-01-01T00:00:00Z", "to": "2999-01-01T00:00:00Z", "reason": "sale"}]

PROMOTED = {
    name: {"receipt": {"revision": "0" * 16, "images": {name: image}, "promotedAt": "2026-01-01T00:00:00Z"}}
    for name, image in (
        ("cart", "registry.example/cart:1"),
        ("frontend", "ghcr.io/stefanprodan/podinfo:6.1.0"),
        ("backend", "ghcr.io/stefanprodan/podinfo:6.1.0"),
    )
}
"""What the stack `qa` has made of the apps."""

KEYS: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    # key -> (a value that is not the default, the rest of the stack if the key needs one)
    "istio.enabled": (False, {"gateway": {"enabled": False}}),
    "istio.existing.revision": ("stable", EXISTING),
    "istio.existing.gatewaySelector": ({"istio": "door"}, EXISTING),
    "istio.existing.gatewayService": ("door.istio-system", EXISTING),
    "istio.createNamespace": (False, {}),
    "istio.version": ("1.31.0", {}),
    "istio.revisions.stable": ("1.30.4", {}),
    "istio.revisions.next": ("1.32.0", {}),
    "istio.cni.enabled": (True, {}),
    "istio.cni.namespace": ("kube-system", CNI),
    "istio.cni.values": ({"cniBinDir": "/home/kubernetes/bin"}, CNI),
    "istio.gatewayRevision": ("next", NEXT),
    "istio.repository": ("https://mirror.example/charts", {}),
    "istio.repositorySecret": ("charts", LOGIN),
    "istio.chartPath": ("CHARTS", {}),
    "istio.values.base": ({"defaultRevision": "a"}, {}),
    "istio.values.istiod": ({"autoscaleEnabled": True}, {}),
    "istio.values.gateway": ({"replicaCount": 2}, {}),
    "istio.timeoutSeconds": (60, {}),
    "istio.awaitGateway": (False, {}),
    "observability.prometheus.url": ("http://other.example", EXTERNAL),
    "observability.prometheus.headers": ({"X-Scope-OrgID": ["shop"]}, EXTERNAL),
    "observability.prometheus.secretRef.name": ("monitoring", EXTERNAL),
    "observability.prometheus.image": ("mirror.example/prometheus:1", {}),
    "observability.prometheus.retention": ("1d", {}),
    "observability.prometheus.pullSecrets": (["mirror"], {}),
    "controller.pullSecrets": (["mirror"], {}),
    "loadTester.pullSecrets": (["mirror"], {}),
    "observability.prometheus.storage.size": ("20Gi", STORED),
    "observability.prometheus.storage.storageClass": ("fast", STORED),
    "observability.prometheus.appMetrics": (True, {}),
    "observability.prometheus.containerMetrics": (False, {}),
    "observability.prometheus.scrapeConfigs": ([{"job_name": "a"}], {}),
    "observability.prometheus.scrapeInterval": ("30s", {}),
    "observability.prometheus.resources.requests": (RESOURCES, {}),
    "observability.prometheus.resources.limits": (RESOURCES, {}),
    "observability.grafana.enabled": (False, {}),
    "observability.grafana.repository": ("oci://mirror.example/charts", {}),
    "observability.grafana.repositorySecret": ("charts", LOGIN),
    "observability.grafana.version": ("1.0.0", {}),
    "observability.grafana.values": ({"replicas": 2}, {}),
    "observability.metricTemplates.<name>.query": ("up", {}),
    "observability.metricTemplates.<name>.provider": ({"type": "graphite", "address": "http://g.example"}, QUEUE),
    "alerts.<name>.provider": ({"type": "webhook", "address": "https://chat.example"}, ALERT),
    "alerts.<name>.severity": ("error", ALERT),
    "alerts.<name>.canaries": (["prod/frontend"], ALERT),
    "secrets": ({"chat": {"address": "https://other.example"}}, ALERT),
    "gateway.enabled": (False, {}),
    "gateway.name": ("door", {}),
    "gateway.hosts": (["shop.example"], {}),
    "gateway.httpPort": (8080, {}),
    "gateway.httpsPort": (8443, TLS),
    "gateway.credentialName": ("other-tls", TLS),
    "gateways.<name>.namespace": ("prod", OTHER_GATEWAY),
    "gateways.<name>.ownPods": (True, {"gateways": {"cart": {"hosts": ["shop.example"]}}}),
    "gateways.<name>.values": ({"replicaCount": 2}, {"gateways": {"cart": {"ownPods": True}}}),
    "gateways.<name>.selector": ({"istio": "door"}, OTHER_GATEWAY),
    "gateways.<name>.podsNamespace": ("door", OTHER_GATEWAY),
    "gateways.<name>.hosts": (["cart.example"], OTHER_GATEWAY),
    "gateways.<name>.httpPort": (8080, OTHER_GATEWAY),
    "gateways.<name>.httpsPort": (8443, OTHER_GATEWAY),
    "gateways.<name>.credentialName": ("other-tls", OTHER_GATEWAY),
    "namespace.name": ("shop", {}),
    "namespace.labels": ({"team": "shop"}, {}),
    "namespace.injection": (False, {}),
    "namespace.revision": ("next", NEXT),
    "namespace.mtls": ("STRICT", {}),
    "namespace.callers": ([], {}),
    "crds.enabled": (False, {}),
    "controller.name": ("flagger", {}),
    "controller.image": ("registry.example/other:1", {}),
    "controller.build.enabled": (True, {"controller": {"image": "registry.example/controller"}}),
    "controller.build.command": ("make image", BUILT),
    "controller.build.publish": ("make push", BUILT),
    "controller.replicas": (0, {}),
    "controller.logLevel": ("debug", {}),
    "controller.minimumInterval": ("5s", {}),
    "controller.maxRollouts": (3, {}),
    "controller.maxRolloutsPerNamespace": (1, {}),
    "controller.metricsServer": ("http://other.example", {}),
    "controller.namespaces": (["prod"], {}),
    "controller.trust.crossNamespaceReferences": (False, {}),
    "controller.trust.hosts": (["[*]"], {}),
    "controller.trust.gateways": (["istio-system/*"], {}),
    "controller.trust.addresses": (["*.{namespace}"], {}),
    "controller.page.enabled": (False, {}),
    "controller.page.url": ("https://rollouts.example.com", {}),
    "controller.page.gateway.host": ("watch.example.com", BEHIND_GATEWAY),
    "controller.page.gateway.auth.provider": ("other", SIGNED_IN),
    "controller.page.gateway.auth.jwt.issuer": ("https://other.example.com", BEHIND_GATEWAY),
    "controller.page.gateway.auth.jwt.audiences": (["other"], BEHIND_GATEWAY),
    "controller.page.gateway.auth.jwt.jwks": ('{"keys": [{"kty": "EC", "x": "y"}]}', BEHIND_GATEWAY),
    "controller.page.gateway.auth.jwt.jwksUri": ("https://other.example.com/keys", BY_COOKIE),
    "controller.page.gateway.auth.jwt.header": ("X-Other", BEHIND_GATEWAY),
    "controller.page.gateway.auth.jwt.cookie": ("other", BY_COOKIE),
    "controller.args": (["--event-webhook=http://events.example"], {}),
    "controller.resources.requests": (RESOURCES, {}),
    "controller.resources.limits": (RESOURCES, {}),
    "rollouts.follow": (False, {}),
    "promotion.from": ("staging", {}),
    "promotion.context": ("staging", {}),
    "promotion.soak": ("100000h", {"promotion": {"from": "qa"}}),
    "promotion.override.<name>.version": ("2", OVERRIDE),
    "promotion.override.<name>.by": ("bob", OVERRIDE),
    "promotion.override.<name>.why": ("outage", OVERRIDE),
    "blocked": ({"cart": {"1": "leaks"}}, {}),
    "promotion.freeze": (FREEZE, {}),
    "loadTester.enabled": (False, {"apps": {app: {"analysis": NO_HOOKS} for app in ("frontend", "backend")}}),
    "loadTester.image": ("mirror.example/loadtester:1", {}),
    "loadTester.resources.requests": (RESOURCES, {}),
    "loadTester.resources.limits": (RESOURCES, {}),
    "networkPolicies.enabled": (False, {}),
    "networkPolicies.monitoring": (["monitoring"], {}),
    "apps.<name>.image": ("registry.example/other", {}),
    "apps.<name>.tag": ("2", {}),
    "apps.<name>.command": (["run"], {}),
    "apps.<name>.env": ({"A": "1"}, {}),
    "apps.<name>.config": ({"A": "1"}, {}),
    "apps.<name>.secrets": (["a.b"], {}),
    "apps.<name>.readinessPath": ("/ready", {}),
    "apps.<name>.livenessPath": ("/live", {}),
    "apps.<name>.resources.requests": (RESOURCES, {}),
    "apps.<name>.resources.limits": (RESOURCES, {}),
    "apps.<name>.minReadySeconds": (1, {}),
    "apps.<name>.progressDeadlineSeconds": (60, {}),
    "apps.<name>.hpa.enabled": (False, {}),
    "apps.<name>.hpa.minReplicas": (2, {}),
    "apps.<name>.hpa.maxReplicas": (9, {}),
    "apps.<name>.hpa.cpuUtilization": (50, {}),
    "apps.<name>.hpa.metrics": ([MEMORY], {}),
    "apps.<name>.hpa.behavior": ({"scaleUp": {"stabilizationWindowSeconds": 60}}, {}),
    "apps.<name>.files": ({"/etc/cart.yaml": "a: 1"}, {}),
    "apps.<name>.podSpec": ({"serviceAccountName": "cart"}, {}),
    "apps.<name>.labels": ({"team": "shop"}, {}),
    "apps.<name>.annotations": ({"example.com/team": "shop"}, {}),
    "apps.<name>.deploymentSpec": ({"revisionHistoryLimit": 2}, {}),
    "apps.<name>.replicas": (2, {}),
    "apps.<name>.podDisruptionBudget": ({"minAvailable": 1}, {}),
    "apps.<name>.lostRoutes": ({"old.example": "moved"}, {}),
    "apps.<name>.canary": ({"rollbackWindow": "24h"}, {}),
    "apps.<name>.skipAnalysis": (True, {}),
    "apps.<name>.suspend": (True, {}),
    "apps.<name>.service": ({"port": 81}, {}),
    "apps.<name>.analysis": ({"stepWeight": 7}, {}),
    "targets.<name>.kind": ("DaemonSet", TARGET),
    "targets.<name>.hpa.enabled": (False, merge(TARGET, {"targets": {"cart": {"hpa": {}}}})),
    "targets.<name>.hpa.minReplicas": (2, TARGET),
    "targets.<name>.hpa.maxReplicas": (9, TARGET),
    "targets.<name>.hpa.cpuUtilization": (50, TARGET),
    "targets.<name>.hpa.metrics": ([MEMORY], TARGET),
    "targets.<name>.hpa.behavior": ({"scaleUp": {"stabilizationWindowSeconds": 60}}, TARGET),
    "targets.<name>.progressDeadlineSeconds": (60, TARGET),
    "targets.<name>.lostRoutes": ({"old.example": "moved"}, TARGET),
    "targets.<name>.canary": ({"rollbackWindow": "24h"}, TARGET),
    "targets.<name>.skipAnalysis": (True, TARGET),
    "targets.<name>.suspend": (True, TARGET),
    "targets.<name>.service": ({"port": 81}, TARGET),
    "targets.<name>.analysis": ({"stepWeight": 7}, TARGET),
    "namespace.create": (False, {}),
    "namespaces.<name>.create": (False, {"namespaces": {"cart": {"apps": {"cart": CART}}}}),
    "namespaces.<name>.labels": ({"team": "shop"}, {}),
    "namespaces.<name>.injection": (False, {}),
    "namespaces.<name>.revision": ("next", NEXT),
    "namespaces.<name>.mtls": ("STRICT", {}),
    "namespaces.<name>.callers": ([], {}),
    "namespaces.<name>.apps": ({"cart": CART}, {}),
    "namespaces.<name>.targets": ({"cart": {"service": {"port": 80}}}, {}),
}


def keys_of(annotation: Any, path: str = "") -> Iterator[str]:
    """The keys of the model; what becomes the Canary's spec as it is counts as one, and so do apps elsewhere."""
    if annotation in {ServiceSpec, Analysis, MetricProvider | None, AlertProviderSpec | None} or path in {
        "namespaces.<name>.apps",
        "namespaces.<name>.targets",
    }:
        yield path
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield from keys_of(field.annotation, f"{path}.{field.alias or name}".removeprefix("."))
    elif get_origin(annotation) is dict and (below := [*keys_of(get_args(annotation)[1], f"{path}.<name>")]) != [
        f"{path}.<name>"
    ]:
        yield from below
    elif get_origin(annotation) in {Union, UnionType, Annotated}:
        yield from keys_of(get_args(annotation)[0], path)
    else:
        yield path


def test_the_table_has_every_key() -> None:
    # Those that allow no other keys beside them, or need another: test_parts.py has them.
    others = [
        "controller.enabled",
        "observability.metricTemplates.<name>.create",
        "observability.prometheus.enabled",
    ]
    assert sorted([*KEYS, *others]) == sorted(keys_of(StackConfig))


@pytest.mark.parametrize("key", KEYS)
def test_the_key_changes_an_object(key: str, tmp_path: Path) -> None:
    value, rest = KEYS[key]
    stack = merge({"apps": {"cart": CART, "frontend": {}}, "controller": {"image": IMAGE}}, rest)
    for chart in ("base", "istiod", "gateway"):
        (tmp_path / chart).mkdir()
        (tmp_path / chart / "Chart.yaml").touch()
    changed: Any = str(tmp_path) if value == "CHARTS" else value
    for part in reversed(key.split(".")):
        changed = {("cart" if part == "<name>" else part): changed}
    assert objects_of(merge(stack, changed)) != objects_of(stack)


def objects_of(stack: Mapping[str, Any]) -> Mapping[tuple[str, str], Any]:
    """The inputs of every object of the program, or why there is none."""
    return _objects_of(json.dumps(stack))


@functools.cache
def _objects_of(stack: str) -> Mapping[tuple[str, str], Any]:
    try:
        stacks = {f"organization/{PROJECT}/qa": {"rollouts": PROMOTED}}
        program = run_program(json.loads(stack), stacks=stacks, secret=[f"{PROJECT}:secrets"])
    except pulumi.RunError as error:
        return {("refused", ""): str(error)}
    return {(resource.kind, resource.name): resource.inputs for resource in program.resources}
