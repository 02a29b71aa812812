"""``spec.service``: the Services and Istio routes that the controller generates."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from controller.api.base import Boolean, Duration, Integer, Model, OpenObject, StringMap
from controller.api.rules import Rule, between

DEFAULT_PORT_NAME = "http"


class _IntOrString:
    """``intstr.IntOrString``: a port by number or by name."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        del source, handler
        either: list[CoreSchema | tuple[CoreSchema, str]] = [
            core_schema.int_schema(strict=True),
            core_schema.str_schema(strict=True),
        ]
        return core_schema.union_schema(
            either,
            custom_error_type="int_or_string_type",
            custom_error_message="must be of type integer or string",
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        del schema, handler
        return {"x-kubernetes-int-or-string": True}


TargetPort = Annotated[
    int | str,
    _IntOrString,
    Rule(
        # 0 is Go's zero value; Flagger reads it as "not set".
        message="must be 0 to 65535, or the name of a container port",
        cel="type(self) == int ? self >= 0 && self <= 65535 : true",
        holds=lambda port: isinstance(port, str) or 0 <= port <= 65535,
    ),
]


class Metadata(Model):
    """Labels and annotations of a generated Service."""

    labels: StringMap = Field(default_factory=dict, description="Labels to add.")
    annotations: StringMap = Field(default_factory=dict, description="Annotations to add.")


class UnmanagedMetadata(Model):
    """Labels and annotations of generated Services that the controller does not manage."""

    labels: tuple[str, ...] = Field((), description="Keys of unmanaged labels.")
    annotations: tuple[str, ...] = Field((), description="Keys of unmanaged annotations.")


class Rewrite(Model):
    """Rewrite of the request before it is forwarded."""

    uri: str | None = Field(None, description="New path, or new prefix if the match is by prefix.")
    authority: str | None = Field(None, description="New Host or :authority header.")
    type: str | None = Field(None, description="Type of path rewrite (Gateway API only).")


class ServiceSpec(Model):
    """The Services and Istio routes to generate."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            # Flagger accepts such a Canary; every reconciliation then fails.
            message="hosts and gateways must be empty with delegation",
            cel="!has(self.delegation) || !self.delegation"
            " || ((!has(self.hosts) || size(self.hosts) == 0) && (!has(self.gateways) || size(self.gateways) == 0))",
            holds=lambda self: not (self.delegation and (self.hosts or self.gateways)),
        ),
    )

    name: str | None = Field(
        None, max_length=253, description="Name of the Service that clients call. Defaults to the name of the target."
    )
    port: Annotated[Integer, between(1, 65535)] = Field(description="Port of the generated Services.")
    port_name: str = Field(
        DEFAULT_PORT_NAME, description="Name of the port of the generated Services. Defaults to http."
    )
    target_port: TargetPort | None = Field(None, description="Number or name of the container port. Defaults to port.")
    app_protocol: str | None = Field(
        None,
        description="Application protocol of the port, for example http or grpc. With tcp connections are routed, not"
        " requests.",
    )
    traffic_distribution: Literal["PreferClose", "PreferSameZone", "PreferSameNode"] | None = Field(
        None, description="Preference for endpoints close to the client, as in a Service."
    )
    port_discovery: Boolean = Field(False, description="Add all container ports to the generated Services.")
    headless: Boolean = Field(False, description="Generate headless Services.")
    timeout: Duration | None = Field(None, description="Timeout of HTTP and gRPC requests.")
    gateways: tuple[str, ...] = Field((), description="Istio gateways of the VirtualService. Defaults to mesh.")
    hosts: tuple[str, ...] = Field(
        (), description="Hosts of the VirtualService, in addition to the name of the Service."
    )
    delegation: Boolean = Field(
        False, description="Generate a VirtualService for delegation, without hosts and gateways."
    )
    traffic_policy: OpenObject | None = Field(None, description="Istio TrafficPolicy for the DestinationRules.")
    match: tuple[OpenObject, ...] = Field((), description="Istio HTTPMatchRequests of the routes.")
    rewrite: Rewrite | None = Field(None, description="Istio HTTPRewrite of the routes.")
    retries: OpenObject | None = Field(None, description="Istio HTTPRetry of the routes.")
    headers: OpenObject | None = Field(
        None, description="Istio Headers of the routes: operations on request and response headers."
    )
    cors_policy: OpenObject | None = Field(None, description="Istio CorsPolicy of the routes.")
    apex: Metadata = Field(Metadata(), description="Labels and annotations of the Service that clients call.")
    primary: Metadata = Field(Metadata(), description="Labels and annotations of the primary's Service.")
    canary: Metadata = Field(Metadata(), description="Labels and annotations of the canary's Service.")
    unmanaged_metadata: UnmanagedMetadata = Field(
        UnmanagedMetadata(),
        description="Labels and annotations of the generated Services that the controller does not manage.",
    )
    backend_timeout: str | None = Field(None, description="Timeout of the backend (Gateway API only).")
    gateway_refs: tuple[OpenObject, ...] = Field(
        (), description="Parent references of the HTTPRoute (Gateway API only)."
    )
    mirror: tuple[OpenObject, ...] = Field((), description="Mirror filters (Gateway API only).")
    mesh_name: str | None = Field(None, description="Name of the mesh (App Mesh only).")
    backends: tuple[str, ...] = Field((), description="Backends (App Mesh only).")

    @property
    def is_tcp(self) -> bool:
        """Whether connections are routed, not requests."""
        return (self.app_protocol or "").lower() == "tcp"
