"""``spec.analysis.metrics[]``: what is measured, and which values pass."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from controller.api.base import Boolean, Duration, Integer, Model, Name, Number, PositiveDuration, StringMap
from controller.api.durations import parse_duration
from controller.api.references import NamespacedRef
from controller.api.rules import Rule, at_least, exactly_one
from controller.api.side_queries import CompareCounters, CompareValue

DEFAULT_METRIC_INTERVAL = "1m"
REQUEST_SUCCESS_RATE = "request-success-rate"
REQUEST_DURATION = "request-duration"
BUILTIN_METRICS = (REQUEST_SUCCESS_RATE, REQUEST_DURATION)

DEFAULT_RISK = 0.05
DEFAULT_HARMLESS_RATIO = 1.25
DEFAULT_HARMLESS_LATENCY_RATIO = 1.2
DEFAULT_HARMLESS_VALUE_RATIO = 1.0
DEFAULT_HARMFUL_RATIO = 2.0
DEFAULT_HARMLESS_MARGIN = 0.05
DEFAULT_HARMFUL_MARGIN = 0.5
DEFAULT_WARMUP = "1m"
DEFAULT_BAD_RESPONSE_CODES = "5.."
DEFAULT_BAD_GRPC_STATUSES = "2|4|12|13|14|15"
"""UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE and DATA_LOSS: what Envoy translates to 5xx
(source/common/grpc/status.cc) and OpenTelemetry calls an error of the server (semantic conventions for gRPC)."""
MAX_RATIO = 1000.0


class MetricSource(StrEnum):
    """Where a metric's value comes from."""

    TEMPLATE = "template"
    QUERY = "query"
    BUILTIN = "builtin"
    COMPARISON = "comparison"
    """No value: the metric only compares canary and primary."""


class Bounds(NamedTuple):
    """The values that pass, both ends included; None where there is no bound."""

    low: float | None = None
    high: float | None = None


class ThresholdRange(Model):
    """Range of values that pass."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            message="min must not be above max",
            cel="!has(self.min) || !has(self.max) || self.min <= self.max",
            holds=lambda self: self.min is None or self.max is None or self.min <= self.max,
        ),
    )

    min: Number | None = Field(None, description="Lowest value that passes.")
    max: Number | None = Field(None, description="Highest value that passes.")


class CompareErrors(Model):
    """Compares the share of failed requests."""

    response_codes: Annotated[str, Field(min_length=1)] = Field(
        DEFAULT_BAD_RESPONSE_CODES,
        description="RE2 expression for the response codes that count as failed. Defaults to 5..",
    )
    grpc_statuses: Annotated[str, Field(min_length=1)] = Field(
        DEFAULT_BAD_GRPC_STATUSES,
        description="RE2 expression for the gRPC status codes that count as failed. Defaults to those of a server's"
        f" faults, {DEFAULT_BAD_GRPC_STATUSES}.",
    )


class CompareLatency(Model):
    """Compares the shares of requests slower than each edge."""

    edges: Annotated[tuple[PositiveDuration, ...], Field(min_length=1, max_length=32)] = Field(
        description="Bucket bounds of Istio's request duration histogram, for example 100ms or 1s."
    )

    @property
    def edges_ms(self) -> tuple[float, ...]:
        """The distinct edges in ms, ascending; rounded to 15 digits, since 9ms must not become 9.000000000000002."""
        return tuple(sorted({float(f"{parse_duration(edge) * 1000:.15g}") for edge in self.edges}))


MARGIN = Rule(
    message="must be 0 to 50 (percentage points)",
    cel="self >= 0.0 && self <= 50.0",
    holds=lambda margin: 0 <= margin <= 50,
)


_MARGINS = {"harmless_margin", "harmful_margin"}


class Compare(Model):
    """A sequential test of the canary against the primary. Not part of Flagger's API."""

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one("errors", "latency", "counters", "value"),
        Rule(
            message="minRequests is not used with value, which counts no requests",
            cel="!has(self.value) || !has(self.minRequests) || self.minRequests == 0",
            holds=lambda self: self.value is None or self.min_requests == 0,
        ),
        Rule(
            message="harmlessMargin and harmfulMargin are not used with value, which is no share of anything",
            cel="!has(self.value) || !(has(self.harmlessMargin) || has(self.harmfulMargin))",
            holds=lambda self: self.value is None or not _MARGINS & self.model_fields_set,
        ),
        Rule(
            message=f"harmfulRatio (default {DEFAULT_HARMFUL_RATIO:g}) must be above harmlessRatio (default"
            f" {DEFAULT_HARMLESS_RATIO:g}, for latency {DEFAULT_HARMLESS_LATENCY_RATIO:g}, for value"
            f" {DEFAULT_HARMLESS_VALUE_RATIO:g})",
            cel=f"(has(self.harmfulRatio) ? self.harmfulRatio : {DEFAULT_HARMFUL_RATIO})"
            f" > (has(self.harmlessRatio) ? self.harmlessRatio : has(self.latency) ? {DEFAULT_HARMLESS_LATENCY_RATIO}"
            f" : has(self.value) ? {DEFAULT_HARMLESS_VALUE_RATIO} : {DEFAULT_HARMLESS_RATIO})",
            holds=lambda self: self.harmful_ratio > self.harmless_limit,
        ),
        Rule(
            message="harmfulMargin must not be below harmlessMargin"
            f" (defaults: {DEFAULT_HARMFUL_MARGIN:g} and {DEFAULT_HARMLESS_MARGIN:g})",
            cel=f"(has(self.harmfulMargin) ? self.harmfulMargin : {DEFAULT_HARMFUL_MARGIN})"
            f" >= (has(self.harmlessMargin) ? self.harmlessMargin : {DEFAULT_HARMLESS_MARGIN})",
            holds=lambda self: self.harmful_margin >= self.harmless_margin,
        ),
    )

    against: Literal["primary"] = Field(
        "primary", alias="with", description="What the canary is compared with. Only primary is supported."
    )
    errors: CompareErrors | None = Field(None, description="Compare the error rate: the share of failed requests.")
    latency: CompareLatency | None = Field(None, description="Compare latency: the shares of slow requests.")
    counters: CompareCounters | None = Field(None, description="Compare the share of bad events by other counters.")
    value: CompareValue | None = Field(None, description="Compare a number that is no share of anything.")
    risk: Annotated[
        Number,
        Rule(
            message="must be above 0 and at most 0.5",
            cel="self > 0.0 && self <= 0.5",
            holds=lambda risk: 0 < risk <= 0.5,
        ),
    ] = Field(
        DEFAULT_RISK,
        description="Upper bound for the probability that this test ever rolls back a canary that is no worse than"
        " harmlessRatio and harmlessMargin allow, over all looks of a rollout. Defaults to 0.05.",
    )
    harmless_ratio: (
        Annotated[Number, Rule(message="must be above 0", cel="self > 0.0", holds=lambda r: r > 0)] | None
    ) = Field(
        None,
        description="Up to this multiple of the primary's share of failed (or slow) requests, plus harmlessMargin,"
        " the canary is good. Defaults to 1.25, for latency to 1.2, for value to 1.",
    )
    harmless_margin: Annotated[Number, MARGIN] = Field(
        DEFAULT_HARMLESS_MARGIN,
        description="What the canary's share of failed (or slow) requests may be above harmlessRatio times the"
        " primary's, in percentage points. Defaults to 0.05.",
    )
    harmful_ratio: Annotated[
        Number,
        Rule(
            message=f"must be at most {MAX_RATIO:g}",
            cel=f"self <= {MAX_RATIO}",
            holds=lambda ratio: ratio <= MAX_RATIO,
        ),
    ] = Field(
        DEFAULT_HARMFUL_RATIO,
        description="From this multiple of the primary's share of failed (or slow) requests, plus harmfulMargin, on the"
        " canary is bad. It passes when it is shown to be below. Defaults to 2.0.",
    )
    harmful_margin: Annotated[Number, MARGIN] = Field(
        DEFAULT_HARMFUL_MARGIN,
        description="What the canary's share of failed (or slow) requests must be above harmfulRatio times the"
        " primary's to be bad, in percentage points. Defaults to 0.5.",
    )
    min_requests: Annotated[Integer, at_least(0)] = Field(
        0, description="Minimum number of requests to canary and primary each before there is a verdict. Defaults to 0."
    )
    warmup: Duration = Field(
        DEFAULT_WARMUP,
        description="Time after the first traffic of a pod, of the canary or of the primary, in which its requests are"
        " not counted. Defaults to 1m.",
    )

    @property
    def harmless_limit(self) -> float:
        """``harmlessRatio``, or its default."""
        if self.harmless_ratio is not None:
            return self.harmless_ratio
        if self.value:
            return DEFAULT_HARMLESS_VALUE_RATIO
        return DEFAULT_HARMLESS_LATENCY_RATIO if self.latency else DEFAULT_HARMLESS_RATIO

    @property
    def warmup_seconds(self) -> float:
        return parse_duration(self.warmup)

    @property
    def edges_ms(self) -> tuple[float, ...]:
        """The edges of ``latency`` in milliseconds; empty where errors are compared."""
        return self.latency.edges_ms if self.latency else ()


class Metric(Model):
    """A check of the analysis.

    For a template under a built-in name Flagger runs both checks; here the template replaces the built-in.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            message="query and templateRef must not both be set",
            cel="!(has(self.query) && self.query != '' && has(self.templateRef))",
            holds=lambda self: not (self.query and self.template_ref),
        ),
        Rule(
            # Flagger accepts such a metric and never checks it.
            message="one of templateRef, query or compare must be set, unless the name is "
            + " or ".join(BUILTIN_METRICS),
            cel="has(self.templateRef) || has(self.compare) || (has(self.query) && self.query != '')"
            f" || self.name in {list(BUILTIN_METRICS)}",
            holds=lambda self: bool(self.template_ref or self.compare or self.query or self.name in BUILTIN_METRICS),
        ),
    )

    name: Name = Field(description="Name of the metric. request-success-rate and request-duration are built in.")
    interval: PositiveDuration = Field(DEFAULT_METRIC_INTERVAL, description="Time range of the query. Defaults to 1m.")
    threshold: Number | None = Field(
        None, description="Highest value that passes; lowest for request-success-rate. Deprecated: use thresholdRange."
    )
    threshold_range: ThresholdRange | None = Field(None, description="Range of values that pass.")
    query: str | None = Field(None, description="Prometheus query. Deprecated: use templateRef.")
    template_ref: NamespacedRef | None = Field(None, description="MetricTemplate to query.")
    template_variables: StringMap = Field(
        default_factory=dict, description="Variables of the template, used there as {{ variables.key }}."
    )
    compare: Compare | None = Field(
        None,
        description="Sequential test of the canary against the primary, in addition to thresholdRange or instead of it."
        " Not part of Flagger's API.",
    )
    dry_run: Boolean = Field(
        False,
        description="Measure and show this metric, but let it decide nothing: it fails no check, causes no rollback and"
        " holds no promotion. Not part of Flagger's API.",
    )

    @property
    def template_refs(self) -> dict[str, NamespacedRef]:
        """The MetricTemplates that the metric refers to, by the path of the field within it."""
        value = self.compare.value if self.compare else None
        found = {"templateRef": self.template_ref, "compare.value.templateRef": value.template_ref if value else None}
        return {path: reference for path, reference in found.items() if reference}

    @property
    def source(self) -> MetricSource:
        """Where the value comes from; a template takes precedence over a query, a query over a built-in."""
        if self.template_ref:
            return MetricSource.TEMPLATE
        if self.query:
            return MetricSource.QUERY
        return MetricSource.BUILTIN if self.name in BUILTIN_METRICS else MetricSource.COMPARISON

    @property
    def bounds(self) -> Bounds | None:
        """The values that pass; None if only ``compare`` judges this metric.

        Without range and threshold the threshold is 0, as in Flagger: any success rate passes, and no other value above
        0 does.
        """
        if self.threshold_range:
            return Bounds(self.threshold_range.min, self.threshold_range.max)
        if self.threshold is None and self.compare:
            return None
        threshold = self.threshold or 0.0
        if self.source is MetricSource.BUILTIN and self.name == REQUEST_SUCCESS_RATE:
            return Bounds(low=threshold)
        return Bounds(high=threshold)
