"""References from a Canary to other objects."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from controller.api.base import Integer, Model, Name, StringMap
from controller.api.rules import Rule, at_least

DAEMON_SET: Final = "DaemonSet"
HPA: Final = "HorizontalPodAutoscaler"
SCALED_OBJECT: Final = "ScaledObject"

Replicas = Annotated[Integer, at_least(1)]


class TargetRef(Model):
    """Reference to the workload to release."""

    api_version: str = Field(description="API version of the target; apps/v1.")
    kind: Literal["DaemonSet", "Deployment", "Service"] = Field(
        description="Kind of the target, Deployment or DaemonSet."
    )
    name: Name = Field(description="Name of the target, in the Canary's namespace.")


class ScalerReplicas(Model):
    """Replica bounds for the primary's autoscaler, instead of those of the target's."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            message="minReplicas must not be above maxReplicas",
            cel="!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
            holds=lambda self: (
                self.min_replicas is None or self.max_replicas is None or self.min_replicas <= self.max_replicas
            ),
        ),
    )

    min_replicas: Replicas | None = Field(None, description="Minimum replicas of the primary.")
    max_replicas: Replicas | None = Field(None, description="Maximum replicas of the primary.")


class AutoscalerRef(Model):
    """Reference to the autoscaler of the target. The controller maintains a copy of it for the primary."""

    api_version: str = Field(description="API version of the autoscaler; autoscaling/v2 or keda.sh/v1alpha1.")
    kind: Literal["HorizontalPodAutoscaler", "ScaledObject"] = Field(
        description="Kind of the autoscaler: HorizontalPodAutoscaler, or ScaledObject of KEDA."
    )
    name: Name = Field(description="Name of the autoscaler, in the Canary's namespace.")
    primary_scaler_queries: StringMap | None = Field(
        None, description="Queries that scale the primary, by trigger name (KEDA only)."
    )
    primary_scaler_replicas: ScalerReplicas | None = Field(
        None, description="Replica bounds for the primary's autoscaler. Defaults to those of the target's."
    )


class IngressRef(Model):
    """Reference to an Ingress. Not used with Istio."""

    api_version: str = Field(description="API version of the Ingress.")
    kind: Literal["Ingress"] = Field(description="Kind of the Ingress.")
    name: Name = Field(description="Name of the Ingress.")


class RouteRef(Model):
    """Reference to an APISIX route. Not used with Istio."""

    api_version: str = Field(description="API version of the route.")
    kind: Literal["ApisixRoute"] = Field(description="Kind of the route.")
    name: Name = Field(description="Name of the route.")


class UpstreamRef(Model):
    """Reference to a Gloo upstream. Not used with Istio."""

    api_version: str = Field(description="API version of the upstream.")
    kind: Literal["Upstream"] = Field(description="Kind of the upstream.")
    name: Name = Field(description="Name of the upstream.")
    namespace: str | None = Field(None, description="Namespace of the upstream.")


class NamespacedRef(Model):
    """Reference to a MetricTemplate, an AlertProvider or another Canary."""

    name: Name = Field(description="Name of the object.")
    namespace: str | None = Field(None, description="Namespace of the object. Defaults to the namespace of the Canary.")

    def key(self, namespace: str) -> str:
        """``NAMESPACE/NAME`` of the object, for a Canary in ``namespace``."""
        return f"{self.namespace or namespace}/{self.name}"


class SecretRef(Model):
    """Reference to a Secret in the same namespace."""

    name: Name = Field(description="Name of the Secret.")
