"""``spec.service``: the Services and the Istio routes that the controller generates."""

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
        # 0 is Go's zero value, which Flagger reads as "the same as port".
        message="must be 0 to 65535, or the name of a container port",
        cel="type(self) == int ? self >= 0 && self <= 65535 : true",
        holds=lambda port: isinstance(port, str) or 0 <= port <= 65535,
    ),
]


class Metadata(Model):
    """Labels and annotations to add to a generated Service."""

    labels: StringMap = Field(default_factory=dict, description="Labels to add.")
    annotations: StringMap = Field(default_factory=dict, description="Annotations to add.")


class UnmanagedMetadata(Model):
    """Keys of labels and annotations on generated Services that belong to somebody else."""

    labels: tuple[str, ...] = Field((), description="Keys of labels to leave alone.")
    annotations: tuple[str, ...] = Field((), description="Keys of annotations to leave alone.")


class Rewrite(Model):
    """How the request is changed on its way to the workload."""

    uri: str | None = Field(None, description="New path, or new prefix where the match is by prefix.")
    authority: str | None = Field(None, description="New Host header.")
    type: str | None = Field(None, description="Kind of path rewrite (Gateway API only).")


class ServiceSpec(Model):
    """The Services and the Istio routes to generate."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            # Flagger accepts such a Canary and then fails at every reconcile.
            message="delegation needs hosts and gateways to be empty",
            cel="!has(self.delegation) || !self.delegation"
            " || ((!has(self.hosts) || size(self.hosts) == 0) && (!has(self.gateways) || size(self.gateways) == 0))",
            holds=lambda self: not (self.delegation and (self.hosts or self.gateways)),
        ),
    )

    name: str | None = Field(
        None, max_length=253, description="Name of the Service that clients call; the target's name when omitted."
    )
    port: Annotated[Integer, between(1, 65535)] = Field(description="Port of the generated Services.")
    port_name: str = Field(DEFAULT_PORT_NAME, description="Name of that port; http when omitted.")
    target_port: TargetPort | None = Field(
        None, description="Port of the container, by number or name; the same as port when omitted."
    )
    app_protocol: str | None = Field(None, description="Application protocol of the port: http, grpc, tcp and so on.")
    traffic_distribution: Literal["PreferClose", "PreferSameZone", "PreferSameNode"] | None = Field(
        None, description="Which endpoints of the Services are preferred."
    )
    port_discovery: Boolean = Field(False, description="Add all ports of the containers to the generated Services.")
    headless: Boolean = Field(False, description="Generate headless Services.")
    timeout: Duration | None = Field(None, description="Longest time for an HTTP or gRPC request.")
    gateways: tuple[str, ...] = Field((), description="Istio gateways that the routes apply to; mesh when omitted.")
    hosts: tuple[str, ...] = Field((), description="Host names that the routes apply to, beside the Service's name.")
    delegation: Boolean = Field(False, description="Generate a VirtualService for Istio's delegation.")
    traffic_policy: OpenObject | None = Field(None, description="Istio TrafficPolicy of the DestinationRules.")
    match: tuple[OpenObject, ...] = Field((), description="Istio HTTPMatchRequests that the routes apply to.")
    rewrite: Rewrite | None = Field(None, description="Istio HTTPRewrite: new path and host of the requests.")
    retries: OpenObject | None = Field(None, description="Istio HTTPRetry: attempts, perTryTimeout, retryOn.")
    headers: OpenObject | None = Field(None, description="Istio Headers: operations on request and response headers.")
    cors_policy: OpenObject | None = Field(None, description="Istio CorsPolicy.")
    apex: Metadata = Field(Metadata(), description="Metadata of the Service that clients call.")
    primary: Metadata = Field(Metadata(), description="Metadata of the primary's Service.")
    canary: Metadata = Field(Metadata(), description="Metadata of the canary's Service.")
    unmanaged_metadata: UnmanagedMetadata = Field(
        UnmanagedMetadata(), description="Keys of labels and annotations that the controller leaves alone."
    )
    backend_timeout: str | None = Field(None, description="Time-out of the backend (Gateway API only).")
    gateway_refs: tuple[OpenObject, ...] = Field((), description="Parents of the HTTPRoute (Gateway API only).")
    mirror: tuple[OpenObject, ...] = Field((), description="Mirror filters (Gateway API only).")
    mesh_name: str | None = Field(None, description="Name of the mesh (App Mesh only).")
    backends: tuple[str, ...] = Field((), description="Backends (App Mesh only).")
