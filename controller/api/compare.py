"""``spec.analysis.metrics[].compare``: a sequential test of the canary against the primary, not in Flagger's API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from controller.api.base import Duration, Integer, Model, Number, PositiveDuration
from controller.api.durations import parse_duration
from controller.api.rules import Rule, at_least, exactly_one
from controller.api.side_queries import CompareCounters, CompareValue

DEFAULT_RISK = 0.05
DEFAULT_WARMUP = "1m"
DEFAULT_BAD_RESPONSE_CODES = "5.."
DEFAULT_BAD_GRPC_STATUSES = "2|4|12|13|14|15"
"""UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE and DATA_LOSS: what Envoy translates to 5xx
(source/common/grpc/status.cc) and OpenTelemetry calls an error of the server (semantic conventions for gRPC)."""
MAX_RATIO = 1000.0

Sensitivity = Literal["low", "medium", "high"]


class Limits(NamedTuple):
    """Up to where a canary is harmless, and from where on harmful.

    Multiples of the primary's share of bad requests, and percentage points on top.
    """

    harmless_ratio: float
    harmless_margin: float
    harmful_ratio: float
    harmful_margin: float


SENSITIVITIES: Mapping[Sensitivity, Limits] = {
    "low": Limits(1.5, 0.2, 3.0, 1.0),
    "medium": Limits(1.25, 0.05, 2.0, 0.5),
    "high": Limits(1.1, 0.01, 1.5, 0.1),
}
DEFAULT_SENSITIVITY: Sensitivity = "medium"
LATENCY_RATIOS: Mapping[Sensitivity, float] = {"low": 1.5, "medium": 1.2, "high": 1.1}
"""The harmless ratio of latency: many more requests are slow than fail, so that small differences show."""
VALUE_RATIOS: Mapping[Sensitivity, float] = {"low": 1.2, "medium": 1.0, "high": 1.0}
"""The harmless ratio of a number: its noise is measured, and no margin is added."""


def _or_default(field: str) -> str:
    """CEL: a limit as it is set, else as the sensitivity has it."""
    key = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in field)

    def default(sensitivity: Sensitivity) -> str:
        limit = f"{getattr(SENSITIVITIES[sensitivity], key)}"
        if field != "harmlessRatio":
            return limit
        latency, value = LATENCY_RATIOS[sensitivity], VALUE_RATIOS[sensitivity]
        return f"(has(self.latency) ? {latency} : has(self.value) ? {value} : {limit})"

    chosen = [
        f"has(self.sensitivity) && self.sensitivity == '{each}' ? {default(each)} : "
        for each in SENSITIVITIES
        if each != DEFAULT_SENSITIVITY
    ]
    return f"(has(self.{field}) ? self.{field} : {''.join(chosen)}{default(DEFAULT_SENSITIVITY)})"


def _listed(limits: Mapping[Sensitivity, float]) -> str:
    """``1.5, 1.25 or 1.1``."""
    *most, last = (f"{limit:g}" for limit in limits.values())
    return f"{', '.join(most)} or {last}"


def _each(key: str) -> str:
    return _listed({name: getattr(limits, key) for name, limits in SENSITIVITIES.items()})


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
            message="harmfulRatio must be above harmlessRatio (see sensitivity for what is not set)",
            cel=f"{_or_default('harmfulRatio')} > {_or_default('harmlessRatio')}",
            holds=lambda self: self.limits.harmful_ratio > self.limits.harmless_ratio,
        ),
        Rule(
            message="harmfulMargin must not be below harmlessMargin (see sensitivity for what is not set)",
            cel=f"{_or_default('harmfulMargin')} >= {_or_default('harmlessMargin')}",
            holds=lambda self: self.limits.harmful_margin >= self.limits.harmless_margin,
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
    sensitivity: Sensitivity = Field(
        DEFAULT_SENSITIVITY,
        description="How small a harm is found. Sets those of harmlessRatio, harmlessMargin, harmfulRatio and"
        " harmfulMargin that are not set. Defaults to medium.",
    )
    harmless_ratio: (
        Annotated[Number, Rule(message="must be above 0", cel="self > 0.0", holds=lambda r: r > 0)] | None
    ) = Field(
        None,
        description="Up to this multiple of the primary's share of failed (or slow) requests, plus harmlessMargin,"
        f" the canary is good. By sensitivity {_each('harmless_ratio')}, for latency {_listed(LATENCY_RATIOS)}, for"
        f" value {_listed(VALUE_RATIOS)}.",
    )
    harmless_margin: Annotated[Number, MARGIN] | None = Field(
        None,
        description="What the canary's share of failed (or slow) requests may be above harmlessRatio times the"
        f" primary's, in percentage points. By sensitivity {_each('harmless_margin')}.",
    )
    harmful_ratio: (
        Annotated[
            Number,
            Rule(
                message=f"must be at most {MAX_RATIO:g}",
                cel=f"self <= {MAX_RATIO}",
                holds=lambda ratio: ratio <= MAX_RATIO,
            ),
        ]
        | None
    ) = Field(
        None,
        description="From this multiple of the primary's share of failed (or slow) requests, plus harmfulMargin, on the"
        f" canary is bad. It passes when it is shown to be below. By sensitivity {_each('harmful_ratio')}.",
    )
    harmful_margin: Annotated[Number, MARGIN] | None = Field(
        None,
        description="What the canary's share of failed (or slow) requests must be above harmfulRatio times the"
        f" primary's to be bad, in percentage points. By sensitivity {_each('harmful_margin')}.",
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
    def limits(self) -> Limits:
        """As they are set, else as ``sensitivity`` has them."""
        limits = SENSITIVITIES[self.sensitivity]
        ratio = LATENCY_RATIOS[self.sensitivity] if self.latency else limits.harmless_ratio
        ratio = VALUE_RATIOS[self.sensitivity] if self.value else ratio
        written = (self.harmless_ratio, self.harmless_margin, self.harmful_ratio, self.harmful_margin)
        defaults = limits._replace(harmless_ratio=ratio)
        return Limits(*(default if own is None else own for own, default in zip(written, defaults, strict=True)))

    @property
    def warmup_seconds(self) -> float:
        return parse_duration(self.warmup)

    @property
    def edges_ms(self) -> tuple[float, ...]:
        """The edges of ``latency`` in milliseconds; empty where errors are compared."""
        return self.latency.edges_ms if self.latency else ()
