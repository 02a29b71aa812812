"""The stack's configuration: the model of what `Pulumi.<stack>.yaml` may say. docs/configuration.md is written from it.

Every section is a structured object under the project's name, as in ``canary-on-istio:istio``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from controller.api.base import Boolean, Duration, Integer, Model
from controller.api.durations import DEFAULT_INTERVAL_FLOOR
from controller.api.rules import at_least
from stack.app import AppConfig, TargetConfig
from stack.names import ISTIO_NAMESPACE, PROMETHEUS
from stack.namespace import NamespaceConfig, OtherNamespaceConfig, Place, Workload, first_place, other_place
from stack.values import (
    REPOSITORY,
    ChartRepository,
    Host,
    HostPattern,
    Image,
    Label,
    NonEmpty,
    ObjectName,
    Port,
    Positive,
    PrometheusDuration,
    Resources,
    Retention,
    ServiceName,
    Text,
    Url,
    matching,
)

DEFAULT_ISTIO_VERSION = "1.31.1"
CHARTS = ("base", "istiod", "gateway")


class IstioValues(Model):
    base: dict[str, Any] = Field(default_factory=dict, description="Helm values of the chart `base`.")
    istiod: dict[str, Any] = Field(default_factory=dict, description="Helm values of the chart `istiod`.")
    gateway: dict[str, Any] = Field(default_factory=dict, description="Helm values of the chart `gateway`.")

    def for_chart(self, chart: str) -> dict[str, Any]:
        values: dict[str, Any] = getattr(self, chart)
        return values


class IstioConfig(Model):
    version: Annotated[Text, matching(r"\d+\.\d+\.\d+\S*", f"a release of Istio, as in {DEFAULT_ISTIO_VERSION}")] = (
        Field(DEFAULT_ISTIO_VERSION, description="Version of the three Istio charts.")
    )
    repository: ChartRepository = Field(
        "https://blob.istio.io/istio-release/charts",
        description="Repository of the Istio charts, `oci://ghcr.io/istio/release/charts` for example.",
    )
    chart_path: Path | None = Field(
        None,
        description="A local folder with the chart folders `base`, `istiod` and `gateway`, used in place of "
        "`repository` and `version`.",
    )
    values: IstioValues = Field(IstioValues(), description="Helm values, merged over the defaults of this program.")
    timeout_seconds: Positive = Field(300, description="Longest time for the workloads of a chart to become ready.")
    await_gateway: Boolean = Field(
        True,
        description="Whether `up` waits for the gateway's pods and the address of its load balancer. Apps never do.",
    )

    @property
    def revision(self) -> str:
        """The revision of istiod, which the namespaces of its workloads name; empty for the default one."""
        revision = str(self.values.istiod.get("revision") or "")
        return "" if revision == "default" else revision

    @model_validator(mode="after")
    def _charts_are_there(self) -> Self:
        if self.chart_path is not None:
            missing = [chart for chart in CHARTS if not (self.chart_path / chart / "Chart.yaml").is_file()]
            if missing:
                raise ValueError(
                    f"chartPath {self.chart_path} must hold the charts; no Chart.yaml in {', '.join(missing)}"
                )
        return self


class PrometheusConfig(Model):
    enabled: Boolean = Field(True, description="Install a Prometheus for the analysis; when false, `url` names yours.")
    url: Url | None = Field(
        None, description="Address of an existing Prometheus that scrapes the mesh. Only with `enabled: false`."
    )
    image: Image = Field("prom/prometheus:v3.16.0", description="The official image, or a mirror of it.")
    retention: Retention = Field("6h", description="How long samples are kept.")
    scrape_interval: PrometheusDuration = Field("15s", description="Time between two scrapes of a target.")
    resources: Resources = Field(
        Resources(requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "1Gi"}), description="Pod resources."
    )

    @property
    def address(self) -> str:
        """Where the analysis asks."""
        return self.url or f"http://{PROMETHEUS}.{ISTIO_NAMESPACE}:9090"

    @model_validator(mode="after")
    def _one_prometheus(self) -> Self:
        if self.enabled == (self.url is not None):
            raise ValueError("set either enabled: true, or enabled: false together with url")
        return self


class GrafanaConfig(Model):
    enabled: Boolean = Field(True, description="Install Grafana with the canary dashboard.")
    repository: ChartRepository = Field(
        "https://grafana-community.github.io/helm-charts", description="Repository of the Grafana chart."
    )
    version: Text = Field("12.7.2", description="Version of the Grafana chart.")
    values: dict[str, Any] = Field(
        default_factory=dict, description="Helm values, merged over the defaults of this program."
    )


class MetricTemplateConfig(Model):
    query: NonEmpty = Field(
        description="PromQL with Flagger's template functions: `{{ namespace }}`, `{{ target }}`, `{{ interval }}`."
    )


class ObservabilityConfig(Model):
    prometheus: PrometheusConfig = PrometheusConfig()
    grafana: GrafanaConfig = GrafanaConfig()
    metric_templates: dict[ObjectName, MetricTemplateConfig] = Field(
        default_factory=dict,
        description="MetricTemplates in istio-system, in addition to `error-rate` and `latency`, which can be "
        "overridden by name.",
    )


class GatewayConfig(Model):
    name: ObjectName = Field("public-gateway", description="Name of the Istio Gateway in istio-system.")
    hosts: Annotated[list[Host], Field(min_length=1)] = Field(["*"], description="Host names that it serves.")
    http_port: Port = Field(80, description="Port for plain HTTP.")
    https_port: Port = Field(443, description="Port for HTTPS, with `credentialName`.")
    credential_name: ObjectName | None = Field(
        None, description="A TLS Secret in istio-system. When set, HTTPS is served and HTTP redirects to it."
    )

    @property
    def host_names(self) -> list[str]:
        """The hosts without the namespaces that may route them."""
        return [host.rpartition("/")[2] for host in self.hosts]


class BuildConfig(Model):
    enabled: Boolean = Field(
        False, description="Build the controller's image from this checkout when its sources change."
    )
    command: str = Field(
        'docker build --tag "$IMAGE" --file controller/Dockerfile .',
        description="Build command, run in the project's folder; `$IMAGE` is the reference to build.",
    )
    publish: str = Field(
        "",
        description='Command that makes `$IMAGE` available to the cluster: `docker push "$IMAGE"`, '
        '`kind load docker-image "$IMAGE"`, `minikube image load "$IMAGE"`. Empty where the cluster uses local images.',
    )


class TrustConfig(Model):
    cross_namespace_references: Boolean = Field(
        True,
        description="Whether a Canary may use MetricTemplates and AlertProviders of another namespace. When false, the "
        "MetricTemplates of this stack are in each of its namespaces.",
    )
    hosts: list[HostPattern] = Field(
        default_factory=list,
        description="Patterns of the `service.hosts` that a Canary may have, besides Services of its namespace; all "
        "when empty. `*` matches any text, `[*]` the host `*`, and `{namespace}` the Canary's namespace.",
    )
    gateways: list[HostPattern] = Field(
        default_factory=list,
        description="Patterns of the `service.gateways` that a Canary may have, as `namespace/name`; all when empty.",
    )
    addresses: list[HostPattern] = Field(
        default_factory=list,
        description="Patterns of the host names that a Canary's webhooks and metric providers may have, besides the "
        "Prometheus of this stack; all when empty.",
    )


class ControllerConfig(Model):
    name: ServiceName = Field(
        "canary-controller", description="Name of the controller's Deployment; `flagger` for tools that expect it."
    )
    image: Image = Field(
        description="Published image; with `build.enabled` the repository only, tagged by a digest of the sources."
    )
    build: BuildConfig = BuildConfig()
    replicas: Annotated[Integer, at_least(0)] = Field(
        1, description="One of them works, the others stand by; 0 pauses all canaries as they are."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Minimum severity of log lines."
    )
    minimum_interval: Annotated[Duration, matching(r".*[1-9].*", "a duration above 0, as in 10s or 1m30s")] = Field(
        DEFAULT_INTERVAL_FLOOR, description="Lower limit of a canary's analysis interval, as in Flagger."
    )
    max_rollouts: Annotated[Integer, at_least(0)] = Field(
        0, description="Rollouts in progress at a time; 0 for any number (docs/several-rollouts.md)."
    )
    max_rollouts_per_namespace: Annotated[Integer, at_least(0)] = Field(
        0, description="Rollouts in progress at a time in each namespace; 0 for any number."
    )
    metrics_server: Url | None = Field(
        None, description="Prometheus for the built-in metrics; the one of `observability` when unset."
    )
    namespaces: list[Label] = Field(
        default_factory=list,
        description="The only namespaces whose canaries it controls, with a Role in each and no ClusterRole; all "
        "namespaces when empty.",
    )
    trust: TrustConfig = Field(
        TrustConfig(), description="What the authors of Canaries may use; everything by default (docs/security.md)."
    )
    args: list[Text] = Field(default_factory=list, description="Additional command line arguments.")
    resources: Resources = Field(
        Resources(requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "512Mi"}), description="Pod resources."
    )

    @model_validator(mode="after")
    def _built_image_has_no_tag(self) -> Self:
        if self.build.enabled and not re.fullmatch(REPOSITORY, self.image):
            raise ValueError(f"image {self.image} must have no tag with build.enabled: the tag is the sources' digest")
        return self


class LoadTesterConfig(Model):
    enabled: Boolean = Field(
        True,
        description="Install the load tester, in each namespace whose webhooks need it; without it all need a `url`.",
    )
    image: Image = Field("ghcr.io/fluxcd/flagger-loadtester:0.38.0", description="Flagger's load tester, or a mirror.")
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
    gateway: GatewayConfig = GatewayConfig()
    namespace: NamespaceConfig = NamespaceConfig()
    controller: ControllerConfig
    load_tester: LoadTesterConfig = LoadTesterConfig()
    rollouts: RolloutsConfig = RolloutsConfig()
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
    def workloads(self) -> Sequence[Workload]:
        """All apps and targets."""
        return [workload for place in self.places for workload in place.workloads]

    @property
    def load_tested(self) -> Sequence[Place]:
        """The places that get a load tester."""
        return [place for place in self.places if self.load_tester.enabled and place.has_load_tester]

    @property
    def templates(self) -> Mapping[str, str]:
        """The namespaces of the stack's MetricTemplates, by the prefix of their resources' names."""
        if self.controller.trust.cross_namespace_references:
            return {"": ISTIO_NAMESPACE}
        return {place.prefix: place.name for place in self.places}

    def follows(self, workload: Workload) -> bool:
        """Whether `up` waits for the end of its rollout, which some controller has to come to."""
        return self.rollouts.follow and self.controller.replicas > 0 and not workload.config.suspend


def templates_namespace(namespace: str, trust: TrustConfig) -> str:
    """Where the Canaries of `namespace` find the MetricTemplates of the stack: where they may refer to."""
    return ISTIO_NAMESPACE if trust.cross_namespace_references else namespace
