"""Which requests an A/B test sends to the canary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from controller.api.base import Model, StringMap
from controller.api.rules import Rule, exactly_one

_KINDS = ("exact", "prefix", "suffix", "regex")


class StringMatch(Model):
    """How a header must look."""

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one(*_KINDS),)

    exact: str | None = Field(None, description="The whole value.")
    prefix: str | None = Field(None, description="How the value begins.")
    suffix: str | None = Field(None, description="How the value ends (Istio has no such match).")
    regex: str | None = Field(None, description="RE2 expression for the whole value.")


class QueryMatch(Model):
    """How a query parameter must look; empty: it must be there."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            message="at most one of exact, prefix, regex may be set",
            cel="[has(self.exact), has(self.prefix), has(self.regex)].filter(set, set).size() <= 1",
            holds=lambda self: len({"exact", "prefix", "regex"} & self.to_dict().keys()) <= 1,
        ),
    )

    exact: str | None = Field(None, description="The whole value.")
    prefix: str | None = Field(None, description="How the value begins.")
    regex: str | None = Field(None, description="RE2 expression for the whole value.")


class HttpMatch(Model):
    """Conditions that a request must meet, all of them."""

    headers: Annotated[Mapping[str, StringMatch], Field(max_length=100)] | None = Field(
        None, description="Header name (lower case) to how its value must look."
    )
    query_params: Annotated[Mapping[str, QueryMatch], Field(max_length=100)] | None = Field(
        None, description="Query parameter to how its value must look."
    )
    source_labels: StringMap | None = Field(
        None, description="Labels of the calling pod; needs the gateway mesh in service.gateways."
    )
