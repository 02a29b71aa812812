"""What the analysis reads and people look at, and who is told how rollouts go."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from controller.api.alert_provider import AlertProviderSpec
from controller.api.base import Boolean, Model
from controller.api.metric_template import MetricProvider
from controller.api.references import SecretRef
from stack.names import ISTIO_NAMESPACE, PROMETHEUS
from stack.values import (
    CanaryPattern,
    ChartRepository,
    Image,
    ObjectName,
    PrometheusDuration,
    Quantity,
    Resources,
    Retention,
    Text,
    Url,
)


class StorageConfig(Model):
    size: Quantity = Field(description="Size of the volume.")
    storage_class: ObjectName | None = Field(
        None, description="StorageClass of the volume; the cluster's default when unset."
    )


class PrometheusConfig(Model):
    enabled: Boolean = Field(True, description="Install a Prometheus for the analysis; when false, `url` names yours.")
    url: Url | None = Field(
        None, description="Address of an existing Prometheus that scrapes the mesh. Only with `enabled: false`."
    )
    headers: dict[str, list[Text]] = Field(
        default_factory=dict, description="HTTP headers for it, by name, as in `X-Scope-OrgID: [shop]`."
    )
    secret_ref: SecretRef | None = Field(
        None,
        description="A Secret in istio-system for it: `token`, or `username` and `password`; `ca.crt` where its "
        "certificate is not from a public authority.",
    )
    image: Image = Field("prom/prometheus:v3.16.0", description="The official image, or a mirror of it.")
    retention: Retention = Field("6h", description="How long samples are kept.")
    storage: StorageConfig | None = Field(
        None, description="A volume for the samples; without it they are lost with the pod, which no analysis minds."
    )
    scrape_interval: PrometheusDuration = Field("15s", description="Time between two scrapes of a target.")
    app_metrics: Boolean = Field(
        False,
        description="Also scrape pods outside of istio-system by their annotations `prometheus.io/scrape`, "
        "`prometheus.io/port` and `prometheus.io/path`. Series get the labels `namespace` and `pod`.",
    )
    container_metrics: Boolean = Field(
        True,
        description="Also scrape CPU and memory of pods from the kubelets, for the dashboards; Prometheus may then "
        "read the nodes.",
    )
    scrape_configs: list[dict[str, Any]] = Field(
        default_factory=list,
        description="More jobs, as in Prometheus' `scrape_configs`, with static targets or pods.",
    )
    pull_secrets: list[ObjectName] = Field(
        default_factory=list, description="Secrets for the registry of its image, in the namespace of its pods."
    )
    resources: Resources = Field(
        Resources(requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "1Gi"}), description="Pod resources."
    )

    @property
    def address(self) -> str:
        """Where the analysis asks."""
        return self.url or f"http://{PROMETHEUS}.{ISTIO_NAMESPACE}:9090"

    @property
    def provider(self) -> MetricProvider:
        """How the analysis asks."""
        given = {"headers": self.headers, "secretRef": self.secret_ref}
        asked = {field: value for field, value in given.items() if value}
        return MetricProvider.model_validate({"type": "prometheus", "address": self.address, **asked})

    @model_validator(mode="after")
    def _one_prometheus(self) -> Self:
        if self.enabled == (self.url is not None):
            raise ValueError("set either enabled: true, or enabled: false together with url")
        return self


class GrafanaConfig(Model):
    enabled: Boolean = Field(True, description="Install Grafana with dashboards of canaries, rollouts and controller.")
    repository: ChartRepository = Field(
        "https://grafana-community.github.io/helm-charts", description="Repository of the Grafana chart."
    )
    repository_secret: ObjectName | None = Field(
        None,
        description="Entry of `secrets` with the `username` and `password` of the repository. An OCI registry takes "
        "the login of `helm registry login` instead.",
    )
    version: Text = Field("12.7.2", description="Version of the Grafana chart.")
    values: dict[str, Any] = Field(
        default_factory=dict, description="Helm values, merged over the defaults of this program."
    )


class MetricTemplateConfig(Model):
    create: Boolean = Field(True, description="Make it; false for one that is there already, to which apps refer.")
    query: str = Field(
        "",
        description="PromQL, or what the provider takes, with Flagger's template functions: `{{ namespace }}`, "
        "`{{ target }}`, `{{ interval }}`. Required where it is made.",
    )
    provider: MetricProvider | None = Field(
        None, description="Metrics server that answers it; the Prometheus of this stack when unset."
    )


class ObservabilityConfig(Model):
    prometheus: PrometheusConfig = PrometheusConfig()
    grafana: GrafanaConfig = GrafanaConfig()
    metric_templates: dict[ObjectName, MetricTemplateConfig] = Field(
        default_factory=dict,
        description="MetricTemplates in istio-system, in addition to `error-rate` and `latency`, which can be "
        "overridden by name.",
    )


class AlertConfig(Model):
    provider: AlertProviderSpec | None = Field(
        None, description="The chat, or another webhook; unset for an AlertProvider of this name that is there already."
    )
    severity: Literal["info", "warn", "error"] = Field(
        "info", description="What it is told: info everything, warn warnings and errors, error errors only."
    )
    canaries: list[CanaryPattern] = Field(
        default_factory=list,
        description="Patterns of the apps and targets that it is told of; all when empty.",
    )

    def is_told_of(self, namespace: str, name: str) -> bool:
        """Whether it gets the alerts of this app or target."""
        return not self.canaries or any(fnmatchcase(f"{namespace}/{name}", pattern) for pattern in self.canaries)


def alerts_of(namespace: str, name: str, alerts: Mapping[str, AlertConfig], providers: str) -> dict[str, Any]:
    """The alerts of an app or target by name, in a Canary's words; the AlertProviders are in `providers`."""
    return {
        alert: {"severity": config.severity, "providerRef": {"name": alert, "namespace": providers}}
        for alert, config in alerts.items()
        if config.is_told_of(namespace, name)
    }
