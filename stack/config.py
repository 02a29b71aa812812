"""The stack's configuration: one pydantic model, validated once and whole. The only reader of `pulumi.Config`.

Every section is a structured object under the project's name, as in ``canary-on-istio:istio``; docs/configuration.md
lists them all. The apps of a stack are laid over those of stack/defaults.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pulumi
from pulumi.runtime import config as pulumi_config
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from controller.api.analysis import Analysis
from controller.api.durations import parse_duration
from controller.api.service import ServiceSpec
from stack.defaults import ISTIO_NAMESPACE, complete_apps
from stack.errors import ConfigError, Problem, explain

# --- values -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Matching:
    """A check of a text: `allowed` says to people what `pattern` says to the machine."""

    pattern: str
    allowed: str

    def __call__(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value):
            raise ValueError(f"must be {self.allowed}")
        return value


def _matching(pattern: str, allowed: str) -> AfterValidator:
    return AfterValidator(Matching(pattern, allowed))


Duration = Annotated[str, _matching(r"[1-9][0-9]*[sm]", "1 or more whole seconds or minutes, such as 30s or 1m")]
Retention = Annotated[str, _matching(r"[1-9][0-9]*[hdw]", "a whole number of hours, days or weeks, such as 6h or 15d")]
Quantity = Annotated[str, _matching(r"[0-9]+(\.[0-9]+)?(m|[kMGT]i?)?", "a Kubernetes quantity, such as 100m or 128Mi")]
Name = Annotated[
    str, _matching(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", "a Kubernetes name: a-z, 0-9 and -, 63 characters at most")
]
Url = Annotated[str, _matching(r"https?://[^\s/]+\S*", "a URL that begins with http:// or https://")]
ChartRepository = Annotated[
    str, _matching(r"(https?|oci)://[^\s/]+\S*", "a chart repository that begins with https://, http:// or oci://")
]
Image = Annotated[str, _matching(r"[\w.\-/:@]+", "an image reference, such as prom/prometheus:v3.16.0")]
Port = Annotated[int, Field(ge=1, le=65535)]


class Section(BaseModel):
    """A part of the configuration: camelCase keys, none but the known ones, never changed after it was read."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Resources(Section):
    requests: dict[str, Quantity] = Field(
        default_factory=dict, description="What the scheduler sets aside, by resource."
    )
    limits: dict[str, Quantity] = Field(default_factory=dict, description="What it may use at most, by resource.")


# --- sections ---------------------------------------------------------------------------------------------------------


class IstioValues(Section):
    base: dict[str, Any] = Field(default_factory=dict, description="Helm values of the chart `base`.")
    istiod: dict[str, Any] = Field(default_factory=dict, description="Helm values of the chart `istiod`.")
    gateway: dict[str, Any] = Field(default_factory=dict, description="Helm values of the chart `gateway`.")

    def for_chart(self, chart: str) -> dict[str, Any]:
        values: dict[str, Any] = getattr(self, chart)
        return values


class IstioConfig(Section):
    version: Annotated[str, _matching(r"\d+\.\d+\.\d+\S*", "a release of Istio, such as 1.31.4")] = Field(
        "1.31.4", description="Version of the three Istio charts."
    )
    repository: ChartRepository = Field(
        "https://istio-release.storage.googleapis.com/charts", description="Where the Istio charts are fetched."
    )
    chart_path: Path | None = Field(
        None,
        description="A local folder that holds the chart folders `base`, `istiod` and `gateway`; it takes the place of "
        "`repository` and `version` where those cannot be reached.",
    )
    values: IstioValues = Field(IstioValues(), description="Helm values, merged over ours.")

    @model_validator(mode="after")
    def _charts_are_there(self) -> Self:
        if self.chart_path is not None:
            missing = [c for c in ("base", "istiod", "gateway") if not (self.chart_path / c / "Chart.yaml").is_file()]
            if missing:
                raise ValueError(
                    f"chartPath {self.chart_path} must hold the charts; no Chart.yaml in {', '.join(missing)}"
                )
        return self


class PrometheusConfig(Section):
    enabled: bool = Field(True, description="Install a Prometheus for the analysis; if false, `url` names yours.")
    url: Url | None = Field(
        None, description="An existing Prometheus that scrapes the mesh. Only with `enabled: false`."
    )
    image: Image = Field("prom/prometheus:v3.16.0", description="The official image, or a mirror of it.")
    retention: Retention = Field("6h", description="How long samples are kept.")
    scrape_interval: Duration = Field("15s", description="How often every target is scraped.")
    resources: Resources = Field(
        Resources(requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "1Gi"}), description="Of the pod."
    )

    @model_validator(mode="after")
    def _one_prometheus(self) -> Self:
        if self.enabled == (self.url is not None):
            raise ValueError("set either enabled: true, or enabled: false together with url")
        return self


class GrafanaConfig(Section):
    enabled: bool = Field(True, description="Install Grafana with the canary dashboard.")
    repository: ChartRepository = Field(
        "https://grafana-community.github.io/helm-charts", description="Where the Grafana chart is fetched."
    )
    version: str = Field("12.7.2", description="Version of the Grafana chart.")
    values: dict[str, Any] = Field(default_factory=dict, description="Helm values, merged over ours.")


class MetricTemplateConfig(Section):
    query: Annotated[str, Field(min_length=1)] = Field(
        description="PromQL with Flagger's template functions: `{{ namespace }}`, `{{ target }}`, `{{ interval }}`."
    )


class ObservabilityConfig(Section):
    prometheus: PrometheusConfig = PrometheusConfig()
    grafana: GrafanaConfig = GrafanaConfig()
    metric_templates: dict[Name, MetricTemplateConfig] = Field(
        default_factory=dict,
        description="MetricTemplates in istio-system beside `error-rate` and `latency`; those names replace ours.",
    )


class GatewayConfig(Section):
    name: Name = Field("public-gateway", description="Name of the Istio Gateway in istio-system.")
    hosts: Annotated[list[str], Field(min_length=1)] = Field(["*"], description="Host names it accepts.")
    http_port: Port = Field(80, description="Port of plain HTTP.")
    https_port: Port = Field(443, description="Port of HTTPS, with `credentialName`.")
    credential_name: Name | None = Field(
        None, description="A TLS Secret in istio-system; with it HTTPS is served and HTTP redirects."
    )


class NamespaceConfig(Section):
    name: Name = Field("prod", description="The namespace of the apps.")
    labels: dict[str, str] = Field(default_factory=dict, description="More labels of the namespace.")
    injection: bool = Field(
        True, description="Whether its pods get a sidecar. Without one there are no metrics to judge."
    )
    mtls: Literal["STRICT", "PERMISSIVE", "DISABLE"] | None = Field(
        None, description="Mode of the namespace's PeerAuthentication; unset means the mesh's own, which is PERMISSIVE."
    )


class BuildConfig(Section):
    enabled: bool = Field(False, description="Build the controller's image from this checkout when its sources change.")
    command: str = Field(
        'docker build --tag "$IMAGE" --file controller/Dockerfile .',
        description="Run in the project's folder; `$IMAGE` is the reference to build.",
    )
    publish: str = Field(
        "",
        description='Run after it, to bring `$IMAGE` to the cluster: `docker push "$IMAGE"`, '
        '`kind load docker-image "$IMAGE"`, `minikube image load "$IMAGE"`. Empty where the cluster sees local images.',
    )


class ControllerConfig(Section):
    name: Name = Field(
        "canary-controller", description="Name of its Deployment; `flagger` for tools that look for that."
    )
    image: Image = Field(
        description="A published image; with `build.enabled` its repository alone: the tag is the sources' digest."
    )
    build: BuildConfig = BuildConfig()
    replicas: Annotated[int, Field(ge=0, le=1)] = Field(1, description="1, or 0 to pause every canary where it stands.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line it logs.")
    minimum_interval: Duration = Field("10s", description="Floor of a canary's analysis interval, as in Flagger.")
    metrics_server: Url | None = Field(
        None, description="Prometheus of the built-in metrics; by default the analysis one."
    )
    args: list[str] = Field(default_factory=list, description="More command line arguments.")
    resources: Resources = Field(
        Resources(requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "512Mi"}), description="Of the pod."
    )

    @model_validator(mode="after")
    def _built_image_has_no_tag(self) -> Self:
        if self.build.enabled and re.search(r":[^/]*$|@", self.image):
            raise ValueError(f"image {self.image} must have no tag with build.enabled: the sources' digest is the tag")
        return self


class LoadTesterConfig(Section):
    enabled: bool = Field(True, description="Install the load tester; without it every webhook needs its own `url`.")
    image: Image = Field("ghcr.io/fluxcd/flagger-loadtester:0.38.0", description="Flagger's load tester, or a mirror.")
    resources: Resources = Field(
        Resources(requests={"cpu": "10m", "memory": "32Mi"}, limits={"memory": "512Mi"}), description="Of the pod."
    )


class HpaConfig(Section):
    enabled: bool = Field(
        True, description="Scale by a HorizontalPodAutoscaler; the controller keeps a copy for the primary."
    )
    min_replicas: Annotated[int, Field(ge=1)] = Field(1, description="Fewest pods.")
    max_replicas: Annotated[int, Field(ge=1)] = Field(4, description="Most pods.")
    cpu_utilization: Annotated[int, Field(ge=1)] = Field(
        99, description="CPU use it aims at, in percent of the request."
    )

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"minReplicas ({self.min_replicas}) must not be above maxReplicas ({self.max_replicas})")
        return self


class AppConfig(Section):
    image: Image = Field(description="Image of the app, without its tag.")
    tag: Annotated[str, _matching(r"\w[\w.-]{0,127}", "an image tag, such as 6.1.0")] = Field(
        description="Tag of the image; changing it starts a canary."
    )
    command: list[str] = Field(default_factory=list, description="Command, if not the image's own.")
    env: dict[str, str] = Field(default_factory=dict, description="Environment variables.")
    config: dict[str, str] = Field(
        default_factory=dict, description="More of them, by a ConfigMap `<app>-config`; a change of it starts a canary."
    )
    secrets: list[Name] = Field(
        default_factory=list, description="Existing Secrets whose keys become environment variables; tracked as well."
    )
    readiness_path: str | None = Field(None, description="HTTP path of the readiness probe; none when unset.")
    liveness_path: str | None = Field(None, description="HTTP path of the liveness probe; none when unset.")
    resources: Resources = Field(Resources(requests={"cpu": "10m", "memory": "32Mi"}), description="Of the container.")
    min_ready_seconds: Annotated[int, Field(ge=0)] = Field(5, description="How long a new pod must be ready to count.")
    progress_deadline_seconds: Annotated[int, Field(ge=1)] = Field(
        600, description="Longest time for a new version to become ready before it is rolled back."
    )
    hpa: HpaConfig = HpaConfig()
    skip_analysis: bool = Field(False, description="Promote a new version without trying it.")
    suspend: bool = Field(False, description="Do nothing about this app's Canary until false again.")
    service: ServiceSpec = Field(description="`spec.service` of the Canary.")
    analysis: Analysis = Field(
        description="`spec.analysis` of the Canary; `metrics`, `webhooks` and `alerts` may also be mappings by name."
    )


class StackConfig(Section):
    istio: IstioConfig = IstioConfig()
    observability: ObservabilityConfig = ObservabilityConfig()
    gateway: GatewayConfig = GatewayConfig()
    namespace: NamespaceConfig = NamespaceConfig()
    controller: ControllerConfig
    load_tester: LoadTesterConfig = LoadTesterConfig()
    apps: dict[Name, AppConfig] = Field(description="The canaried apps by name, over their defaults.")


# --- reading ----------------------------------------------------------------------------------------------------------


def load() -> StackConfig:
    """The configuration of the current stack, validated.

    Raises:
        ConfigError: listing everything that is wrong.
    """
    project = pulumi.get_project()
    prefix = f"{project}:"
    given = pulumi_config.get_config_env() | pulumi_config.CONFIG.get()
    raw = {key.removeprefix(prefix): _parse(value) for key, value in given.items() if key.startswith(prefix)}
    if secret := [key for key in raw if pulumi_config.is_config_secret(prefix + key)]:
        allowed = "must not be secret: it goes into plain objects. Put it in a Kubernetes Secret, named in `secrets`"
        raise ConfigError(project, [Problem((key,), "[secret]", allowed) for key in secret])
    return parse(raw, project)


def parse(raw: Mapping[str, Any], project: str) -> StackConfig:
    """`raw` laid over the defaults and validated; `project` is for the keys in messages.

    Raises:
        ConfigError: listing everything that is wrong.
    """
    whole = _complete(raw)
    try:
        config = StackConfig.model_validate(whole)
    except ValidationError as error:
        raise ConfigError(project, explain(error, StackConfig, whole)) from None
    if problems := list(_contradictions(config)):
        raise ConfigError(project, problems)
    return config


def _parse(value: Any) -> Any:
    """Pulumi hands structured values over as JSON text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def _complete(raw: Mapping[str, Any]) -> dict[str, Any]:
    apps = raw.get("apps", {})
    if not isinstance(apps, Mapping):
        return dict(raw)
    completed = complete_apps(
        apps,
        namespace=_look_up(raw, "namespace", "name", NamespaceConfig().name),
        gateway=_look_up(raw, "gateway", "name", GatewayConfig().name),
        load_tester=_look_up(raw, "loadTester", "enabled", True),
    )
    return {"controller": {}, **raw, "apps": completed}


def _look_up(raw: Mapping[str, Any], section: str, key: str, default: Any) -> Any:
    found = raw.get(section)
    return found.get(key, default) if isinstance(found, Mapping) else default


def _contradictions(config: StackConfig) -> Iterator[Problem]:
    """What is wrong between sections, each of which is right by itself."""
    templates = {"error-rate", "latency", *config.observability.metric_templates}
    floor = config.controller.minimum_interval
    for app, settings in config.apps.items():
        at = ("apps", app, "analysis")
        analysis = settings.analysis
        if analysis.interval_seconds < parse_duration(floor):
            yield Problem(
                (*at, "interval"), analysis.interval, f"must not be below controller.minimumInterval, {floor}"
            )
        for metric in analysis.metrics:
            ref = metric.template_ref
            if ref and ref.namespace == ISTIO_NAMESPACE and ref.name not in templates:
                allowed = (
                    f"no such metric template; known are {', '.join(sorted(templates))} (observability.metricTemplates)"
                )
                yield Problem((*at, "metrics", metric.name, "templateRef", "name"), ref.name, allowed)
