"""The namespace of the apps: sidecar injection and, if configured, its mTLS mode."""

from __future__ import annotations

import pulumi
from pulumi_kubernetes import core, meta
from pulumi_kubernetes.apiextensions import CustomResource

from components._shared.options import child_options
from stack.config import NamespaceConfig


class AppNamespace(pulumi.ComponentResource):
    """A namespace whose pods get a sidecar. Created once istiod is ready: an earlier pod would have none."""

    namespace: core.v1.Namespace

    def __init__(self, name: str, args: NamespaceConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:AppNamespace", name, None, opts)
        self.namespace = core.v1.Namespace(
            args.name,
            metadata=meta.v1.ObjectMetaArgs(
                name=args.name,
                labels=args.labels | {"istio-injection": "enabled" if args.injection else "disabled"},
            ),
            opts=child_options(self, opts),
        )
        if args.mtls is not None:
            CustomResource(
                f"{args.name}-mtls",
                api_version="security.istio.io/v1",
                kind="PeerAuthentication",
                # A policy without a selector, named `default` by convention, applies to the whole namespace.
                metadata=meta.v1.ObjectMetaArgs(name="default", namespace=args.name),
                spec={"mtls": {"mode": args.mtls}},
                opts=child_options(self, opts, self.namespace),
            )
        self.register_outputs({"name": args.name})
