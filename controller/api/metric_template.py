"""MetricTemplate: a query with placeholders, and the provider that runs it."""

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
    """The metrics server that runs a query."""

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
    ] = Field(description="Type of the metrics server (docs/providers.md).")
    address: str = Field(
        "",
        description="URL of the metrics server. cloudwatch, datadog and newrelic have a default; not for stackdriver.",
    )
    headers: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict, description="HTTP headers to send with each query, by name."
    )
    secret_ref: SecretRef | None = Field(
        None,
        description="Secret that holds the credentials. Its keys depend on the type: token, or username and password,"
        " and ca.crt of prometheus; token of externalmetrics; username and password of graphite; token and org of"
        " influxdb; datadog_api_key and datadog_application_key; newrelic_account_id and newrelic_query_key;"
        " dynatrace_token; sf_token_key of splunk; project and serviceAccountKey of stackdriver;"
        " aws_access_key_id and"
        " aws_secret_access_key of cloudwatch.",
    )
    region: str | None = Field(None, description="Region, as in eu-west-1 (cloudwatch only).")
    insecure_skip_verify: Boolean = Field(False, description="Skip verification of the server's TLS certificate.")


class MetricTemplateSpec(Model):
    """The desired state of a MetricTemplate."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            # Flagger accepts such a template; every query then fails.
            message="provider.address must start with http:// or https:// for provider.type prometheus",
            cel="self.provider.type != 'prometheus' || (has(self.provider.address)"
            " && (self.provider.address.startsWith('http://') || self.provider.address.startsWith('https://')))",
            holds=lambda self: (
                self.provider.type != "prometheus" or self.provider.address.startswith(("http://", "https://"))
            ),
        ),
    )

    provider: MetricProvider = Field(description="Metrics server that runs the query.")
    query: Annotated[str, Field(min_length=1)] = Field(
        description="Query. Placeholders: {{ name }}, {{ namespace }}, {{ target }}, {{ service }},"
        " {{ ingress }}, {{ route }}, {{ interval }} and {{ variables.key }}."
    )


class MetricTemplate(Resource):
    """A MetricTemplate defines a query with placeholders, and the metrics server that runs it."""

    api_version: Literal["flagger.app/v1beta1"] = API_VERSION
    kind: Literal["MetricTemplate"] = METRIC_TEMPLATE_KIND
    spec: MetricTemplateSpec

    def to_dict(self) -> dict[str, Any]:
        """The manifest: the fields that were set, without the status."""
        return self.manifest(self.kind, self.spec)
