"""The NetworkPolicies of a stack: whether it makes them, and whom they let in."""

from __future__ import annotations

from pydantic import Field

from controller.api.base import Boolean, Model
from stack.values import Label


class NetworkPoliciesConfig(Model):
    enabled: Boolean = Field(
        True,
        description="Make NetworkPolicies for Prometheus, Grafana, the controller and the load testers, each for its "
        "callers alone. A cluster whose network enforces none is as open as without them.",
    )
    monitoring: list[Label] = Field(
        default_factory=list,
        description="Namespaces whose pods may use Prometheus and Grafana, and scrape the controller, besides those "
        "of this stack that need to: that of Kiali, of a monitoring system, or of an ingress to Grafana.",
    )
