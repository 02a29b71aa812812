"""Fields whose change replaces the object, by kind: the official plugin's table, plus fields that the API server
itself refuses to change and that the official plugin leaves to its error (Job `completionMode`, DaemonSet and
ReplicaSet selectors, and the like).
"""

from typing import Any

from sandbox.plugin.metadata import Kind
from sandbox.plugin.property_path import Path, parse

_IDENTITY = ("kind", "metadata.name", "metadata.namespace")

_POD = [
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostname",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "volumes",
    "containers",
    "initContainers",
]

_BY_KIND: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps", "Deployment"): ("spec.selector",),
    ("apps", "DaemonSet"): ("spec.selector",),
    ("apps", "ReplicaSet"): ("spec.selector",),
    ("apps", "StatefulSet"): (
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): (
        "spec.completionMode",
        "spec.completions",
        "spec.parallelism",
        "spec.selector",
        "spec.template",
    ),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("storage.k8s.io", "StorageClass"): ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"),
    ("scheduling.k8s.io", "PriorityClass"): ("value",),
    ("", "PersistentVolumeClaim"): (
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeMode",
        "spec.volumeName",
    ),
    ("", "Pod"): tuple(f"spec.{name}" for name in _POD),
    ("", "ResourceQuota"): ("spec.scopes",),
    ("", "Service"): ("spec.clusterIP",),
}

_CONTENT = {"ConfigMap": ("data", "binaryData"), "Secret": ("type", "data", "stringData")}


def immutable_paths(kind: Kind, obj: dict[str, Any], *, mutable_config_maps: bool, mutable_secrets: bool) -> list[Path]:
    """The paths of this object whose change means delete and create.

    As in the official plugin, ConfigMaps and Secrets are replaced on a change of content, unless the provider has
    `enableConfigMapMutable` or `enableSecretMutable` and the object is not `immutable: true`. A Secret's type always
    replaces.
    """
    rules = [*_IDENTITY, *_BY_KIND.get((kind.group, kind.name), ())]
    if not kind.group and kind.name in _CONTENT:
        mutable = mutable_config_maps if kind.name == "ConfigMap" else mutable_secrets
        if not mutable or obj.get("immutable") is True:
            rules += _CONTENT[kind.name]
        elif kind.name == "Secret":
            rules.append("type")
    return [parse(rule) for rule in rules]
