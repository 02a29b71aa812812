"""The Gateways, where outside traffic enters the mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes import meta
from pulumi_kubernetes.apiextensions import CustomResource

from components._shared.options import child_options
from stack.gateway import Gateway, Servers


@dataclass(frozen=True)
class PublicGatewayArgs:
    """`selector` holds the labels of the pods of `gateway`, which serve it unless it names others."""

    gateway: Gateway
    selector: dict[str, str]


class PublicGateway(pulumi.ComponentResource):
    """An Istio Gateway. Its TLS Secret is in the namespace of the pods that serve it."""

    gateway: CustomResource

    def __init__(self, name: str, args: PublicGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:PublicGateway", name, None, opts)
        self.gateway = CustomResource(
            name,
            api_version="networking.istio.io/v1",
            kind="Gateway",
            metadata=meta.v1.ObjectMetaArgs(name=args.gateway.name, namespace=args.gateway.namespace),
            spec={"selector": args.gateway.selector or args.selector, "servers": build_servers(args.gateway.servers)},
            opts=child_options(self, opts, formerly=args.gateway.name),
        )
        self.register_outputs({"name": args.gateway.reference})


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
