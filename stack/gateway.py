"""The gateways of a stack: what each serves, and whose pods do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from controller.api.base import Boolean, Model
from stack.istio import IstioConfig, Tag
from stack.names import GATEWAY_RELEASE, ISTIO_NAMESPACE
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
    namespace: Label = Field(
        ISTIO_NAMESPACE, description="Namespace of the Gateway: one of `namespaces`, or there already."
    )
    own_pods: Boolean = Field(
        False,
        description="Install pods for it, with a Service: a release of Istio's chart `gateway`, of its name and in its "
        "namespace.",
    )
    values: dict[str, Any] = Field(
        default_factory=dict,
        description="Helm values of this chart, merged over the defaults of this program; with `ownPods`.",
    )
    selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        description="Labels of the pods that serve it, made elsewhere; without, and without `ownPods`, those of "
        "`gateway` do.",
    )
    pods_namespace: Label | None = Field(
        None, description="Namespace of the pods of `selector`, where its TLS Secret is; its own when unset."
    )


@dataclass(frozen=True)
class GatewayPods:
    """Pods that the stack installs for a Gateway, by Istio's chart.

    Attributes:
        release: of Helm; the name of their Service as well.
        values: of the chart, as the stack's configuration has them.
        values_key: where it has them.
        tag: of the istiod of their proxies.
    """

    release: str
    namespace: str
    values: Mapping[str, Any]
    values_key: str
    tag: Tag

    @property
    def selector(self) -> Mapping[str, str]:
        """The label by which Gateways select them; its default is the chart's own."""
        labels = self.values.get("labels")
        given = labels.get("istio") if isinstance(labels, Mapping) else None
        return {"istio": str(given or self.release.removeprefix("istio-"))}


@dataclass(frozen=True)
class Gateway:
    """An Istio Gateway that the stack makes.

    Attributes:
        key: where the stack's configuration has it.
        selector: the labels of the pods that serve it.
        pods_namespace: where these are, and so its TLS Secret.
        service: of these pods, as ``name.namespace``; empty where the stack does not know it.
        pods: those that the stack installs for it; None where there are others.
    """

    key: str
    name: str
    namespace: str
    servers: Servers
    selector: Mapping[str, str]
    pods_namespace: str
    service: str = ""
    pods: GatewayPods | None = None

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


def public_gateway(config: GatewayConfig, istio: IstioConfig) -> Gateway:
    """That of `gateway`."""
    service = istio.gateway_service
    pods = GatewayPods(
        GATEWAY_RELEASE, ISTIO_NAMESPACE, istio.values.gateway, "istio.values.gateway", istio.gateway_revision
    )
    return Gateway(
        "gateway",
        config.name,
        ISTIO_NAMESPACE,
        config,
        pods.selector if istio.enabled else istio.existing.gateway_selector,
        service.partition(".")[2].split(".")[0] or ISTIO_NAMESPACE,
        service,
        pods if istio.enabled else None,
    )


def other_gateway(name: str, config: OtherGatewayConfig, tag: Tag, public: Gateway) -> Gateway:
    """That of an entry of `gateways`. `tag` is of the istiod that its namespace has; `public` may serve it."""
    key, namespace = f"gateways.{name}", config.namespace
    if config.own_pods:
        pods = GatewayPods(name, namespace, config.values, f"{key}.values", tag)
        return Gateway(key, name, namespace, config, pods.selector, namespace, f"{name}.{namespace}", pods)
    if config.selector:
        return Gateway(key, name, namespace, config, config.selector, config.pods_namespace or namespace)
    return Gateway(key, name, namespace, config, public.selector, public.pods_namespace, public.service)
