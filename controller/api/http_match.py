"""``spec.analysis.match[]``: the requests that an A/B test routes to the canary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from controller.api.base import Model, StringMap
from controller.api.rules import Rule, exactly_one

_KINDS = ("exact", "prefix", "suffix", "regex")


class StringMatch(Model):
    """Condition on the value of a header."""

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one(*_KINDS),)

    exact: str | None = Field(None, description="Value must be equal to this.")
    prefix: str | None = Field(None, description="Value must start with this.")
    suffix: str | None = Field(None, description="Value must end with this. Not supported by Istio.")
    regex: str | None = Field(None, description="Whole value must match this RE2 expression.")


class QueryMatch(Model):
    """Condition on a query parameter. An empty object matches if the parameter is present."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            message="at most one of exact, prefix, regex may be set",
            cel="[has(self.exact), has(self.prefix), has(self.regex)].filter(set, set).size() <= 1",
            holds=lambda self: len({"exact", "prefix", "regex"} & self.to_dict().keys()) <= 1,
        ),
    )

    exact: str | None = Field(None, description="Value must be equal to this.")
    prefix: str | None = Field(None, description="Value must start with this.")
    regex: str | None = Field(None, description="Whole value must match this RE2 expression.")


class HttpMatch(Model):
    """Conditions on a request; it must satisfy all of them."""

    headers: Annotated[Mapping[str, StringMatch], Field(max_length=100)] | None = Field(
        None, description="Conditions on headers, by lower-case header name."
    )
    query_params: Annotated[Mapping[str, QueryMatch], Field(max_length=100)] | None = Field(
        None, description="Conditions on query parameters, by name."
    )
    source_labels: StringMap | None = Field(
        None, description="Labels of the calling pod. Needs the gateway mesh in service.gateways."
    )
