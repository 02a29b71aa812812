"""The program: from the configuration to the components, in order, and what a user needs to know. No logic here."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi import ResourceOptions

from components.canary_app import CanaryApp, CanaryAppArgs
from components.canary_controller import CanaryController, CanaryControllerArgs
from components.canary_crds import CanaryCrds
from components.gateway import PublicGateway, PublicGatewayArgs
from components.istio import Istio, IstioArgs
from components.load_tester import LoadTester, LoadTesterArgs
from components.namespace import AppNamespace, AppNamespaceArgs
from components.observability.observability import Observability, ObservabilityArgs
from components.rollout_gate import RolloutGate, RolloutGateArgs
from stack.load import load, load_cluster
from stack.names import ISTIO_NAMESPACE

settings = load()
cluster = load_cluster(settings.rollouts)

istio = Istio("istio", IstioArgs(settings.istio, settings.gateway))
mesh = ResourceOptions(depends_on=[istio.istiod])
crds = CanaryCrds("canary-crds")
namespace = AppNamespace("apps", AppNamespaceArgs(settings.namespace, settings.istio.revision), mesh)
observability = Observability(
    "observability",
    ObservabilityArgs(settings.observability, settings.controller.name, settings.templates_namespace),
    ResourceOptions(depends_on=[istio.istiod, crds, namespace]),
)
gateway = PublicGateway("public-gateway", PublicGatewayArgs(settings.gateway, selector=istio.gateway_selector), mesh)
controller = CanaryController(
    "canary-controller",
    CanaryControllerArgs(settings.controller, prometheus_url=observability.prometheus_url),
    ResourceOptions(depends_on=[istio.istiod, crds, namespace, *observability.metrics]),
)
before_apps: list[pulumi.Resource] = [gateway, namespace, controller, *observability.metrics]
if settings.load_tester.enabled:
    load_tester = LoadTester(
        "load-tester",
        LoadTesterArgs(settings.load_tester, settings.namespace.name, strict_mtls=settings.namespace.mtls == "STRICT"),
        ResourceOptions(depends_on=[istio.istiod, namespace]),
    )
    before_apps.append(load_tester)
outcomes: dict[str, pulumi.Output[Any]] = {}
for name, app in settings.apps.items():
    place = settings.namespace.name
    released = CanaryApp(name, CanaryAppArgs(name, place, app), ResourceOptions(depends_on=before_apps))
    if settings.follows(app):
        gate = RolloutGateArgs(name, place, cluster, triggers=[app.model_dump_json()])
        outcomes[name] = RolloutGate(name, gate, ResourceOptions(depends_on=[released.canary])).outcome

pulumi.export("canaries", [f"{settings.namespace.name}/{name}" for name in settings.apps])
pulumi.export("controller", f"{settings.controller.name}.{ISTIO_NAMESPACE}")
pulumi.export("gatewayService", istio.gateway_service)
pulumi.export("hosts", settings.gateway.hosts)
pulumi.export("prometheusUrl", observability.prometheus_url)
pulumi.export("rollouts", outcomes)
