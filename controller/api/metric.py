"""``spec.analysis.metrics[]``: what is measured, and which values are good."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from controller.api.base import Duration, Integer, Model, Name, Number, StringMap
from controller.api.durations import parse_duration
from controller.api.references import NamespacedRef
from controller.api.rules import Rule, at_least, exactly_one

DEFAULT_METRIC_INTERVAL = "1m"
REQUEST_SUCCESS_RATE = "request-success-rate"
REQUEST_DURATION = "request-duration"
BUILTIN_METRICS = (REQUEST_SUCCESS_RATE, REQUEST_DURATION)

DEFAULT_RISK = 0.05
DEFAULT_HARMLESS_RATIO = 1.0
DEFAULT_HARMFUL_RATIO = 2.0
DEFAULT_BAD_RESPONSE_CODES = "5.."
MOST_RATIO = 1000.0


class MetricSource(StrEnum):
    """Where a metric's value comes from."""

    TEMPLATE = "template"
    QUERY = "query"
    BUILTIN = "builtin"
    COMPARISON = "comparison"
    """Nowhere: the metric only compares canary and primary."""


class Bounds(NamedTuple):
    """The values that are good, both ends included; None where there is no bound."""

    low: float | None = None
    high: float | None = None


class ThresholdRange(Model):
    """The values that are good."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            message="min must not be above max",
            cel="!has(self.min) || !has(self.max) || self.min <= self.max",
            holds=lambda self: self.min is None or self.max is None or self.min <= self.max,
        ),
    )

    min: Number | None = Field(None, description="Smallest good value.")
    max: Number | None = Field(None, description="Largest good value.")


class CompareErrors(Model):
    """Compare the share of failed requests."""

    response_codes: Annotated[str, Field(min_length=1)] = Field(
        DEFAULT_BAD_RESPONSE_CODES,
        description="RE2 expression for the HTTP response codes that count as failed; 5.. when omitted.",
    )


class CompareLatency(Model):
    """Compare the shares of requests slower than each of the edges."""

    edges: Annotated[
        tuple[Duration, ...],
        Field(min_length=1, max_length=32),
        Rule(
            message="must each be above 0",
            cel="self.all(edge, edge.matches('[1-9]'))",
            holds=lambda edges: all(parse_duration(edge) > 0 for edge in edges),
        ),
    ] = Field(description="Upper bounds of buckets of Istio's request duration histogram, as in 100ms or 1s.")

    @property
    def edges_ms(self) -> tuple[float, ...]:
        """The edges in milliseconds, ascending, each once; to 15 digits, since 9ms are not 9.000000000000002."""
        return tuple(sorted({float(f"{parse_duration(edge) * 1000:.15g}") for edge in self.edges}))


class Compare(Model):
    """A sequential test of the canary against the primary on Istio's own counters. Flagger has no such field."""

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one("errors", "latency"),
        Rule(
            message="harmfulRatio must be above harmlessRatio"
            f" (when omitted they are {DEFAULT_HARMFUL_RATIO} and {DEFAULT_HARMLESS_RATIO})",
            cel=f"(has(self.harmfulRatio) ? self.harmfulRatio : {DEFAULT_HARMFUL_RATIO})"
            f" > (has(self.harmlessRatio) ? self.harmlessRatio : {DEFAULT_HARMLESS_RATIO})",
            holds=lambda self: self.harmful_ratio > self.harmless_ratio,
        ),
    )

    against: Literal["primary"] = Field(
        "primary", alias="with", description="What the canary is compared with; only primary."
    )
    errors: CompareErrors | None = Field(None, description="Compare the share of failed requests.")
    latency: CompareLatency | None = Field(None, description="Compare the shares of slow requests.")
    risk: Annotated[
        Number,
        Rule(
            message="must be above 0 and at most 0.5",
            cel="self > 0.0 && self <= 0.5",
            holds=lambda risk: 0 < risk <= 0.5,
        ),
    ] = Field(
        DEFAULT_RISK,
        description="Largest chance that a canary no worse than harmlessRatio is ever rolled back by this test,"
        " however often one looks; 0.05 when omitted.",
    )
    harmless_ratio: Annotated[
        Number, Rule(message="must be above 0", cel="self > 0.0", holds=lambda ratio: ratio > 0)
    ] = Field(
        DEFAULT_HARMLESS_RATIO,
        description="The canary may have so many times the primary's errors (or slow requests) and still be good;"
        " 1.0 when omitted.",
    )
    harmful_ratio: Annotated[
        Number,
        Rule(
            message=f"must be at most {MOST_RATIO:g}",
            cel=f"self <= {MOST_RATIO}",
            holds=lambda ratio: ratio <= MOST_RATIO,
        ),
    ] = Field(
        DEFAULT_HARMFUL_RATIO,
        description="From so many times the primary's errors (or slow requests) on the canary is bad: to pass, it must"
        " be shown to have fewer; 2.0 when omitted.",
    )
    min_requests: Annotated[Integer, at_least(0)] = Field(
        0, description="No verdict before canary and primary have had so many requests each; 0 when omitted."
    )
    warmup: Duration = Field(
        "0s", description="Readings in this time after the canary gets its first traffic do not count; 0s when omitted."
    )

    @property
    def warmup_seconds(self) -> float:
        return parse_duration(self.warmup)


class Metric(Model):
    """One check of the analysis.

    Where a template is referenced under a built-in name, Flagger runs both checks; here the template replaces the
    built-in.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            message="query and templateRef must not both be set",
            cel="!(has(self.query) && self.query != '' && has(self.templateRef))",
            holds=lambda self: not (self.query and self.template_ref),
        ),
        Rule(
            # Flagger accepts such a metric and never checks it.
            message="needs templateRef, query or compare, or one of the names " + ", ".join(BUILTIN_METRICS),
            cel="has(self.templateRef) || has(self.compare) || (has(self.query) && self.query != '')"
            f" || self.name in {list(BUILTIN_METRICS)}",
            holds=lambda self: bool(self.template_ref or self.compare or self.query or self.name in BUILTIN_METRICS),
        ),
    )

    name: Name = Field(description="Name of the check, or request-success-rate or request-duration for Istio's own.")
    interval: Duration = Field(
        DEFAULT_METRIC_INTERVAL, description="Time that the query looks back over; 1m when omitted."
    )
    threshold: Number | None = Field(
        None, description="Largest good value, smallest for request-success-rate (older form of thresholdRange)."
    )
    threshold_range: ThresholdRange | None = Field(None, description="The values that are good.")
    query: str | None = Field(None, description="Prometheus query (older form of templateRef).")
    template_ref: NamespacedRef | None = Field(None, description="The MetricTemplate that measures.")
    template_variables: StringMap = Field(
        default_factory=dict, description="Variables for the template: {{ variables.key }}."
    )
    compare: Compare | None = Field(
        None,
        description="Sequential test of the canary against the primary, beside or in place of thresholdRange."
        " Flagger ignores it.",
    )

    @property
    def source(self) -> MetricSource:
        """Where the value comes from: a template goes before a query, a query before a built-in."""
        if self.template_ref:
            return MetricSource.TEMPLATE
        if self.query:
            return MetricSource.QUERY
        return MetricSource.BUILTIN if self.name in BUILTIN_METRICS else MetricSource.COMPARISON

    @property
    def bounds(self) -> Bounds | None:
        """The good values; None when nothing but ``compare`` judges this metric.

        Where neither range nor threshold is given the threshold is 0, as in Flagger: any success rate is good, and no
        other value above 0 is.
        """
        if self.threshold_range:
            return Bounds(self.threshold_range.min, self.threshold_range.max)
        if self.threshold is None and self.compare:
            return None
        threshold = self.threshold or 0.0
        if self.source is MetricSource.BUILTIN and self.name == REQUEST_SUCCESS_RATE:
            return Bounds(low=threshold)
        return Bounds(high=threshold)
