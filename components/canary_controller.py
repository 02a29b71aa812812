"""The canary controller: its rights, its image, its one pod."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pulumi
from pulumi_command import local
from pulumi_kubernetes import apps, core, meta, rbac

from components._shared.options import child_options
from components._shared.pods import container_security, pod_security, resource_requirements
from controller.api.names import CANARY_PLURAL, GROUP, METRIC_TEMPLATE_PLURAL
from stack.config import ControllerConfig
from stack.names import ISTIO_NAMESPACE

PROJECT_FOLDER = Path(__file__).parent.parent
_UID = 10001
_PORT = 8080
_READ = ["get", "list", "watch"]
_OWN = [*_READ, "create", "update"]

CLUSTER_RULES: list[tuple[str, list[str], list[str]]] = [
    (GROUP, [CANARY_PLURAL, METRIC_TEMPLATE_PLURAL], _READ),
    (GROUP, [f"{CANARY_PLURAL}/status"], ["update"]),
    # To own an object with blockOwnerDeletion, where the cluster enforces that owners permit it.
    (GROUP, [f"{CANARY_PLURAL}/finalizers"], ["update"]),
    # The primary is made and promoted; the target is only scaled, which is a patch.
    ("apps", ["deployments"], [*_OWN, "patch"]),
    ("", ["services", "configmaps", "secrets"], _OWN),
    ("autoscaling", ["horizontalpodautoscalers"], _OWN),
    ("networking.istio.io", ["virtualservices", "destinationrules"], _OWN),
    ("", ["events"], ["create", "patch"]),
]
"""(API group, resources, verbs) in every namespace, since canaries may be anywhere.

Nothing is ever deleted: what the controller makes is owned by its Canary, and goes with it.
"""


@dataclass(frozen=True)
class CanaryControllerArgs:
    """`prometheus_url` answers the two built-in metrics, unless the stack names another server."""

    config: ControllerConfig
    prometheus_url: str


class CanaryController(pulumi.ComponentResource):
    """One pod at a time (Recreate): two would decide the same canary twice."""

    deployment: apps.v1.Deployment

    def __init__(self, name: str, args: CanaryControllerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:CanaryController", name, None, opts)
        self._name = args.config.name
        self._opts = opts
        image, built = self._image(args.config)
        self.deployment = apps.v1.Deployment(
            self._name,
            metadata=self._metadata(),
            spec=apps.v1.DeploymentSpecArgs(
                replicas=args.config.replicas,
                strategy=apps.v1.DeploymentStrategyArgs(type="Recreate"),
                selector=meta.v1.LabelSelectorArgs(match_labels={"app": self._name}),
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(
                        labels={"app": self._name, "sidecar.istio.io/inject": "false"},
                        annotations={"prometheus.io/scrape": "true", "prometheus.io/port": str(_PORT)},
                    ),
                    spec=_build_pod(args.config, image, build_arguments(args)),
                ),
            ),
            opts=child_options(self, opts, *self._rights(), *built),
        )
        core.v1.Service(
            self._name,
            # Not waited for: with replicas 0 it rightly has no endpoint.
            metadata=self._metadata({"pulumi.com/skipAwait": "true"}),
            spec=core.v1.ServiceSpecArgs(
                selector={"app": self._name},
                ports=[core.v1.ServicePortArgs(name="http", port=_PORT, target_port="http")],
            ),
            opts=child_options(self, opts),
        )
        self.register_outputs({"image": image})

    def _metadata(self, annotations: dict[str, str] | None = None) -> meta.v1.ObjectMetaArgs:
        labels = {"app": self._name}
        return meta.v1.ObjectMetaArgs(
            name=self._name, namespace=ISTIO_NAMESPACE, labels=labels, annotations=annotations
        )

    def _image(self, config: ControllerConfig) -> tuple[str, list[pulumi.Resource]]:
        """The reference to run, and what must have happened before it exists."""
        if not config.build.enabled:
            return config.image, []
        digest = source_digest(PROJECT_FOLDER)
        image = f"{config.image}:{digest}"
        command = local.Command(
            f"{self._name}-image",
            create=" && ".join(filter(None, [config.build.command, config.build.publish])),
            environment={"IMAGE": image},
            dir=str(PROJECT_FOLDER),
            triggers=[digest],
            opts=child_options(self, self._opts),
        )
        return image, [command]

    def _rights(self) -> list[pulumi.Resource]:
        options = child_options(self, self._opts)
        account = core.v1.ServiceAccount(self._name, metadata=self._metadata(), opts=options)
        role = rbac.v1.ClusterRole(
            self._name,
            metadata=meta.v1.ObjectMetaArgs(name=self._name),
            rules=[
                rbac.v1.PolicyRuleArgs(api_groups=[group], resources=resources, verbs=verbs)
                for group, resources, verbs in CLUSTER_RULES
            ],
            opts=options,
        )
        binding = rbac.v1.ClusterRoleBinding(
            self._name,
            metadata=meta.v1.ObjectMetaArgs(name=self._name),
            role_ref=rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=self._name),
            subjects=[rbac.v1.SubjectArgs(kind="ServiceAccount", name=self._name, namespace=ISTIO_NAMESPACE)],
            opts=child_options(self, self._opts, account, role),
        )
        return [account, role, binding]


def build_arguments(args: CanaryControllerArgs) -> list[str]:
    """The command line after the image's entry point, `canary`."""
    config = args.config
    return [
        "run",
        f"--metrics-server={config.metrics_server or args.prometheus_url}",
        f"--log-level={config.log_level}",
        f"--minimum-interval={config.minimum_interval}",
        *config.args,
    ]


def source_digest(folder: Path) -> str:
    """12 hexadecimal digits that change when anything the image is made of does."""
    sources = [folder / "uv.lock", *sorted((folder / "controller").rglob("*"))]
    digest = hashlib.sha256()
    for file in sources:
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(f"{file.relative_to(folder)}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _build_pod(config: ControllerConfig, image: str, arguments: list[str]) -> core.v1.PodSpecArgs:
    probe = core.v1.ProbeArgs(
        http_get=core.v1.HTTPGetActionArgs(path="/healthz", port="http"), timeout_seconds=5, period_seconds=10
    )
    return core.v1.PodSpecArgs(
        service_account_name=config.name,
        security_context=pod_security(_UID),
        containers=[
            core.v1.ContainerArgs(
                name=config.name,
                image=image,
                image_pull_policy="IfNotPresent",
                args=arguments,
                ports=[core.v1.ContainerPortArgs(name="http", container_port=_PORT)],
                readiness_probe=probe,
                liveness_probe=probe,
                resources=resource_requirements(config.resources),
                security_context=container_security(),
            ),
        ],
    )
