"""What apps stand on, in the order in which it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi

from components.alerts import Alerts, AlertsArgs
from components.canary_controller import CanaryController, CanaryControllerArgs
from components.canary_crds import CanaryCrds
from components.gateway import PublicGateway, PublicGatewayArgs
from components.istio import Istio, IstioArgs
from components.load_tester import LoadTester, LoadTesterArgs
from components.namespace import AppNamespace, AppNamespaceArgs
from components.network_policies import NetworkPolicies, NetworkPoliciesArgs
from components.observability.observability import Observability, ObservabilityArgs
from components.page_gateway import PageGateway, PageGatewayArgs
from components.secrets import StackSecrets, StackSecretsArgs
from stack.config import StackConfig
from stack.reach import gateways_of, page_callers
from stack.secrets import secret_users


@dataclass(frozen=True)
class Platform:
    """What a stack has beside its apps.

    Attributes:
        before_apps: what an app waits for.
        gateway_service: of the gateway's pods, as ``name.namespace``.
    """

    before_apps: list[pulumi.Resource]
    gateway_service: str
    prometheus_url: str


def make_platform(
    settings: StackConfig,
    opts: pulumi.ResourceOptions | None = None,
    *,
    prefix: str = "",
    checked: pulumi.Input[Any] = None,
) -> Platform:
    """Make the parts that the stack asks for.

    `opts` are those of each component, `prefix` begins its name; Istio waits for `checked` to be known.
    """

    def after(*resources: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=resources))

    charts = IstioArgs(settings.istio, checked, settings.login_for(settings.istio))
    istio = Istio(f"{prefix}istio", charts, opts) if settings.istio.enabled else None
    mesh = istio.injectors if istio else []
    crds = [CanaryCrds(f"{prefix}canary-crds", opts)] if settings.crds.enabled else []
    namespaces = [
        AppNamespace(
            f"{prefix}{place.prefix}apps",
            AppNamespaceArgs(
                place.name,
                place.settings,
                settings.istio.label_for(place.settings.revision),
                gateways_of(settings, place),
            ),
            after(*mesh),
        )
        for place in settings.places
        if place.settings.create
    ]
    page_pods = page_callers(settings)
    guarded: list[pulumi.Resource] = [*namespaces]
    if settings.network_policies.enabled:
        policies = NetworkPoliciesArgs(
            settings.network_policies,
            settings.observability,
            settings.controller,
            load_tested=[place.name for place in settings.load_tested],
            page_callers=page_pods,
        )
        guarded.append(NetworkPolicies(f"{prefix}network-policies", policies, after(*mesh, *namespaces)))
    ready: list[pulumi.Resource] = [*mesh, *crds, *guarded]
    if settings.secrets:
        secrets = StackSecretsArgs(settings.secrets, secret_users(settings))
        ready.append(StackSecrets(f"{prefix}secrets", secrets, after(*mesh, *namespaces)))
    observability = Observability(
        f"{prefix}observability",
        ObservabilityArgs(
            settings.observability,
            settings.controller.name,
            settings.templates,
            settings.login_for(settings.observability.grafana),
        ),
        after(*ready),
    )
    before_apps: list[pulumi.Resource] = [*ready, *observability.metrics]
    if settings.alerts:
        before_apps.append(Alerts(f"{prefix}alerts", AlertsArgs(settings.alerts, settings.templates), after(*ready)))
    for each in settings.all_gateways:
        is_public = each.key == "gateway"
        name = "public-gateway" if is_public else f"gateway-{each.name}"
        formerly = pulumi.Alias(name=f"{prefix}istio-gateway", parent=istio) if is_public and istio else None
        gateway = PublicGatewayArgs(each, charts, formerly)
        before_apps.append(PublicGateway(f"{prefix}{name}", gateway, after(*ready)).gateway)
    if settings.controller.enabled:
        controller = CanaryControllerArgs(settings.controller, observability.prometheus, settings.page_url)
        needs = after(*ready, *observability.templates)  # not Prometheus: both take their time to start
        before_apps.append(CanaryController(f"{prefix}canary-controller", controller, needs))
    if page := settings.controller.page.gateway:
        references = [each.reference for each in settings.page_gateways]
        way = PageGatewayArgs(page, settings.controller.name, references, page_pods)
        before_apps.append(PageGateway(f"{prefix}page-gateway", way, after(*mesh, *namespaces)))
    before_apps += [
        LoadTester(
            f"{prefix}{place.prefix}load-tester",
            LoadTesterArgs(settings.load_tester, place.name, place.may_refuse_plain_text, settings.proxies[place.name]),
            after(*ready),
        )
        for place in settings.load_tested
    ]
    return Platform(before_apps, settings.istio.gateway_service, observability.prometheus.address)
