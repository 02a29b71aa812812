"""MetricTemplate: a query with placeholders, and the server that answers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from controller.api.base import Boolean, Model
from controller.api.canary import Resource
from controller.api.names import API_VERSION, METRIC_TEMPLATE_KIND
from controller.api.references import SecretRef
from controller.api.rules import Rule


class MetricProvider(Model):
    """The server that answers a query."""

    type: Literal[
        "prometheus",
        "influxdb",
        "datadog",
        "externalmetrics",
        "stackdriver",
        "cloudwatch",
        "newrelic",
        "graphite",
        "dynatrace",
        "keptn",
        "splunk",
    ] = Field(description="Kind of the server.")
    address: str = Field("", description="Address of the server.")
    headers: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict, description="HTTP headers to send along, each with its values."
    )
    secret_ref: SecretRef | None = Field(
        None, description="Secret with the credentials: token, or username and password, for Prometheus."
    )
    region: str | None = Field(None, description="Region of the server (CloudWatch).")
    insecure_skip_verify: Boolean = Field(False, description="Do not verify the certificate of the address.")


class MetricTemplateSpec(Model):
    """A query and where to send it."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            # Flagger accepts such a template and fails at each query.
            message="provider.type prometheus needs a provider.address that starts with http:// or https://",
            cel="self.provider.type != 'prometheus' || (has(self.provider.address)"
            " && (self.provider.address.startsWith('http://') || self.provider.address.startsWith('https://')))",
            holds=lambda self: (
                self.provider.type != "prometheus" or self.provider.address.startswith(("http://", "https://"))
            ),
        ),
    )

    provider: MetricProvider = Field(description="The server that answers the query.")
    query: Annotated[str, Field(min_length=1)] = Field(
        description="Query with the placeholders {{ name }}, {{ namespace }}, {{ target }}, {{ service }},"
        " {{ ingress }}, {{ route }}, {{ interval }} and {{ variables.key }}."
    )


class MetricTemplate(Resource):
    """A query with placeholders, and the server that answers it."""

    api_version: Literal["flagger.app/v1beta1"] = API_VERSION
    kind: Literal["MetricTemplate"] = METRIC_TEMPLATE_KIND
    spec: MetricTemplateSpec

    def to_dict(self) -> dict[str, Any]:
        """The object as one applies it: what was set, without status."""
        return self.manifest(self.kind, self.spec)
