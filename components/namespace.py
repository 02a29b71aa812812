"""A namespace of apps: sidecar injection and, if configured, its mTLS mode and who may call its pods."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import core, meta
from pulumi_kubernetes.apiextensions import CustomResource

from components._shared.options import child_options
from stack.names import ISTIO_NAMESPACE
from stack.namespace import NamespaceSettings
from stack.reach import callers_policy


@dataclass(frozen=True)
class AppNamespaceArgs:
    """`revision` is that of istiod, empty for the default one; `gateways` the namespaces of its gateways' pods."""

    name: str
    config: NamespaceSettings
    revision: str
    gateways: Collection[str] = (ISTIO_NAMESPACE,)


class AppNamespace(pulumi.ComponentResource):
    """A namespace whose pods get a sidecar. Created once istiod is ready: an earlier pod would have none."""

    namespace: core.v1.Namespace

    def __init__(self, name: str, args: AppNamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:AppNamespace", name, None, opts)
        config = args.config
        self.namespace = core.v1.Namespace(
            name,
            metadata=meta.v1.ObjectMetaArgs(
                name=args.name,
                labels=config.labels | _injection(config.injection, args.revision),
            ),
            opts=child_options(self, opts, formerly=args.name),
        )
        if config.mtls is not None:
            CustomResource(
                f"{name}-mtls",
                api_version="security.istio.io/v1",
                kind="PeerAuthentication",
                # A policy without a selector, named `default` by convention, applies to the whole namespace.
                metadata=meta.v1.ObjectMetaArgs(name="default", namespace=args.name),
                spec={"mtls": {"mode": config.mtls}},
                opts=child_options(self, opts, self.namespace, formerly=f"{args.name}-mtls"),
            )
        if config.callers is not None:
            CustomResource(
                f"{name}-callers",
                api_version="security.istio.io/v1",
                kind="AuthorizationPolicy",
                metadata=meta.v1.ObjectMetaArgs(name="callers", namespace=args.name),
                spec=callers_policy(args.name, *args.gateways, *config.callers),
                opts=child_options(self, opts, self.namespace),
            )
        self.register_outputs({"name": args.name})


def _injection(enabled: bool, revision: str) -> dict[str, str]:
    """A revision of istiod injects by its own label, and only where `istio-injection` is not set."""
    if enabled and revision:
        return {"istio.io/rev": revision}
    return {"istio-injection": "enabled" if enabled else "disabled"}
