"""References from a Canary to other objects."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controller.api.base import Integer, Model, Name, StringMap
from controller.api.rules import Rule, at_least

Replicas = Annotated[Integer, at_least(1)]


class TargetRef(Model):
    """The workload that the user edits."""

    api_version: str = Field(description="API version of the target, apps/v1 for a Deployment.")
    kind: Literal["DaemonSet", "Deployment", "Service"] = Field(description="Kind of the target.")
    name: Name = Field(description="Name of the target, in the Canary's namespace.")


class ScalerReplicas(Model):
    """Bounds for the primary's autoscaler, in place of those copied from the target's."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            message="minReplicas must not be above maxReplicas",
            cel="!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
            holds=lambda self: (
                self.min_replicas is None or self.max_replicas is None or self.min_replicas <= self.max_replicas
            ),
        ),
    )

    min_replicas: Replicas | None = Field(None, description="Fewest pods of the primary.")
    max_replicas: Replicas | None = Field(None, description="Most pods of the primary.")


class AutoscalerRef(Model):
    """The autoscaler of the target; the controller keeps a copy of it for the primary."""

    api_version: str = Field(description="API version of the autoscaler, autoscaling/v2 for a HorizontalPodAutoscaler.")
    kind: Literal["HorizontalPodAutoscaler", "ScaledObject"] = Field(description="Kind of the autoscaler.")
    name: Name = Field(description="Name of the autoscaler, in the Canary's namespace.")
    primary_scaler_queries: StringMap | None = Field(
        None, description="KEDA: trigger name to the query that scales the primary."
    )
    primary_scaler_replicas: ScalerReplicas | None = Field(
        None, description="Bounds for the primary's autoscaler, in place of those of the target's."
    )


class IngressRef(Model):
    """An Ingress (not used on Istio)."""

    api_version: str = Field(description="API version of the Ingress.")
    kind: Literal["Ingress"] = Field(description="Kind.")
    name: Name = Field(description="Name of the Ingress.")


class RouteRef(Model):
    """An APISIX route (not used on Istio)."""

    api_version: str = Field(description="API version of the route.")
    kind: Literal["ApisixRoute"] = Field(description="Kind.")
    name: Name = Field(description="Name of the route.")


class UpstreamRef(Model):
    """A Gloo upstream (not used on Istio)."""

    api_version: str = Field(description="API version of the upstream.")
    kind: Literal["Upstream"] = Field(description="Kind.")
    name: Name = Field(description="Name of the upstream.")
    namespace: str | None = Field(None, description="Namespace of the upstream.")


class NamespacedRef(Model):
    """A MetricTemplate or an AlertProvider, maybe of another namespace."""

    name: Name = Field(description="Name of the object.")
    namespace: str | None = Field(None, description="Namespace of the object; the Canary's own when omitted.")


class SecretRef(Model):
    """A Secret in the namespace of the object that names it."""

    name: Name = Field(description="Name of the Secret.")
