"""The way to the page of the rollouts from outside: its route, and on the gateway's pods who may take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import meta
from pulumi_kubernetes.apiextensions import CustomResource

from components._shared.options import child_options
from components._shared.specs import plain
from stack.names import ISTIO_NAMESPACE
from stack.page import PageGatewayConfig, page_policies, page_route
from stack.reach import Pods


@dataclass(frozen=True)
class PageGatewayArgs:
    """`controller` is its Service in istio-system; `gateways` lead to it, and `pods` serve them."""

    config: PageGatewayConfig
    controller: str
    gateways: Sequence[str]
    pods: Sequence[Pods]


class PageGateway(pulumi.ComponentResource):
    """The page under a host of its own. The route comes last: before it, whoever is unknown is refused already."""

    def __init__(self, name: str, args: PageGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:PageGateway", name, None, opts)
        page = f"{args.controller}-page"
        guards = [
            CustomResource(
                f"{name}-{kind}-{number}",
                api_version="security.istio.io/v1",
                kind=kind,
                # Two groups of pods may be in one namespace.
                metadata=meta.v1.ObjectMetaArgs(name=f"{page}-{number}" if number else page, namespace=pods.namespace),
                spec=plain(spec),
                opts=child_options(self, opts),
            )
            for number, pods in enumerate(args.pods)
            for kind, spec in page_policies(args.config, pods.labels).items()
        ]
        CustomResource(
            name,
            api_version="networking.istio.io/v1",
            kind="VirtualService",
            metadata=meta.v1.ObjectMetaArgs(name=page, namespace=ISTIO_NAMESPACE),
            spec=plain(page_route(args.config, args.controller, args.gateways)),
            opts=child_options(self, opts, *guards),
        )
        self.register_outputs({"host": args.config.host})
