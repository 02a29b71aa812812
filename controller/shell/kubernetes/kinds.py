"""The kinds of object the controller reads or writes, and their paths in the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Key: TypeAlias = tuple[str, str, str]
"""Kind, namespace and name of an object."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind, in the version the controller speaks."""

    name: str
    plural: str
    api_version: str

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The version within the group."""
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the kind, of its objects in one namespace, of one object, or of its subresource."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        inside = f"/namespaces/{namespace}" if namespace else ""
        rest = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root}{inside}/{self.plural}{rest}"


CANARY = Kind("Canary", "canaries", "flagger.app/v1beta1")
METRIC_TEMPLATE = Kind("MetricTemplate", "metrictemplates", "flagger.app/v1beta1")
ALERT_PROVIDER = Kind("AlertProvider", "alertproviders", "flagger.app/v1beta1")
DEPLOYMENT = Kind("Deployment", "deployments", "apps/v1")
DAEMON_SET = Kind("DaemonSet", "daemonsets", "apps/v1")
SERVICE = Kind("Service", "services", "v1")
AUTOSCALER = Kind("HorizontalPodAutoscaler", "horizontalpodautoscalers", "autoscaling/v2")
VIRTUAL_SERVICE = Kind("VirtualService", "virtualservices", "networking.istio.io/v1")
DESTINATION_RULE = Kind("DestinationRule", "destinationrules", "networking.istio.io/v1")
SCALED_OBJECT = Kind("ScaledObject", "scaledobjects", "keda.sh/v1alpha1")
CONFIG_MAP = Kind("ConfigMap", "configmaps", "v1")
SECRET = Kind("Secret", "secrets", "v1")
POD = Kind("Pod", "pods", "v1")
EVENT = Kind("Event", "events", "v1")
LEASE = Kind("Lease", "leases", "coordination.k8s.io/v1")
SELF_REVIEW = Kind("SelfSubjectReview", "selfsubjectreviews", "authentication.k8s.io/v1")
"""Answers who the caller is."""
TOKEN_REVIEW = Kind("TokenReview", "tokenreviews", "authentication.k8s.io/v1")
"""Answers whose token it is."""
ACCESS_REVIEW = Kind("SubjectAccessReview", "subjectaccessreviews", "authorization.k8s.io/v1")
"""Answers whether somebody may do something."""

WORKLOADS = (DEPLOYMENT, DAEMON_SET)
"""What a target can be."""

WATCHED = (CANARY, METRIC_TEMPLATE, *WORKLOADS, SERVICE, AUTOSCALER, VIRTUAL_SERVICE, DESTINATION_RULE)
"""Watched whole."""

OPTIONAL = (SCALED_OBJECT,)
"""Watched whole where the cluster serves them to this controller; nothing waits for them."""

CONFIGS = (CONFIG_MAP, SECRET)
"""Watched by their metadata only: a cluster's Secrets are many, large and mostly unrelated."""

CONFIG_NAMES = frozenset(kind.name for kind in CONFIGS)

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (*WATCHED, *OPTIONAL, *CONFIGS, ALERT_PROVIDER, EVENT, LEASE, SELF_REVIEW, TOKEN_REVIEW, ACCESS_REVIEW)
}


def key_of(manifest: Mapping[str, Any]) -> Key:
    """Where ``manifest`` lives."""
    metadata = manifest["metadata"]
    return str(manifest["kind"]), str(metadata.get("namespace", "")), str(metadata["name"])


def version_of(manifest: Mapping[str, Any]) -> int:
    """The resource version as a number: the API server's versions only grow, so two of them tell which is newer."""
    return int(manifest["metadata"].get("resourceVersion") or 0)
