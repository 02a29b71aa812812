"""The canary controller: its rights, its image, its pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import pulumi
from pulumi_kubernetes import apps, core, meta, policy

from components._shared.controller_rights import build_rights, read_namespaces
from components._shared.image import build_image
from components._shared.options import SKIP_AWAIT, child_options
from components._shared.pods import alive, container_security, pod_security, pull_secrets, ready, resource_requirements
from components._shared.rbac import Account, create_account
from controller.api.metric_template import MetricProvider
from stack.controller import ControllerConfig
from stack.names import ISTIO_NAMESPACE
from stack.page import PAGE_PORT

_UID = 10001
_PORT = 8080
_SECRET_FOLDER = "/etc/metrics-server"  # noqa: S105 -- where the Secret is mounted
_VOLUME = "metrics-server"


@dataclass(frozen=True)
class CanaryControllerArgs:
    """`prometheus` serves the built-in metrics, unless the stack names another; people open the page at `page_url`."""

    config: ControllerConfig
    prometheus: MetricProvider
    page_url: str | None = None

    @property
    def metrics_secret(self) -> str | None:
        """The Secret for that server, in the controller's namespace."""
        ref = None if self.config.metrics_server else self.prometheus.secret_ref
        return ref.name if ref else None


class CanaryController(pulumi.ComponentResource):
    """Pods of which one leads, by a Lease; the others stand by.

    A single one takes part in the election as well: so an update, or another number of replicas, never lets two work.
    """

    deployment: apps.v1.Deployment

    def __init__(self, name: str, args: CanaryControllerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:CanaryController", name, None, opts)
        config = args.config
        account = Account(config.name, ISTIO_NAMESPACE, role=config.name, resource=name, rights=build_rights(config))
        before: list[pulumi.Resource] = create_account(self, account, opts)
        image = config.image
        if config.build.enabled:
            options = child_options(self, opts, formerly=f"{config.name}-image")
            image, built = build_image(f"{name}-image", image, config.build, options)
            before.append(built)
        self.deployment = apps.v1.Deployment(
            name,
            metadata=_metadata(config.name),
            spec=_build_deployment(args, image),
            opts=child_options(self, opts, *before, formerly=config.name),
        )
        if config.replicas > 1:
            policy.v1.PodDisruptionBudget(
                name,
                metadata=_metadata(config.name),
                spec=policy.v1.PodDisruptionBudgetSpecArgs(
                    max_unavailable=1, selector=meta.v1.LabelSelectorArgs(match_labels={"app": config.name})
                ),
                opts=child_options(self, opts, formerly=config.name),
            )
        ports = [core.v1.ServicePortArgs(name=port, port=number, target_port=port) for port, number in _ports(config)]
        core.v1.Service(
            name,
            # Not awaited: with replicas 0 it has no endpoint, as configured.
            metadata=_metadata(config.name, SKIP_AWAIT),
            spec=core.v1.ServiceSpecArgs(selector={"app": config.name}, ports=ports),
            opts=child_options(self, opts, formerly=config.name),
        )
        self.register_outputs({"image": image})


def build_arguments(args: CanaryControllerArgs) -> list[str]:
    """The command line after the image's entry point, `canary`."""
    config = args.config
    trust = config.trust
    prometheus = [urlsplit(args.prometheus.address).hostname or ""] if trust.addresses else []
    allowed = {"hosts": trust.hosts, "gateways": trust.gateways, "addresses": [*trust.addresses, *prometheus]}
    return [
        "run",
        *_metrics_server(args),
        *([f"--page-port={PAGE_PORT}"] if config.page.enabled else []),
        *([f"--page-url={args.page_url}"] if args.page_url else []),
        f"--log-level={config.log_level}",
        f"--minimum-interval={config.minimum_interval}",
        *(f"--max-rollouts={number}" for number in (config.max_rollouts,) if number),
        *(f"--max-rollouts-per-namespace={number}" for number in (config.max_rollouts_per_namespace,) if number),
        "--leader-election=true",
        f"--leader-election-namespace={ISTIO_NAMESPACE}",
        *(f"--namespace={namespace}" for namespace in read_namespaces(config)),
        *([] if trust.cross_namespace_references else ["--no-cross-namespace-refs=true"]),
        *(f"--allowed-{what}={','.join(patterns)}" for what, patterns in allowed.items() if patterns),
        *config.args,
    ]


def _metrics_server(args: CanaryControllerArgs) -> list[str]:
    if args.config.metrics_server:
        return [f"--metrics-server={args.config.metrics_server}"]
    headers = ((name, value) for name, values in args.prometheus.headers.items() for value in values)
    return [
        f"--metrics-server={args.prometheus.address}",
        *(f"--metrics-server-header={name}: {value}" for name, value in headers),
        *([f"--metrics-server-secret={_SECRET_FOLDER}"] if args.metrics_secret else []),
    ]


def _ports(config: ControllerConfig) -> list[tuple[str, int]]:
    return [("http", _PORT), *([("page", PAGE_PORT)] if config.page.enabled else [])]


def _metadata(name: str, annotations: dict[str, str] | None = None) -> meta.v1.ObjectMetaArgs:
    return meta.v1.ObjectMetaArgs(name=name, namespace=ISTIO_NAMESPACE, labels={"app": name}, annotations=annotations)


def _build_deployment(args: CanaryControllerArgs, image: str) -> apps.v1.DeploymentSpecArgs:
    config = args.config
    labels = {"app": config.name}
    return apps.v1.DeploymentSpecArgs(
        replicas=config.replicas,
        # The new pod stands by before an old one, which may lead, gives its Lease back.
        strategy=apps.v1.DeploymentStrategyArgs(
            type="RollingUpdate", rolling_update=apps.v1.RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0)
        ),
        selector=meta.v1.LabelSelectorArgs(match_labels=labels),
        template=core.v1.PodTemplateSpecArgs(
            metadata=meta.v1.ObjectMetaArgs(
                labels=labels | {"sidecar.istio.io/inject": "false"},
                annotations={"prometheus.io/scrape": "true", "prometheus.io/port": str(_PORT)},
            ),
            spec=core.v1.PodSpecArgs(
                service_account_name=config.name,
                image_pull_secrets=pull_secrets(config.pull_secrets),
                security_context=pod_security(_UID),
                affinity=_on_different_nodes(labels),
                containers=[_build_container(args, image)],
                volumes=_volumes(args),
            ),
        ),
    )


def _on_different_nodes(labels: Mapping[str, str]) -> core.v1.AffinityArgs:
    term = core.v1.PodAffinityTermArgs(
        topology_key="kubernetes.io/hostname", label_selector=meta.v1.LabelSelectorArgs(match_labels=labels)
    )
    return core.v1.AffinityArgs(
        pod_anti_affinity=core.v1.PodAntiAffinityArgs(
            preferred_during_scheduling_ignored_during_execution=[
                core.v1.WeightedPodAffinityTermArgs(weight=100, pod_affinity_term=term)
            ]
        )
    )


def _volumes(args: CanaryControllerArgs) -> list[core.v1.VolumeArgs] | None:
    if args.metrics_secret is None:
        return None
    source = core.v1.SecretVolumeSourceArgs(secret_name=args.metrics_secret)
    return [core.v1.VolumeArgs(name=_VOLUME, secret=source)]


def _build_container(args: CanaryControllerArgs, image: str) -> core.v1.ContainerArgs:
    config = args.config
    mount = core.v1.VolumeMountArgs(name=_VOLUME, mount_path=_SECRET_FOLDER, read_only=True)
    return core.v1.ContainerArgs(
        name=config.name,
        image=image,
        image_pull_policy="IfNotPresent",
        args=build_arguments(args),
        ports=[core.v1.ContainerPortArgs(name=port, container_port=number) for port, number in _ports(config)],
        readiness_probe=ready("/healthz"),
        liveness_probe=alive("/healthz"),
        resources=resource_requirements(config.resources),
        security_context=container_security(),
        volume_mounts=[mount] if args.metrics_secret else None,
    )
