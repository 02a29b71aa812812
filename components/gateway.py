"""The public Gateway, where outside traffic enters the mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes import meta
from pulumi_kubernetes.apiextensions import CustomResource

from components._shared.options import child_options
from stack.config import GatewayConfig
from stack.names import ISTIO_NAMESPACE


@dataclass(frozen=True)
class PublicGatewayArgs:
    """`selector` holds the labels of the gateway pods that serve it."""

    config: GatewayConfig
    selector: dict[str, str]


class PublicGateway(pulumi.ComponentResource):
    """An Istio Gateway in the namespace of the gateway pods, where its TLS Secret must be as well."""

    gateway: CustomResource

    def __init__(self, name: str, args: PublicGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("canary:mesh:PublicGateway", name, None, opts)
        self.gateway = CustomResource(
            name,
            api_version="networking.istio.io/v1",
            kind="Gateway",
            metadata=meta.v1.ObjectMetaArgs(name=args.config.name, namespace=ISTIO_NAMESPACE),
            spec={"selector": args.selector, "servers": build_servers(args.config)},
            opts=child_options(self, opts, formerly=args.config.name),
        )
        self.register_outputs({"name": f"{ISTIO_NAMESPACE}/{args.config.name}"})


def build_servers(config: GatewayConfig) -> list[dict[str, Any]]:
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
