"""The Gateways, where outside traffic enters the mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes import helm, meta
from pulumi_kubernetes.apiextensions import CustomResource

from components._shared.charts import IstioCharts
from components._shared.options import child_options
from stack.charts import gateway_values
from stack.gateway import Gateway, GatewayPods, Servers


@dataclass(frozen=True)
class PublicGatewayArgs:
    """The chart of its pods is one of `charts`.

    Attributes:
        formerly: what the release of the pods was, where it is not what it always was.
    """

    gateway: Gateway
    charts: IstioCharts
    formerly: pulumi.Alias | None = None


class PublicGateway(pulumi.ComponentResource):
    """An Istio Gateway, with its pods where they are the stack's. Its TLS Secret is in their namespace.

    Whoever has routes on it waits for `gateway`, not for the component: a load balancer that never gets its address
    fails the release of the pods, and must not stop the apps.
    """

    gateway: CustomResource

    def __init__(self, name: str, args: PublicGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:PublicGateway", name, None, opts)
        if args.gateway.pods:
            self._install(f"{name}-pods", args, args.gateway.pods, opts)
        self.gateway = CustomResource(
            name,
            api_version="networking.istio.io/v1",
            kind="Gateway",
            metadata=meta.v1.ObjectMetaArgs(name=args.gateway.name, namespace=args.gateway.namespace),
            spec={"selector": args.gateway.selector, "servers": build_servers(args.gateway.servers)},
            opts=child_options(self, opts, formerly=args.gateway.name),
        )
        self.register_outputs({"name": args.gateway.reference, "service": args.gateway.service})

    def _install(
        self, name: str, args: PublicGatewayArgs, pods: GatewayPods, opts: pulumi.ResourceOptions | None
    ) -> None:
        """Not `atomic`: that would uninstall new pods that serve already, and only wait for their load balancer."""
        istio = args.charts.config
        helm.v3.Release(
            name,
            name=pods.release,
            namespace=pods.namespace,
            values=gateway_values(istio, args.gateway.servers, pods),
            skip_await=not istio.await_gateway,
            atomic=False,
            **args.charts.get("gateway", istio.control_plane(pods.tag).version),
            opts=pulumi.ResourceOptions.merge(
                child_options(self, opts), pulumi.ResourceOptions(aliases=[args.formerly] if args.formerly else None)
            ),
        )


def build_servers(config: Servers) -> list[dict[str, Any]]:
    """HTTP only; with a certificate HTTPS, and HTTP redirects to it.

    Source: Istio's Gateway reference, `Server` and `ServerTLSSettings`.
    """
    http: dict[str, Any] = {
        "port": {"number": config.http_port, "name": "http", "protocol": "HTTP"},
        "hosts": config.hosts,
    }
    if config.credential_name is None:
        return [http]
    https = {
        "port": {"number": config.https_port, "name": "https", "protocol": "HTTPS"},
        "hosts": config.hosts,
        "tls": {"mode": "SIMPLE", "credentialName": config.credential_name},
    }
    return [http | {"tls": {"httpsRedirect": True}}, https]
