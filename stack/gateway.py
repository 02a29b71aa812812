"""The gateways of a stack: what each serves, and whose pods do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from controller.api.base import Boolean, Model
from stack.names import ISTIO_NAMESPACE
from stack.values import Host, Label, LabelKey, LabelValue, ObjectName, Port


class Servers(Model):
    hosts: Annotated[list[Host], Field(min_length=1)] = Field(["*"], description="Host names that it serves.")
    http_port: Port = Field(80, description="Port for plain HTTP.")
    https_port: Port = Field(443, description="Port for HTTPS, with `credentialName`.")
    credential_name: ObjectName | None = Field(
        None,
        description="A TLS Secret in the namespace of its pods. When set, HTTPS is served and HTTP redirects to it.",
    )

    @property
    def host_names(self) -> list[str]:
        """The hosts without the namespaces that may route them."""
        return [host.rpartition("/")[2] for host in self.hosts]

    @property
    def ports(self) -> Mapping[str, int]:
        """The ports that it serves, by their keys."""
        return {"httpPort": self.http_port} | ({"httpsPort": self.https_port} if self.credential_name else {})


class GatewayConfig(Servers):
    enabled: Boolean = Field(
        True,
        description="Make the public Gateway, and install its pods with Istio. When false, apps route through "
        "gateways that are there already, or in the mesh alone.",
    )
    name: ObjectName = Field("public-gateway", description="Name of the Istio Gateway in istio-system.")


class OtherGatewayConfig(Servers):
    namespace: Label = Field(ISTIO_NAMESPACE, description="Namespace of the Gateway, which is there.")
    selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        description="Labels of the pods that serve it, made elsewhere; those of `gateway` when empty.",
    )
    pods_namespace: Label | None = Field(
        None, description="Namespace of the pods of `selector`, where its TLS Secret is; its own when unset."
    )


@dataclass(frozen=True)
class Gateway:
    """An Istio Gateway that the stack makes.

    Attributes:
        key: where the stack's configuration has it.
        selector: the labels of the pods that serve it; empty for those of `gateway`.
        pods_namespace: where these are, and so its TLS Secret.
    """

    key: str
    name: str
    namespace: str
    servers: Servers
    selector: Mapping[str, str]
    pods_namespace: str

    @property
    def reference(self) -> str:
        """As routes name it."""
        return f"{self.namespace}/{self.name}"

    def url_of(self, host: str) -> str:
        """Where browsers find a host that it serves."""
        if self.servers.credential_name:
            scheme, port, usual = "https", self.servers.https_port, 443
        else:
            scheme, port, usual = "http", self.servers.http_port, 80
        return f"{scheme}://{host}" + (f":{port}" if port != usual else "")


def serves(served: str, host: str, namespace: str) -> bool:
    """Whether a Gateway's host, `[namespace/]host`, takes requests to `host` for a route in `namespace`."""
    allowed, _, name = served.rpartition("/")
    return allowed in {"", "*", namespace} and (name == host or _covers(name, host) or _covers(host, name))


def _covers(wildcard: str, host: str) -> bool:
    return wildcard == "*" or (wildcard.startswith("*.") and host.endswith(wildcard[1:]))


def public_gateway(config: GatewayConfig) -> Gateway:
    """That of `gateway`."""
    return Gateway("gateway", config.name, ISTIO_NAMESPACE, config, {}, ISTIO_NAMESPACE)


def other_gateway(name: str, config: OtherGatewayConfig) -> Gateway:
    """That of an entry of `gateways`."""
    pods = (config.pods_namespace or config.namespace) if config.selector else ISTIO_NAMESPACE
    return Gateway(f"gateways.{name}", name, config.namespace, config, config.selector, pods)
