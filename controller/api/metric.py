"""``spec.analysis.metrics[]``: what is measured, and which values pass."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, NamedTuple

from pydantic import Field

from controller.api.base import Boolean, Model, Name, Number, PositiveDuration, StringMap
from controller.api.compare import Compare
from controller.api.durations import parse_duration
from controller.api.references import NamespacedRef
from controller.api.rules import Rule

DEFAULT_METRIC_INTERVAL = "1m"
DEFAULT_METRIC_INTERVAL_SECONDS = parse_duration(DEFAULT_METRIC_INTERVAL)
REQUEST_SUCCESS_RATE = "request-success-rate"
REQUEST_DURATION = "request-duration"
BUILTIN_METRICS = (REQUEST_SUCCESS_RATE, REQUEST_DURATION)


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
