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
from components.promotion import prove
from components.rollout_gate import RolloutGate, RolloutGateArgs
from stack.app import AppConfig
from stack.load import load, load_cluster
from stack.names import ISTIO_NAMESPACE
from stack.objects import canaried_arguments

settings = load()
cluster = load_cluster(settings.rollouts)

istio = Istio("istio", IstioArgs(settings.istio, settings.gateway)) if settings.istio.enabled else None
entrance = istio or settings.istio.existing
mesh = [istio.istiod] if istio else []
crds = [CanaryCrds("canary-crds")] if settings.crds.enabled else []
namespaces = [
    AppNamespace(
        f"{place.prefix}apps",
        AppNamespaceArgs(place.name, place.settings, settings.istio.revision),
        ResourceOptions(depends_on=mesh),
    )
    for place in settings.places
    if place.settings.create
]
observability = Observability(
    "observability",
    ObservabilityArgs(settings.observability, settings.controller.name, settings.templates),
    ResourceOptions(depends_on=[*mesh, *crds, *namespaces]),
)
before_apps: list[pulumi.Resource] = [*namespaces, *observability.metrics]
if settings.gateway.enabled:
    gateway = PublicGatewayArgs(settings.gateway, selector=entrance.gateway_selector)
    before_apps.append(PublicGateway("public-gateway", gateway, ResourceOptions(depends_on=mesh)))
if settings.controller.enabled:
    controller = CanaryControllerArgs(settings.controller, prometheus_url=observability.prometheus_url)
    after = ResourceOptions(depends_on=[*mesh, *crds, *namespaces, *observability.metrics])
    before_apps.append(CanaryController("canary-controller", controller, after))
before_apps += [
    LoadTester(
        f"{place.prefix}load-tester",
        LoadTesterArgs(settings.load_tester, place.name, plain_text=place.may_refuse_plain_text),
        ResourceOptions(depends_on=[*mesh, *namespaces]),
    )
    for place in settings.load_tested
]
promotion = prove(settings.promotion, settings.images)
before = ResourceOptions(depends_on=[*mesh, *crds, *before_apps, *promotion.proven])
outcomes: dict[str, pulumi.Output[Any]] = {}
for each in settings.workloads:
    if isinstance(each.config, AppConfig):
        override = settings.promotion.override_of(each.resource)
        arguments = CanaryAppArgs(each.name, each.namespace, each.config, override)
        canary = CanaryApp(each.resource, arguments, before).canary
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
if settings.controller.enabled:
    pulumi.export("controller", f"{settings.controller.name}.{ISTIO_NAMESPACE}")
if settings.gateway.enabled:
    pulumi.export("gatewayService", entrance.gateway_service)
    pulumi.export("hosts", settings.gateway.hosts)
pulumi.export("prometheusUrl", observability.prometheus_url)
pulumi.export("rollouts", outcomes)
pulumi.export("versions", promotion.versions)
