"""The program: from the configuration to the components, in order, and what a user needs to know. No logic here."""

from __future__ import annotations

import atexit
import gc
from typing import Any

import pulumi
from pulumi import ResourceOptions

from components.canaried import Canaried
from components.canary_app import CanaryApp, CanaryAppArgs
from components.mesh import check_mesh, report_mesh
from components.platform import make_platform
from components.promotion import prove
from components.rollout_gate import RolloutGate, RolloutGateArgs
from stack.app import AppConfig
from stack.load import load, load_cluster
from stack.names import ISTIO_NAMESPACE
from stack.objects import canaried_arguments

# The process ends with the program: to look for garbage on the way and at the end takes a third of a preview.
gc.disable()
atexit.register(gc.freeze)

settings = load()
cluster = load_cluster(settings.rollouts)

mesh = check_mesh(settings.istio, cluster) if settings.istio.enabled else None
platform = make_platform(settings, checked=mesh)
promotion = prove(settings.promotion, settings.images, cluster)
before = ResourceOptions(depends_on=[*platform.before_apps, *promotion.proven])
outcomes: dict[str, pulumi.Output[Any]] = {}
ended: list[pulumi.Output[Any]] = []
for each in settings.workloads:
    if isinstance(each.config, AppConfig):
        override = settings.promotion.override_of(each.resource)
        arguments = CanaryAppArgs(each.name, each.namespace, each.config, override, settings.proxies[each.namespace])
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
    ended.append(canary.urn)
    if settings.follows(each):
        triggers = [each.config.model_dump_json(), *filter(None, [settings.proxies[each.namespace]])]
        gate = RolloutGateArgs(each.name, each.namespace, cluster, triggers, settings.page_url)
        followed = RolloutGate(each.resource, gate, ResourceOptions(depends_on=[canary]))
        ended.append(followed.outcome)
        outcomes[each.resource] = followed.outcome

pulumi.export("canaries", [f"{each.namespace}/{each.name}" for each in settings.workloads])
if settings.controller.enabled:
    pulumi.export("controller", f"{settings.controller.name}.{ISTIO_NAMESPACE}")
if settings.gateway.enabled:
    pulumi.export("gatewayService", platform.gateway_service)
    pulumi.export("hosts", settings.gateway.hosts)
if settings.gateways:
    others = [each for each in settings.all_gateways if each.key != "gateway"]
    pulumi.export("gateways", {each.name: {"service": each.service, "hosts": each.servers.hosts} for each in others})
if mesh:
    pulumi.export("istio", report_mesh(settings.istio, cluster, mesh, ended))
if settings.page_url:
    pulumi.export("page", settings.page_url)
pulumi.export("prometheusUrl", platform.prometheus_url)
pulumi.export("rollouts", outcomes)
pulumi.export("versions", promotion.versions)
