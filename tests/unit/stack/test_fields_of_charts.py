"""What apps say in the values of three charts can be said in a stack, field by field.

The charts are podinfo's own, Stakater's `application` and Bitnami's `nginx`; a row has the names of a field there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from stack.load import parse
from stack.merge import merge
from stack.objects import other_fields, valid_canary_spec
from stack.workload import build_autoscaler, build_deployment, build_disruption_budget, config_maps

APP = {"image": "registry.example/cart", "tag": "1", "service": {"port": 80, "targetPort": 8080}}


@dataclass(frozen=True)
class Field:
    """One field.

    Attributes:
        podinfo, stakater, bitnami: what it is called there; empty where the chart has none.
        app: how a stack says it.
        at: where it is in the objects.
        value: what is there then; that of `app` where it is not given.
    """

    podinfo: str
    stakater: str
    bitnami: str
    app: Mapping[str, Any]
    at: str
    value: Any

    @property
    def name(self) -> str:
        return self.podinfo or self.stakater or self.bitnami


def own(**fields: Any) -> dict[str, Any]:
    """A field of the app's container."""
    return {"podSpec": {"containers": [fields]}}


def pod(**fields: Any) -> dict[str, Any]:
    return {"podSpec": fields}


CONTAINER = "deployment.template.spec.containers.cart"
POD = "deployment.template.spec"
TERMS = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]
AFFINITY = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": TERMS}}}
SPREAD = [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]
TIMED = {"httpGet": {"path": "/ready", "port": 8080}, "initialDelaySeconds": 3, "failureThreshold": 9}
EXEC = {"exec": {"command": ["podcli", "check", "http", "localhost:8080/healthz"]}, "successThreshold": 1}
FROM_SECRET = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "cart", "key": "token"}}}
EXPORTER = {
    "name": "exporter",
    "image": "registry.example/exporter:1",
    "resources": {"requests": {"cpu": "10m"}},
}
MIGRATION = {"name": "migrate", "image": "registry.example/migrate:1"}
MEMORY = {"name": "memory", "target": {"type": "AverageValue", "averageValue": "200Mi"}}
BY_MEMORY = {"type": "Resource", "resource": MEMORY}
BY_REQUESTS = {
    "type": "Pods",
    "pods": {"metric": {"name": "http_requests"}, "target": {"type": "AverageValue", "averageValue": "10"}},
}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}
SLOWLY = {"scaleDown": {"stabilizationWindowSeconds": 600}}
LOCKED = {"runAsNonRoot": True, "readOnlyRootFilesystem": True}

FIELDS = (
    Field(
        "image.tag", "deployment.image.tag", "image.tag", {"tag": "2"}, f"{CONTAINER}.image", "registry.example/cart:2"
    ),
    Field(
        "",
        "deployment.image.digest",
        "image.digest",
        {"tag": "sha256:" + "0" * 64},
        f"{CONTAINER}.image",
        "registry.example/cart@sha256:" + "0" * 64,
    ),
    Field(
        "image.pullPolicy",
        "deployment.image.pullPolicy",
        "image.pullPolicy",
        own(imagePullPolicy="Always"),
        f"{CONTAINER}.imagePullPolicy",
        "Always",
    ),
    Field(
        "image.pullSecrets",
        "deployment.imagePullSecrets",
        "image.pullSecrets",
        pod(imagePullSecrets=[{"name": "registry"}]),
        f"{POD}.imagePullSecrets",
        [{"name": "registry"}],
    ),
    Field(
        "replicaCount",
        "deployment.replicas",
        "replicaCount",
        {"replicas": 3},
        "hpa",
        {"minReplicas": 3, "maxReplicas": 3},
    ),
    Field(
        "logLevel",
        "deployment.command",
        "command",
        {"command": ["./cart", "-v"]},
        f"{CONTAINER}.command",
        ["./cart", "-v"],
    ),
    Field("extraArgs", "deployment.args", "args", own(args=["--h2c"]), f"{CONTAINER}.args", ["--h2c"]),
    Field(
        "ui.message",
        "deployment.env",
        "extraEnvVars",
        {"env": {"MESSAGE": "hello"}},
        f"{CONTAINER}.env.MESSAGE",
        {"name": "MESSAGE", "value": "hello"},
    ),
    Field("extraEnvs", "deployment.env", "extraEnvVars", own(env=[FROM_SECRET]), f"{CONTAINER}.env.TOKEN", FROM_SECRET),
    Field(
        "",
        "deployment.envFrom",
        "extraEnvVarsSecret",
        {"secrets": ["cart"]},
        f"{CONTAINER}.envFrom",
        [{"secretRef": {"name": "cart"}}],
    ),
    Field(
        "",
        "configMap.files",
        "extraEnvVarsCM",
        {"config": {"LEVEL": "info"}},
        "configMaps.cart-config",
        {"LEVEL": "info"},
    ),
    Field(
        "config.path",
        "configMap.files",
        "serverBlock",
        {"files": {"/etc/cart/server.conf": "listen 8080"}},
        "configMaps.cart-files",
        {"etc_cart_server.conf": "listen 8080"},
    ),
    Field(
        "service.httpPort",
        "deployment.ports",
        "containerPorts.http",
        {"service": {"targetPort": 9898}},
        f"{CONTAINER}.ports",
        [{"name": "http", "containerPort": 9898}],
    ),
    Field(
        "service.grpcPort",
        "deployment.ports",
        "extraContainerPorts",
        own(ports=[{"name": "grpc", "containerPort": 9999}]),
        f"{CONTAINER}.ports.grpc",
        {"name": "grpc", "containerPort": 9999},
    ),
    Field(
        "service.hostPort",
        "deployment.ports",
        "containerPorts.http",
        own(ports=[{"name": "http", "containerPort": 8080, "hostPort": 80}]),
        f"{CONTAINER}.ports.http",
        {"name": "http", "containerPort": 8080, "hostPort": 80},
    ),
    Field(
        "service.externalPort",
        "service.ports",
        "service.ports.http",
        {"service": {"port": 8080}},
        "canary.service.port",
        8080,
    ),
    Field(
        "service.annotations",
        "service.annotations",
        "service.annotations",
        {"service": {"apex": {"annotations": {"example.com/a": "1"}}}},
        "canary.service.apex.annotations",
        {"example.com/a": "1"},
    ),
    Field(
        "probes.readiness",
        "deployment.readinessProbe",
        "readinessProbe",
        own(readinessProbe=TIMED),
        f"{CONTAINER}.readinessProbe",
        TIMED,
    ),
    Field(
        "probes.liveness",
        "deployment.livenessProbe",
        "customLivenessProbe",
        own(livenessProbe=EXEC),
        f"{CONTAINER}.livenessProbe",
        EXEC,
    ),
    Field(
        "probes.startup",
        "deployment.startupProbe",
        "startupProbe",
        own(startupProbe=EXEC),
        f"{CONTAINER}.startupProbe",
        EXEC,
    ),
    Field(
        "resources",
        "deployment.resources",
        "resources",
        {"resources": {"requests": {"cpu": "1", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}},
        f"{CONTAINER}.resources",
        {"requests": {"cpu": "1", "memory": "64Mi"}, "limits": {"memory": "1Gi"}},
    ),
    Field(
        "securityContext",
        "deployment.containerSecurityContext",
        "containerSecurityContext",
        own(securityContext=LOCKED),
        f"{CONTAINER}.securityContext",
        LOCKED,
    ),
    Field(
        "podSecurityContext",
        "deployment.securityContext",
        "podSecurityContext",
        pod(securityContext={"fsGroup": 1001}),
        f"{POD}.securityContext",
        {"fsGroup": 1001},
    ),
    Field(
        "serviceAccount.name",
        "rbac.serviceAccount.name",
        "serviceAccount.name",
        pod(serviceAccountName="cart"),
        f"{POD}.serviceAccountName",
        "cart",
    ),
    Field(
        "",
        "",
        "serviceAccount.automountServiceAccountToken",
        pod(automountServiceAccountToken=False),
        f"{POD}.automountServiceAccountToken",
        False,
    ),
    Field(
        "nodeSelector",
        "deployment.nodeSelector",
        "nodeSelector",
        pod(nodeSelector={"disk": "ssd"}),
        f"{POD}.nodeSelector",
        {"disk": "ssd"},
    ),
    Field(
        "tolerations",
        "deployment.tolerations",
        "tolerations",
        pod(tolerations=[{"key": "spot"}]),
        f"{POD}.tolerations",
        [{"key": "spot"}],
    ),
    Field("affinity", "deployment.affinity", "affinity", pod(affinity=AFFINITY), f"{POD}.affinity", AFFINITY),
    Field(
        "topologySpreadConstraints",
        "deployment.topologySpreadConstraints",
        "topologySpreadConstraints",
        pod(topologySpreadConstraints=SPREAD),
        f"{POD}.topologySpreadConstraints",
        SPREAD,
    ),
    Field(
        "podAnnotations",
        "deployment.additionalPodAnnotations",
        "podAnnotations",
        {"annotations": {"example.com/a": "1"}},
        "deployment.template.metadata.annotations",
        {"example.com/a": "1"},
    ),
    Field(
        "",
        "deployment.podLabels",
        "podLabels",
        {"labels": {"team": "shop"}},
        "deployment.template.metadata.labels.team",
        "shop",
    ),
    Field(
        "podDisruptionBudget",
        "pdb.minAvailable",
        "pdb.minAvailable",
        {"podDisruptionBudget": {"minAvailable": 1}},
        "pdb.minAvailable",
        1,
    ),
    Field(
        "hpa.maxReplicas",
        "autoscaling.maxReplicas",
        "autoscaling.maxReplicas",
        {"hpa": {"maxReplicas": 10}},
        "hpa.maxReplicas",
        10,
    ),
    Field(
        "hpa.cpu", "autoscaling.metrics", "autoscaling.targetCPU", {"hpa": {"cpuUtilization": 70}}, "hpa.metrics", [CPU]
    ),
    Field(
        "hpa.memory",
        "autoscaling.metrics",
        "autoscaling.targetMemory",
        {"hpa": {"metrics": [BY_MEMORY]}},
        "hpa.metrics",
        [BY_MEMORY],
    ),
    Field("hpa.requests", "autoscaling.metrics", "", {"hpa": {"metrics": [BY_REQUESTS]}}, "hpa.metrics", [BY_REQUESTS]),
    Field("", "autoscaling.behavior", "autoscaling.behavior", {"hpa": {"behavior": SLOWLY}}, "hpa.behavior", SLOWLY),
    Field(
        "",
        "deployment.strategy",
        "updateStrategy",
        {"deploymentSpec": {"strategy": {"type": "Recreate"}}},
        "deployment.strategy",
        {"type": "Recreate"},
    ),
    Field(
        "",
        "deployment.revisionHistoryLimit",
        "revisionHistoryLimit",
        {"deploymentSpec": {"revisionHistoryLimit": 1}},
        "deployment.revisionHistoryLimit",
        1,
    ),
    Field(
        "", "deployment.minReadySeconds", "minReadySeconds", {"minReadySeconds": 30}, "deployment.minReadySeconds", 30
    ),
    Field(
        "terminationGracePeriodSeconds",
        "deployment.terminationGracePeriodSeconds",
        "terminationGracePeriodSeconds",
        pod(terminationGracePeriodSeconds=90),
        f"{POD}.terminationGracePeriodSeconds",
        90,
    ),
    Field(
        "",
        "deployment.lifecycle",
        "lifecycleHooks",
        own(lifecycle={"preStop": {"sleep": {"seconds": 5}}}),
        f"{CONTAINER}.lifecycle",
        {"preStop": {"sleep": {"seconds": 5}}},
    ),
    Field(
        "",
        "deployment.initContainers",
        "initContainers",
        pod(initContainers=[MIGRATION]),
        f"{POD}.initContainers.migrate",
        MIGRATION,
    ),
    Field(
        "",
        "deployment.additionalContainers",
        "sidecars",
        pod(containers=[EXPORTER]),
        f"{POD}.containers.exporter",
        EXPORTER,
    ),
    Field(
        "dataDirVolume",
        "deployment.volumes",
        "extraVolumes",
        pod(volumes=[{"name": "data", "emptyDir": {}}]),
        f"{POD}.volumes",
        [{"name": "data", "emptyDir": {}}],
    ),
    Field(
        "tls.secretName",
        "deployment.volumes",
        "tls.existingSecret",
        pod(volumes=[{"name": "tls", "secret": {"secretName": "cart"}}]),
        f"{POD}.volumes",
        [{"name": "tls", "secret": {"secretName": "cart"}}],
    ),
    Field(
        "tls.certPath",
        "deployment.volumeMounts",
        "extraVolumeMounts",
        own(volumeMounts=[{"name": "tls", "mountPath": "/cert", "readOnly": True}]),
        f"{CONTAINER}.volumeMounts",
        [{"name": "tls", "mountPath": "/cert", "readOnly": True}],
    ),
    Field(
        "",
        "deployment.hostAliases",
        "hostAliases",
        pod(hostAliases=[{"ip": "10.0.0.1", "hostnames": ["db"]}]),
        f"{POD}.hostAliases",
        [{"ip": "10.0.0.1", "hostnames": ["db"]}],
    ),
    Field(
        "",
        "deployment.priorityClassName",
        "priorityClassName",
        pod(priorityClassName="high"),
        f"{POD}.priorityClassName",
        "high",
    ),
    Field(
        "",
        "deployment.dnsConfig",
        "dnsConfig",
        pod(dnsConfig={"options": [{"name": "ndots", "value": "1"}]}),
        f"{POD}.dnsConfig",
        {"options": [{"name": "ndots", "value": "1"}]},
    ),
    Field("", "deployment.hostNetwork", "hostNetwork", pod(hostNetwork=True), f"{POD}.hostNetwork", True),
)


def objects(app: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that an app becomes."""
    stack = {"frontend": None, "backend": None, "cart": merge(APP, app)}
    config = parse({"controller": {"image": "registry.example/controller:1"}, "apps": stack}, "p").apps["cart"]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"}
    spec = {"service": config.service.to_dict(), "analysis": config.analysis.to_dict(), "targetRef": target}
    canary = {"name": "cart", "namespace": "prod", "spec": {**other_fields(config), **spec}}
    return {
        "deployment": build_deployment("cart", config),
        "configMaps": config_maps("cart", config),
        "hpa": build_autoscaler(config.autoscaler) if config.autoscaler else None,
        "pdb": build_disruption_budget("cart", config),
        "canary": valid_canary_spec(canary),
    }


def look_up(value: Any, path: str) -> Any:
    """What is at ``path``; the elements of a list by their names."""
    for part in path.split("."):
        value = next(each for each in value if each["name"] == part) if isinstance(value, list) else value[part]
    return value


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: f"{field.name}: {' '.join(field.app)}")
def test_a_field_of_a_chart_is_in_the_objects_of_an_app(field):
    found = look_up(objects(field.app), field.at)
    wanted = field.value
    assert {key: found[key] for key in wanted} == wanted if isinstance(wanted, Mapping) else found == wanted
