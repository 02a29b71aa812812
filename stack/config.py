"""The stack's configuration: the model of what `Pulumi.<stack>.yaml` may say. docs/configuration.md is written from it.

Every section is a structured object under the project's name, as in ``canary-on-istio:istio``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from controller.api.base import Boolean, Model
from stack.app import AppConfig, TargetConfig
from stack.controller import ControllerConfig, TrustConfig
from stack.gateway import Gateway, GatewayConfig, OtherGatewayConfig, other_gateway, public_gateway, serves
from stack.istio import IstioConfig
from stack.names import ISTIO_NAMESPACE
from stack.namespace import NamespaceConfig, OtherNamespaceConfig, Place, Workload, first_place, other_place
from stack.network import NetworkPoliciesConfig
from stack.observability import AlertConfig, GrafanaConfig, ObservabilityConfig
from stack.promotion import Blocked, PromotionConfig
from stack.values import (
    DataKey,
    Image,
    Label,
    ObjectName,
    Resources,
    SecretText,
    ServiceName,
)
from stack.workload import images_of


class CrdsConfig(Model):
    enabled: Boolean = Field(
        True,
        description="Install the CRDs, or take over those that are there; a destroy keeps them. When false, somebody "
        "else applies them: those of this version, from crds/.",
    )


class LoadTesterConfig(Model):
    enabled: Boolean = Field(
        True,
        description="Install the load tester, in each namespace whose webhooks need it; without it all need a `url`.",
    )
    image: Image = Field("ghcr.io/fluxcd/flagger-loadtester:0.38.0", description="Flagger's load tester, or a mirror.")
    pull_secrets: list[ObjectName] = Field(
        default_factory=list, description="Secrets for the registry of its image, in the namespace of its pods."
    )
    resources: Resources = Field(
        Resources(requests={"cpu": "10m", "memory": "32Mi"}, limits={"memory": "512Mi"}), description="Pod resources."
    )


class RolloutsConfig(Model):
    follow: Boolean = Field(
        True,
        description="Whether `up` waits for the rollout of each app and target, and fails if one is rolled back. One "
        "that is suspended is not waited for, nor is any without a controller.",
    )


class StackConfig(Model):
    istio: IstioConfig = IstioConfig()
    observability: ObservabilityConfig = ObservabilityConfig()
    alerts: dict[ObjectName, AlertConfig] = Field(
        default_factory=dict,
        description="Who is told how rollouts go, by name. An app says otherwise in `analysis.alerts`, by these names.",
    )
    secrets: dict[ObjectName, dict[DataKey, SecretText]] = Field(
        default_factory=dict,
        description="Kubernetes Secrets by name, each with its keys, in every namespace where something here names "
        "them. Set with `pulumi config set --secret --path`.",
    )
    gateway: GatewayConfig = GatewayConfig()
    gateways: dict[ObjectName, OtherGatewayConfig] = Field(
        default_factory=dict, description="More Gateways, by name, with hosts and certificates of their own."
    )
    namespace: NamespaceConfig = NamespaceConfig()
    crds: CrdsConfig = CrdsConfig()
    controller: ControllerConfig = ControllerConfig()
    load_tester: LoadTesterConfig = LoadTesterConfig()
    network_policies: NetworkPoliciesConfig = NetworkPoliciesConfig()
    rollouts: RolloutsConfig = RolloutsConfig()
    promotion: PromotionConfig = PromotionConfig()
    blocked: Blocked = Field(
        default_factory=dict,
        description="Versions that are refused, each with the reason, by app; set in `Pulumi.yaml` for all stacks.",
    )
    apps: dict[ServiceName, AppConfig] = Field(description="The canaried apps by name, merged over their defaults.")
    targets: dict[ServiceName, TargetConfig] = Field(
        default_factory=dict,
        description="Workloads that are made elsewhere, by name; the stack makes their Canaries.",
    )
    namespaces: dict[Label, OtherNamespaceConfig] = Field(
        default_factory=dict, description="More namespaces, by name, with apps and targets of their own."
    )

    @property
    def declared_places(self) -> Sequence[Place]:
        """The namespaces that the configuration speaks of."""
        first = first_place(self.namespace, self.apps, self.targets)
        return [first, *(other_place(name, config) for name, config in self.namespaces.items())]

    @property
    def places(self) -> Sequence[Place]:
        """Those of the stack: one that is neither made nor has anything in it is none of them."""
        return [place for place in self.declared_places if place.settings.create or place.workloads]

    @property
    def all_gateways(self) -> Sequence[Gateway]:
        """The Gateways that the stack makes."""
        public = public_gateway(self.gateway, self.istio)
        tags = {place.name: place.settings.revision for place in self.places if place.settings.create}
        others = (
            other_gateway(name, config, tags.get(config.namespace, self.istio.gateway_revision), public)
            for name, config in self.gateways.items()
        )
        return [*([public] if self.gateway.enabled else []), *others]

    @property
    def page_gateways(self) -> Sequence[Gateway]:
        """Those that lead to the page; none unless the stack says so."""
        page = self.controller.page.gateway
        return [
            each
            for each in self.all_gateways
            if page and any(serves(host, page.host, ISTIO_NAMESPACE) for host in each.servers.hosts)
        ]

    @property
    def page_url(self) -> str | None:
        """Where people open the page, if they can."""
        page = self.controller.page
        if page.url or page.gateway is None or not self.page_gateways:
            return page.url
        return min((each.url_of(page.gateway.host) for each in self.page_gateways), key=_is_plain)

    @property
    def workloads(self) -> Sequence[Workload]:
        """All apps and targets."""
        return [workload for place in self.places for workload in place.workloads]

    @property
    def load_tested(self) -> Sequence[Place]:
        """The places that get a load tester."""
        return [place for place in self.places if self.load_tester.enabled and place.has_load_tester]

    @property
    def proxies(self) -> Mapping[str, str]:
        """The version of the proxies of each place, where the stack says it; else empty."""
        return {place.name: self.istio.proxy_for(place.settings.revision) for place in self.places}

    @property
    def templates(self) -> Mapping[str, str]:
        """The namespaces of the stack's MetricTemplates and AlertProviders, by the prefix of their resources' names."""
        if self.controller.trust.cross_namespace_references:
            return {"": ISTIO_NAMESPACE}
        return {place.prefix: place.name for place in self.places}

    @property
    def images(self) -> Mapping[str, Mapping[str, str]]:
        """The images of each app, by container."""
        apps = ((each, each.config) for each in self.workloads)
        return {each.resource: images_of(each.name, app) for each, app in apps if isinstance(app, AppConfig)}

    def login_for(self, part: IstioConfig | GrafanaConfig) -> Mapping[str, SecretText]:
        """Username and password of the repository of its charts; empty where it asks for none."""
        return self.secrets.get(part.repository_secret or "", {})

    def follows(self, workload: Workload) -> bool:
        """Whether `up` waits for the end of its rollout, which some controller has to come to."""
        has_controller = self.controller.replicas > 0 or not self.controller.enabled
        return self.rollouts.follow and has_controller and not workload.config.suspend


def templates_namespace(namespace: str, trust: TrustConfig) -> str:
    """Where the Canaries of `namespace` find the templates and alert providers of the stack: where they may look."""
    return ISTIO_NAMESPACE if trust.cross_namespace_references else namespace


def _is_plain(url: str) -> bool:
    return not url.startswith("https:")
