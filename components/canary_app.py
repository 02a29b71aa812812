"""A canaried app: the target Deployment, its HPA and ConfigMap, and the Canary that guards them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import apps, autoscaling, core, meta, policy
from pulumi_kubernetes.apiextensions import CustomResource

from components._shared.options import child_options
from components._shared.pods import resource_requirements
from controller.api.names import API_VERSION, CANARY_KIND, primary_name
from stack.config import AppConfig
from stack.objects import build_canary

_PORT_NAME = "http"
_STARTUP_PERIOD = 2
"""Seconds: a pod is ready as soon after its start as this."""


@dataclass(frozen=True)
class CanaryAppArgs:
    """`name` is that of all of the app's objects, `namespace` where they go."""

    name: str
    namespace: str
    config: AppConfig


class CanaryApp(pulumi.ComponentResource):
    """Pulumi owns these objects; the controller owns everything it generates from them (primary, Services, routes).

    The two never write the same field, so a preview shows no change, even mid-canary: of these objects the controller
    only scales the Deployment, which therefore has no `replicas` (1 at first, then the controller's or the HPA's).

    Nothing here waits for a rollout. The target has no pods between canaries, and a new version starts under the
    controller's progress deadline, not Pulumi's. A Canary may be Progressing or Failed long after an update, so no
    phase is waited for. The outcome of a canary is in its status.
    """

    canary: CustomResource

    def __init__(self, name: str, args: CanaryAppArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:CanaryApp", name, None, opts)
        parts = [self._deployment(args, opts)]
        self._disruption_budget(args, child_options(self, opts))
        if args.config.hpa.enabled:
            parts.append(self._autoscaler(args, child_options(self, opts, *parts)))
        self.canary = CustomResource(
            args.name,
            api_version=API_VERSION,
            kind=CANARY_KIND,
            metadata=_metadata(args, args.name),
            spec=build_canary(args.name, args.namespace, args.config).to_dict()["spec"],
            opts=child_options(self, opts, *parts),
        )
        self.register_outputs({"canary": f"{args.namespace}/{args.name}"})

    def _deployment(self, args: CanaryAppArgs, opts: pulumi.ResourceOptions | None) -> pulumi.Resource:
        settings: list[pulumi.Resource] = []
        if args.config.config:
            config_map = core.v1.ConfigMap(
                f"{args.name}-config",
                metadata=_metadata(args, f"{args.name}-config"),
                data=args.config.config,
                opts=child_options(self, opts),
            )
            settings.append(config_map)
        labels = {"app": args.name}
        return apps.v1.Deployment(
            args.name,
            metadata=_metadata(args, args.name, {"pulumi.com/skipAwait": "true"}),
            spec=apps.v1.DeploymentSpecArgs(
                min_ready_seconds=args.config.min_ready_seconds,
                revision_history_limit=5,
                progress_deadline_seconds=args.config.progress_deadline_seconds,
                strategy=apps.v1.DeploymentStrategyArgs(
                    type="RollingUpdate",
                    rolling_update=apps.v1.RollingUpdateDeploymentArgs(max_unavailable=0),
                ),
                selector=meta.v1.LabelSelectorArgs(match_labels=labels),
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(labels=labels),
                    spec=core.v1.PodSpecArgs(containers=[_build_container(args)]),
                ),
            ),
            opts=child_options(self, opts, *settings),
        )

    def _disruption_budget(self, args: CanaryAppArgs, opts: pulumi.ResourceOptions) -> None:
        """For the primary, which has the users; one pod at a time, so that a node with the only one can be drained."""
        policy.v1.PodDisruptionBudget(
            args.name,
            metadata=_metadata(args, args.name),
            spec=policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable=1,
                selector=meta.v1.LabelSelectorArgs(match_labels={"app": primary_name(args.name)}),
            ),
            opts=opts,
        )

    def _autoscaler(self, args: CanaryAppArgs, opts: pulumi.ResourceOptions) -> pulumi.Resource:
        hpa = args.config.hpa
        cpu = autoscaling.v2.MetricTargetArgs(type="Utilization", average_utilization=hpa.cpu_utilization)
        return autoscaling.v2.HorizontalPodAutoscaler(
            args.name,
            metadata=_metadata(args, args.name),
            spec=autoscaling.v2.HorizontalPodAutoscalerSpecArgs(
                scale_target_ref=autoscaling.v2.CrossVersionObjectReferenceArgs(
                    api_version="apps/v1", kind="Deployment", name=args.name
                ),
                min_replicas=hpa.min_replicas,
                max_replicas=hpa.max_replicas,
                metrics=[
                    autoscaling.v2.MetricSpecArgs(
                        type="Resource", resource=autoscaling.v2.ResourceMetricSourceArgs(name="cpu", target=cpu)
                    )
                ],
            ),
            opts=opts,
        )


def _metadata(args: CanaryAppArgs, name: str, annotations: dict[str, str] | None = None) -> meta.v1.ObjectMetaArgs:
    return meta.v1.ObjectMetaArgs(
        name=name, namespace=args.namespace, labels={"app": args.name}, annotations=annotations
    )


def _build_container(args: CanaryAppArgs) -> core.v1.ContainerArgs:
    config = args.config
    sources = [
        core.v1.EnvFromSourceArgs(secret_ref=core.v1.SecretEnvSourceArgs(name=secret)) for secret in config.secrets
    ]
    if config.config:
        reference = core.v1.ConfigMapEnvSourceArgs(name=f"{args.name}-config")
        sources.insert(0, core.v1.EnvFromSourceArgs(config_map_ref=reference))
    return core.v1.ContainerArgs(
        name=args.name,
        image=f"{config.image}:{config.tag}",
        image_pull_policy="IfNotPresent",
        command=config.command or None,
        env=[core.v1.EnvVarArgs(name=name, value=value) for name, value in config.env.items()] or None,
        env_from=sources or None,
        ports=[core.v1.ContainerPortArgs(name=_PORT_NAME, container_port=config.container_port)],
        readiness_probe=_probe(config.readiness_path),
        liveness_probe=_probe(config.liveness_path),
        # The liveness probe starts after this one has succeeded: a slow start is judged by the progress deadline alone.
        startup_probe=_probe(
            config.liveness_path,
            period_seconds=_STARTUP_PERIOD,
            failure_threshold=math.ceil(config.progress_deadline_seconds / _STARTUP_PERIOD),
        ),
        resources=resource_requirements(config.resources),
    )


def _probe(
    path: str | None, *, period_seconds: int = 5, failure_threshold: int | None = None
) -> core.v1.ProbeArgs | None:
    if path is None:
        return None
    return core.v1.ProbeArgs(
        http_get=core.v1.HTTPGetActionArgs(path=path, port=_PORT_NAME),
        timeout_seconds=5,
        period_seconds=period_seconds,
        failure_threshold=failure_threshold,
    )
