"""The Prometheus of the analysis: what it scrapes (Envoys, istiod, the canary controller), and its pod."""

from __future__ import annotations

from typing import Any

from pulumi_kubernetes import core

from components._shared.pods import alive, container_security, pod_security, pull_secrets, ready, resource_requirements
from stack.names import PROMETHEUS
from stack.observability import PrometheusConfig

PORT = 9090
RULES_FILE = "rules.yml"
_UID = 65534
_FOLDER = "/etc/prometheus"
_ENVOY_PORT_NAME = "http-envoy-prom"
"""The name istiod gives port 15090 of every proxy it injects."""


def build_configuration(config: PrometheusConfig, *, istio_namespace: str, controller: str) -> dict[str, Any]:
    """The content of prometheus.yml; `controller` is the app label of the controller's pods.

    Targets are found by pod, so that a pod is scraped as soon as it is ready and needs no Service.
    """
    interval = config.scrape_interval
    return {
        "storage": {"tsdb": {"retention": {"time": config.retention}}},
        "global": {"scrape_interval": interval, "scrape_timeout": interval if _seconds(interval) < 10 else "10s"},
        "rule_files": [f"{_FOLDER}/{RULES_FILE}"],
        "scrape_configs": [
            _envoy_job(),
            _pod_job("istiod", istio_namespace, "istiod", "15014"),
            _pod_job("canary-controller", istio_namespace, controller, "8080"),
            *([_containers_job()] if config.container_metrics else []),
            *([_annotated_job(istio_namespace)] if config.app_metrics else []),
            *config.scrape_configs,
        ],
    }


def _envoy_job() -> dict[str, Any]:
    return {
        "job_name": "envoy",
        "metrics_path": "/stats/prometheus",
        "kubernetes_sd_configs": [{"role": "pod"}],
        "relabel_configs": [
            _keep("__meta_kubernetes_pod_container_port_name", _ENVOY_PORT_NAME),
            *_running_pods(),
        ],
        "metric_relabel_configs": [
            # An Envoy that is not Istio's own build puts its prefix before Istio's metric names.
            {"source_labels": ["__name__"], "regex": "envoy_(istio_.*)", "target_label": "__name__"},
            # Envoy has thousands of series a pod; the analysis reads Istio's.
            _keep("__name__", "istio_.*"),
        ],
    }


def _pod_job(job: str, namespace: str, app: str, port: str) -> dict[str, Any]:
    return {
        "job_name": job,
        "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [namespace]}}],
        "relabel_configs": [
            _keep("__meta_kubernetes_pod_label_app", app),
            _keep("__meta_kubernetes_pod_container_port_number", port),
            *_running_pods(),
        ],
    }


def _containers_job() -> dict[str, Any]:
    """What containers use, as the kubelets hear from the runtime; they mostly sign their certificates themselves."""
    return {
        "job_name": "containers",
        "scheme": "https",
        "metrics_path": "/metrics/resource",
        "kubernetes_sd_configs": [{"role": "node"}],
        "tls_config": {"insecure_skip_verify": True},
        "authorization": {"credentials_file": "/var/run/secrets/kubernetes.io/serviceaccount/token"},
        "metric_relabel_configs": [
            _keep("__name__", "container_(cpu_usage_seconds_total|memory_working_set_bytes)"),
        ],
    }


def _annotated_job(istio_namespace: str) -> dict[str, Any]:
    """What pods say of themselves. With a sidecar, Istio has put its own merged metrics in place of the app's."""
    annotation = "__meta_kubernetes_pod_annotation_prometheus_io"
    return {
        "job_name": "pods",
        "kubernetes_sd_configs": [{"role": "pod"}],
        "relabel_configs": [
            _keep(f"{annotation}_scrape", "true"),
            # Those there have jobs of their own.
            {"source_labels": ["__meta_kubernetes_namespace"], "regex": istio_namespace, "action": "drop"},
            {"source_labels": [f"{annotation}_path"], "regex": "(.+)", "target_label": "__metrics_path__"},
            {
                "source_labels": ["__address__", f"{annotation}_port"],
                "regex": r"([^:]+|\[.+\])(?::\d+)?;(\d+)",
                "replacement": "$1:$2",
                "target_label": "__address__",
            },
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            *_running_pods(),
        ],
        # The job `envoy` has Istio's already: twice, every request would count twice.
        "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": "(istio|envoy)_.*", "action": "drop"}],
    }


def _running_pods() -> list[dict[str, Any]]:
    return [
        # A pod that is pending or finished does not answer.
        {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Pending|Succeeded|Failed", "action": "drop"},
        # No `namespace` label: the controller's own metrics have one, which means the canary's.
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
    ]


def _keep(label: str, regex: str) -> dict[str, Any]:
    return {"source_labels": [label], "regex": regex, "action": "keep"}


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * {"s": 1, "m": 60}[duration[-1]]


def build_prometheus_pod(config: PrometheusConfig) -> core.v1.PodSpecArgs:
    """The official image, unprivileged; its configuration comes from the ConfigMap `prometheus`."""
    return core.v1.PodSpecArgs(
        service_account_name=PROMETHEUS,
        image_pull_secrets=pull_secrets(config.pull_secrets),
        security_context=pod_security(_UID),
        containers=[
            core.v1.ContainerArgs(
                name=PROMETHEUS,
                image=config.image,
                image_pull_policy="IfNotPresent",
                args=[f"--config.file={_FOLDER}/prometheus.yml", "--storage.tsdb.path=/prometheus"],
                ports=[core.v1.ContainerPortArgs(name="http", container_port=PORT)],
                readiness_probe=ready("/-/ready"),
                liveness_probe=alive("/-/healthy"),
                resources=resource_requirements(config.resources),
                security_context=container_security(),
                volume_mounts=[
                    core.v1.VolumeMountArgs(name="config", mount_path=_FOLDER),
                    core.v1.VolumeMountArgs(name="data", mount_path="/prometheus"),
                ],
            ),
        ],
        volumes=[
            core.v1.VolumeArgs(name="config", config_map=core.v1.ConfigMapVolumeSourceArgs(name=PROMETHEUS)),
            _data_volume(config),
        ],
    )


def _data_volume(config: PrometheusConfig) -> core.v1.VolumeArgs:
    """The analysis queries a few minutes: the samples need not outlive the pod."""
    if config.storage is None:
        return core.v1.VolumeArgs(name="data", empty_dir=core.v1.EmptyDirVolumeSourceArgs())
    claim = core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=PROMETHEUS)
    return core.v1.VolumeArgs(name="data", persistent_volume_claim=claim)
