"""What the analysis reads and people look at: Prometheus, the metric templates, Grafana."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import yaml
from pulumi_kubernetes import apps, core, helm, meta
from pulumi_kubernetes.apiextensions import CustomResource

from components._shared.charts import Login, chart_from_repository
from components._shared.options import SKIP_AWAIT, child_options
from components._shared.rbac import EVERYWHERE, Account, Rule, create_account
from components.observability.dashboard import canary_dashboard
from components.observability.grafana import DASHBOARDS, build_grafana_values
from components.observability.overview import controller_dashboard, rollouts_dashboard
from components.observability.prometheus import PORT, RULES_FILE, build_configuration, build_prometheus_pod
from components.observability.rules import build_rules
from controller.api import MetricProvider, MetricTemplate, promql
from controller.api.names import API_VERSION, METRIC_TEMPLATE_KIND
from stack.merge import merge
from stack.names import GRAFANA, ISTIO_NAMESPACE, PROMETHEUS
from stack.objects import build_metric_template
from stack.observability import (
    MetricTemplateConfig,
    ObservabilityConfig,
    PrometheusConfig,
    StorageConfig,
)

_READ = ("get", "list", "watch")
_READS_PODS: Sequence[Rule] = [Rule("", ["pods"], _READ)]
"""To find its targets, Prometheus reads the pods of every namespace with sidecars."""
_READS_NODES: Sequence[Rule] = [Rule("", ["nodes"], _READ), Rule("", ["nodes/metrics"], ["get"])]
"""To read what the containers on them use, and nothing else of them."""

_ONE_AT_A_TIME = apps.v1.DeploymentStrategyArgs(
    type="RollingUpdate", rolling_update=apps.v1.RollingUpdateDeploymentArgs(max_surge=0, max_unavailable=1)
)
"""Two pods cannot write to one volume. `Recreate` is refused for a Deployment that was made without it."""


@dataclass(frozen=True)
class ObservabilityArgs:
    """`controller` is the app label of the controller's pods, which Prometheus scrapes too.

    The metric templates are in each of the namespaces `templates`, which are by the prefix of their resources' names.
    `login` is for the repository of Grafana's chart.
    """

    config: ObservabilityConfig
    controller: str
    templates: Mapping[str, str]
    login: Login = field(default_factory=dict)


class Observability(pulumi.ComponentResource):
    """Everything is in istio-system, except the metric templates where Canaries may not refer to them there.

    An analysis needs `metrics`, Prometheus and the `templates`. Grafana is for people: nothing waits for it.
    """

    prometheus: MetricProvider
    metrics: list[pulumi.Resource]
    templates: list[pulumi.Resource]

    def __init__(self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:Observability", name, None, opts)
        prometheus, grafana = args.config.prometheus, args.config.grafana
        self._name, self.prometheus = name, prometheus.provider
        after = [self._prometheus(prometheus, args.controller, opts)] if prometheus.enabled else []
        self.templates = []
        templates = {
            "error-rate": MetricTemplateConfig(query=promql.error_rate(promql.TARGET, promql.INTERVAL)),
            "latency": MetricTemplateConfig(query=promql.latency(promql.TARGET, promql.INTERVAL)),
            **args.config.metric_templates,
        }
        for prefix, namespace in args.templates.items():
            for each, settings in templates.items():
                if settings.create:
                    template = build_metric_template(each, namespace, settings, prometheus)
                    self.templates.append(self._metric_template(prefix, template, opts))
        self.metrics = [*after, *self.templates]
        if grafana.enabled:
            self._grafana(args, opts, *after)
        self.register_outputs({"prometheusUrl": self.prometheus.address})

    def _prometheus(
        self, config: PrometheusConfig, controller: str, opts: pulumi.ResourceOptions | None
    ) -> pulumi.Resource:
        configuration = build_configuration(config, istio_namespace=ISTIO_NAMESPACE, controller=controller)
        rendered, rules = (yaml.safe_dump(each, sort_keys=False) for each in (configuration, build_rules()))
        own = f"{self._name}-{PROMETHEUS}"
        config_map = core.v1.ConfigMap(
            own,
            metadata=_metadata(PROMETHEUS),
            data={"prometheus.yml": rendered, RULES_FILE: rules},
            opts=child_options(self, opts, formerly=PROMETHEUS),
        )
        before: list[pulumi.Resource] = [config_map]
        if config.storage:
            before.append(self._volume(own, config.storage, opts))
        rights = {EVERYWHERE: [*_READS_PODS, *(_READS_NODES if config.container_metrics else ())]}
        account = Account(PROMETHEUS, ISTIO_NAMESPACE, f"{PROMETHEUS}-pod-reader", resource=own, rights=rights)
        before += create_account(self, account, opts)
        deployment = apps.v1.Deployment(
            own,
            metadata=_metadata(PROMETHEUS),
            spec=apps.v1.DeploymentSpecArgs(
                selector=meta.v1.LabelSelectorArgs(match_labels={"app": PROMETHEUS}),
                strategy=_ONE_AT_A_TIME if config.storage else None,
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(
                        labels={"app": PROMETHEUS, "sidecar.istio.io/inject": "false"},
                        # Prometheus reads its configuration at start: a changed one needs a new pod.
                        annotations={"checksum/config": hashlib.sha256((rendered + rules).encode()).hexdigest()},
                    ),
                    spec=build_prometheus_pod(config),
                ),
            ),
            opts=child_options(self, opts, *before, formerly=PROMETHEUS),
        )
        return core.v1.Service(
            own,
            metadata=_metadata(PROMETHEUS, SKIP_AWAIT),
            spec=core.v1.ServiceSpecArgs(
                selector={"app": PROMETHEUS},
                ports=[core.v1.ServicePortArgs(name="http", port=PORT, target_port="http")],
            ),
            opts=child_options(self, opts, deployment, formerly=PROMETHEUS),
        )

    def _volume(self, name: str, storage: StorageConfig, opts: pulumi.ResourceOptions | None) -> pulumi.Resource:
        return core.v1.PersistentVolumeClaim(
            name,
            # Not awaited: most classes make the volume only once a pod uses it.
            metadata=_metadata(PROMETHEUS, SKIP_AWAIT),
            spec=core.v1.PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                resources=core.v1.VolumeResourceRequirementsArgs(requests={"storage": storage.size}),
                storage_class_name=storage.storage_class,
            ),
            opts=child_options(self, opts),
        )

    def _metric_template(
        self, prefix: str, template: MetricTemplate, opts: pulumi.ResourceOptions | None
    ) -> pulumi.Resource:
        metadata = template.metadata
        return CustomResource(
            f"{self._name}-{prefix}{metadata.name}",
            api_version=API_VERSION,
            kind=METRIC_TEMPLATE_KIND,
            metadata=meta.v1.ObjectMetaArgs(name=metadata.name, namespace=metadata.namespace),
            spec=template.to_dict()["spec"],
            opts=child_options(self, opts, formerly=None if prefix else f"{metadata.name}-template"),
        )

    def _grafana(self, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None, *after: pulumi.Resource) -> None:
        config = args.config.grafana
        boards = (canary_dashboard(), rollouts_dashboard(), controller_dashboard(args.controller))
        dashboards = core.v1.ConfigMap(
            f"{self._name}-dashboards",
            metadata=_metadata(DASHBOARDS),
            data={f"{board.uid}.json": json.dumps(board.to_json(), indent=1) for board in boards},
            opts=child_options(self, opts, *after, formerly=DASHBOARDS),
        )
        helm.v3.Release(
            f"{self._name}-grafana",
            name=GRAFANA,
            namespace=ISTIO_NAMESPACE,
            **chart_from_repository(config.repository, "grafana", config.version, args.login),
            values=merge(build_grafana_values(self.prometheus), config.values),
            opts=child_options(self, opts, *after, dashboards, formerly=GRAFANA),
        )


def _metadata(name: str, annotations: Mapping[str, str] | None = None) -> meta.v1.ObjectMetaArgs:
    return meta.v1.ObjectMetaArgs(name=name, namespace=ISTIO_NAMESPACE, labels={"app": name}, annotations=annotations)
