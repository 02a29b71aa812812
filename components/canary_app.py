"""A canaried app of the stack's: the Deployment with its ConfigMaps, made from short keys, and the Canary around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import apps, core, meta, policy
from pulumi_kubernetes.apiextensions import CustomResource

from components._shared.options import SKIP_AWAIT, child_options
from components._shared.specs import plain
from components.canaried import Canaried
from controller.api.names import OVERRIDE_ANNOTATION
from controller.api.receipt import Override
from stack.app import AppConfig
from stack.objects import canaried_arguments
from stack.workload import app_labels, build_deployment, build_disruption_budget, config_maps


@dataclass(frozen=True)
class CanaryAppArgs:
    """`name` is that of all of the app's objects, `namespace` where they go, `override` why it needs no proof.

    `proxy` is the version of its sidecars: another one is released as a canary, as everything that changes the pods.
    """

    name: str
    namespace: str
    config: AppConfig
    override: Override | None = None
    proxy: str = ""


class CanaryApp(pulumi.ComponentResource):
    """A Deployment that Pulumi owns but for its `replicas`, and `Canaried`.

    The Deployment is not waited for: it has no pods between canaries, and a new version starts under the controller's
    progress deadline, not Pulumi's.
    """

    canary: CustomResource

    def __init__(self, name: str, args: CanaryAppArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:CanaryApp", name, None, opts)
        config = args.config
        settings: list[pulumi.Resource] = [
            core.v1.ConfigMap(
                name + each.removeprefix(args.name),
                metadata=_metadata(args, each),
                data=data,
                opts=child_options(self, opts),
            )
            for each, data in config_maps(args.name, config).items()
        ]
        labels = app_labels(args.name, config)
        deployment = apps.v1.Deployment(
            name,
            metadata=_metadata(args, args.name, labels, {**config.annotations, **SKIP_AWAIT}),
            spec=plain(build_deployment(args.name, config, args.proxy)),
            opts=child_options(self, opts, *settings),
        )
        if budget := build_disruption_budget(args.name, config):
            policy.v1.PodDisruptionBudget(
                name, metadata=_metadata(args, args.name), spec=plain(budget), opts=child_options(self, opts)
            )
        arguments = canaried_arguments(args.name, config)
        if args.override:
            override = {OVERRIDE_ANNOTATION: args.override.model_dump_json()}
            arguments["annotations"] = {**(arguments["annotations"] or {}), **override}
        self.canary = Canaried(
            name,
            target=deployment,
            **arguments,
            opts=child_options(self, opts, deployment),
        ).canary
        self.register_outputs({"canary": f"{args.namespace}/{args.name}"})


def _metadata(
    args: CanaryAppArgs,
    name: str,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> meta.v1.ObjectMetaArgs:
    return meta.v1.ObjectMetaArgs(
        name=name, namespace=args.namespace, labels=labels or {"app": args.name}, annotations=annotations
    )
