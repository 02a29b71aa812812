"""Flagger's load tester: runs the conformance tests and the load that a canary's webhooks request."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import apps, core, meta
from pulumi_kubernetes.apiextensions import CustomResource

from components._shared.options import SKIP_AWAIT, child_options
from components._shared.pods import alive, container_security, pod_security, pull_secrets, ready, resource_requirements
from stack.config import LoadTesterConfig
from stack.names import LOAD_TESTER
from stack.reach import load_tester_policies
from stack.workload import proxy_annotations

_PORT = 8080
_UID = 10001


@dataclass(frozen=True)
class LoadTesterArgs:
    """`namespace` is that of the apps. It may refuse plain text: with `plain_text` the load tester still takes it.

    `proxy` is the version of its sidecar; its pod is replaced with each.
    """

    config: LoadTesterConfig
    namespace: str
    plain_text: bool
    proxy: str = ""


class LoadTester(pulumi.ComponentResource):
    """A Deployment and a Service, reached as ``http://flagger-loadtester.<namespace>/``.

    It has a sidecar, so that its load takes the same routes as users' requests. It runs whatever its callers send, so
    they are few: its policies let in those without an identity, of whom the NetworkPolicy lets in the controller alone.
    """

    deployment: apps.v1.Deployment

    def __init__(self, name: str, args: LoadTesterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:LoadTester", name, None, opts)
        labels = {"app": LOAD_TESTER}
        account = core.v1.ServiceAccount(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=LOAD_TESTER, namespace=args.namespace, labels=labels),
            opts=child_options(self, opts),
        )
        self.deployment = apps.v1.Deployment(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=LOAD_TESTER, namespace=args.namespace, labels=labels),
            spec=apps.v1.DeploymentSpecArgs(
                selector=meta.v1.LabelSelectorArgs(match_labels=labels),
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(labels=labels, annotations=proxy_annotations(args.proxy) or None),
                    spec=_build_pod(args.config),
                ),
            ),
            opts=child_options(self, opts, account, formerly=LOAD_TESTER),
        )
        core.v1.Service(
            name,
            metadata=meta.v1.ObjectMetaArgs(
                name=LOAD_TESTER, namespace=args.namespace, labels=labels, annotations=SKIP_AWAIT
            ),
            spec=core.v1.ServiceSpecArgs(
                selector=labels,
                ports=[core.v1.ServicePortArgs(name="http", port=80, target_port="http")],
            ),
            opts=child_options(self, opts, formerly=LOAD_TESTER),
        )
        for policy, spec in load_tester_policies(args.namespace, labels).items():
            CustomResource(
                f"{name}{policy.removeprefix(LOAD_TESTER)}-callers",
                api_version="security.istio.io/v1",
                kind="AuthorizationPolicy",
                metadata=meta.v1.ObjectMetaArgs(name=policy, namespace=args.namespace),
                spec=spec,
                opts=child_options(self, opts),
            )
        if args.plain_text:
            # The controller has no sidecar, so its webhook calls are plain text.
            CustomResource(
                f"{name}-plain-text",
                api_version="security.istio.io/v1",
                kind="PeerAuthentication",
                metadata=meta.v1.ObjectMetaArgs(name=LOAD_TESTER, namespace=args.namespace),
                spec={"selector": {"matchLabels": labels}, "mtls": {"mode": "PERMISSIVE"}},
                opts=child_options(self, opts, formerly=f"{LOAD_TESTER}-plain-text"),
            )
        self.register_outputs({})


def _build_pod(config: LoadTesterConfig) -> core.v1.PodSpecArgs:
    return core.v1.PodSpecArgs(
        service_account_name=LOAD_TESTER,
        automount_service_account_token=False,
        image_pull_secrets=pull_secrets(config.pull_secrets),
        security_context=pod_security(_UID),
        containers=[
            core.v1.ContainerArgs(
                name="loadtester",
                image=config.image,
                image_pull_policy="IfNotPresent",
                command=["./loadtester", f"-port={_PORT}", "-log-level=info", "-timeout=1h"],
                ports=[core.v1.ContainerPortArgs(name="http", container_port=_PORT)],
                readiness_probe=ready("/healthz"),
                liveness_probe=alive("/healthz"),
                resources=resource_requirements(config.resources),
                security_context=container_security(),
                volume_mounts=[core.v1.VolumeMountArgs(name="tmp", mount_path="/tmp")],  # noqa: S108 -- an emptyDir, for bash
            ),
        ],
        volumes=[core.v1.VolumeArgs(name="tmp", empty_dir=core.v1.EmptyDirVolumeSourceArgs())],
    )
