"""The program: from the configuration to the components, in order, and what a user needs to know. No logic here."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi import ResourceOptions

from components.canaried import Canaried
from components.canary_app import CanaryApp, CanaryAppArgs
from components.canary_controller import CanaryController, CanaryControllerArgs
from components.canary_crds import CanaryCrds
from components.gateway import PublicGateway, PublicGatewayArgs
from components.istio import Istio, IstioArgs
from components.load_tester import LoadTester, LoadTesterArgs
from components.namespace import AppNamespace, AppNamespaceArgs
from components.observability.observability import Observability, ObservabilityArgs
from components.rollout_gate import RolloutGate, RolloutGateArgs
from stack.app import AppConfig
from stack.load import load, load_cluster
from stack.names import ISTIO_NAMESPACE
from stack.objects import canaried_arguments

settings = load()
cluster = load_cluster(settings.rollouts)

istio = Istio("istio", IstioArgs(settings.istio, settings.gateway))
mesh = ResourceOptions(depends_on=[istio.istiod])
crds = CanaryCrds("canary-crds")
namespaces = [
    AppNamespace(f"{place.prefix}apps", AppNamespaceArgs(place.name, place.settings, settings.istio.revision), mesh)
    for place in settings.places
    if place.settings.create
]
observability = Observability(
    "observability",
    ObservabilityArgs(settings.observability, settings.controller.name, settings.templates),
    ResourceOptions(depends_on=[istio.istiod, crds, *namespaces]),
)
gateway = PublicGateway("public-gateway", PublicGatewayArgs(settings.gateway, selector=istio.gateway_selector), mesh)
controller = CanaryController(
    "canary-controller",
    CanaryControllerArgs(settings.controller, prometheus_url=observability.prometheus_url),
    ResourceOptions(depends_on=[istio.istiod, crds, *namespaces, *observability.metrics]),
)
load_testers = [
    LoadTester(
        f"{place.prefix}load-tester",
        LoadTesterArgs(settings.load_tester, place.name, plain_text=place.may_refuse_plain_text),
        ResourceOptions(depends_on=[istio.istiod, *namespaces]),
    )
    for place in settings.load_tested
]
before = ResourceOptions(depends_on=[gateway, *namespaces, controller, *observability.metrics, *load_testers])
outcomes: dict[str, pulumi.Output[Any]] = {}
for each in settings.workloads:
    if isinstance(each.config, AppConfig):
        canary = CanaryApp(each.resource, CanaryAppArgs(each.name, each.namespace, each.config), before).canary
    else:
        canary = Canaried(
            each.resource,
            target=each.name,
            namespace=each.namespace,
            kind=each.config.kind,
            **canaried_arguments(each.name, each.config),
            opts=before,
        ).canary
    if settings.follows(each):
        gate = RolloutGateArgs(each.name, each.namespace, cluster, triggers=[each.config.model_dump_json()])
        outcomes[each.resource] = RolloutGate(each.resource, gate, ResourceOptions(depends_on=[canary])).outcome

pulumi.export("canaries", [f"{each.namespace}/{each.name}" for each in settings.workloads])
pulumi.export("controller", f"{settings.controller.name}.{ISTIO_NAMESPACE}")
pulumi.export("gatewayService", istio.gateway_service)
pulumi.export("hosts", settings.gateway.hosts)
pulumi.export("prometheusUrl", observability.prometheus_url)
pulumi.export("rollouts", outcomes)
