"""A platform for canaried apps: Istio, its gateway, monitoring and the canary controller."""

from __future__ import annotations

import pulumi
from pulumi import ResourceOptions

from components.canary_controller import CanaryController, CanaryControllerArgs
from components.canary_crds import CanaryCrds
from components.gateway import PublicGateway, PublicGatewayArgs
from components.istio import Istio, IstioArgs
from components.network_policies import NetworkPolicies, NetworkPoliciesArgs
from components.observability.observability import Observability, ObservabilityArgs
from stack.controller import ControllerConfig
from stack.gateway import GatewayConfig, public_gateway
from stack.istio import IstioConfig
from stack.names import ISTIO_NAMESPACE
from stack.network import NetworkPoliciesConfig
from stack.observability import ObservabilityConfig

settings = pulumi.Config()
gateway = GatewayConfig(hosts=["*.example.com"])
controller = ControllerConfig(image=settings.require("image"))

charts = IstioArgs(IstioConfig())
istio = Istio("istio", charts)
crds = CanaryCrds("canary-crds")
ready = ResourceOptions(depends_on=[*istio.injectors, crds])
PublicGateway("public-gateway", PublicGatewayArgs(public_gateway(gateway, charts.config), charts), ready)
policies = NetworkPoliciesArgs(NetworkPoliciesConfig(), ObservabilityConfig(), controller)
ready = ResourceOptions(depends_on=[*istio.injectors, crds, NetworkPolicies("network-policies", policies, ready)])
monitoring = ObservabilityArgs(ObservabilityConfig(), controller.name, templates={"": ISTIO_NAMESPACE})
observability = Observability("observability", monitoring, ready)
CanaryController(
    "canary-controller",
    CanaryControllerArgs(controller, observability.prometheus),
    ResourceOptions(depends_on=[*istio.injectors, crds, *observability.metrics]),
)

pulumi.export("gateway", f"{ISTIO_NAMESPACE}/{gateway.name}")
