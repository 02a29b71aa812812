"""``spec.analysis``: how a new revision is tried, and when it is good enough."""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controller.api.base import Boolean, Duration, Integer, Model, Name
from controller.api.durations import DEFAULT_INTERVAL_FLOOR_SECONDS, parse_duration
from controller.api.http_match import HttpMatch
from controller.api.metric import Metric
from controller.api.rules import PERCENT, Rule, at_least, between, exactly_one
from controller.api.webhook import Alert, HookType, Webhook

Percent = Annotated[Integer, PERCENT]

DEFAULT_MAX_WEIGHT = 100
DEFAULT_READY_THRESHOLD = 100
DEFAULT_COOKIE_MAX_AGE_SECONDS = 86400


class Strategy(StrEnum):
    """How traffic is shared out during the analysis; the values are those of Flagger's metric label."""

    WEIGHTED = "canary"
    AB_TESTING = "ab-testing"
    BLUE_GREEN = "blue-green"


class SessionAffinity(Model):
    """Cookies that keep a user on the side he was first sent to."""

    cookie_name: Name = Field(description="Name of the cookie for users of the canary.")
    primary_cookie_name: str | None = Field(None, description="Name of the cookie for users of the primary.")
    domain: str | None = Field(None, description="Host that the cookie is for.")
    http_only: Boolean = Field(False, description="Hide the cookie from JavaScript.")
    max_age: Integer = Field(
        DEFAULT_COOKIE_MAX_AGE_SECONDS, description="Life of the cookie in seconds; 86400 when omitted."
    )
    partitioned: Boolean = Field(False, description="Keep the cookie in partitioned storage.")
    path: str | None = Field(None, description="Path that the cookie is for.")
    same_site: Literal["Strict", "Lax", "None"] | None = Field(
        None, description="Whether the cookie goes with requests from other sites."
    )
    secure: Boolean = Field(False, description="Send the cookie by https only.")


STEP_WEIGHTS_RULES = (
    Rule(
        message="must each be 1 to 100 (percent)",
        cel="self.all(weight, weight >= 1 && weight <= 100)",
        holds=lambda weights: all(1 <= weight <= 100 for weight in weights),
    ),
    Rule(
        # Flagger accepts a smaller or an equal next weight, then jumps to 100 or never moves again.
        message="must not decrease",
        cel="self.isSorted()",
        holds=lambda weights: all(first <= second for first, second in pairwise(weights)),
    ),
)

_HAS_COMPARE = "has(self.metrics) && self.metrics.exists(metric, has(metric.compare))"
_ON_EVIDENCE = "has(self.advance) && self.advance == 'onEvidence'"


class Analysis(Model):
    """How a new revision is tried: by steps of weight, or by iterations (A/B with match, else blue/green)."""

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            "iterations", "stepWeight", "stepWeights", attributes=("iterations", "step_weight", "step_weights")
        ),
        Rule(
            message="advance: onEvidence needs stepWeight or stepWeights",
            cel=f"!({_ON_EVIDENCE}) || !has(self.iterations)",
            holds=lambda self: self.advance != "onEvidence" or self.iterations is None,
        ),
        Rule(
            message="advance: onEvidence needs a metric with compare",
            cel=f"!({_ON_EVIDENCE}) || ({_HAS_COMPARE})",
            holds=lambda self: self.advance != "onEvidence" or self.compares,
        ),
        Rule(
            message="maxStep needs advance: onEvidence",
            cel=f"!has(self.maxStep) || ({_ON_EVIDENCE})",
            holds=lambda self: self.max_step is None or self.advance == "onEvidence",
        ),
        Rule(
            # Its evidence is remembered by that name.
            message="a metric with compare needs a name of its own",
            cel="!has(self.metrics) || self.metrics.all(one, !has(one.compare)"
            " || self.metrics.exists_one(other, other.name == one.name))",
            holds=lambda self: all(
                sum(other.name == one.name for other in self.metrics) == 1 for one in self.metrics if one.compare
            ),
        ),
        Rule(
            message="onInconclusive needs a metric with compare",
            cel=f"!has(self.onInconclusive) || ({_HAS_COMPARE})",
            holds=lambda self: self.on_inconclusive is None or self.compares,
        ),
        Rule(
            message="onInconclusive: gate needs a webhook of type confirm-promotion, for a person to say yes",
            cel="!has(self.onInconclusive) || self.onInconclusive != 'gate' || (has(self.webhooks)"
            " && self.webhooks.exists(webhook, has(webhook.type) && webhook.type == 'confirm-promotion'))",
            holds=lambda self: (
                self.on_inconclusive != "gate"
                or any(webhook.hook_type is HookType.CONFIRM_PROMOTION for webhook in self.webhooks)
            ),
        ),
    )

    interval: Duration = Field(
        description="Time from one check to the next. The controller has a floor for it, 10s unless configured."
    )
    threshold: Integer = Field(description="Failed checks until the rollback; below 1 means 1.")
    iterations: Annotated[Integer, at_least(1)] | None = Field(
        None, description="Checks to pass, for A/B testing (with match) and blue/green."
    )
    max_weight: Percent | None = Field(
        None,
        description="Traffic weight of the canary at which it is promoted, in percent; when omitted or 0 the last of"
        " stepWeights, else 100.",
    )
    step_weight: Annotated[Integer, between(1, 100, "percent")] | None = Field(
        None, description="By how much the weight of the canary grows with each step, in percent."
    )
    step_weights: Annotated[tuple[Integer, ...], Field(min_length=1, max_length=1000), *STEP_WEIGHTS_RULES] | None = (
        Field(None, description="The weights of the canary, step by step, in percent; one that repeats counts once.")
    )
    step_weight_promotion: Percent = Field(
        0, description="By how much the weight of the primary grows with each step of the promotion; 0: all at once."
    )
    mirror: Boolean = Field(
        False, description="Send the canary a copy of the traffic before any of it (not with match)."
    )
    mirror_weight: Percent = Field(0, description="Share of the traffic to copy, in percent; 0: all of it.")
    primary_ready_threshold: Percent = Field(
        DEFAULT_READY_THRESHOLD, description="Share of the primary's pods that must be available, in percent."
    )
    canary_ready_threshold: Percent = Field(
        DEFAULT_READY_THRESHOLD, description="Share of the canary's pods that must be available, in percent."
    )
    match: tuple[HttpMatch, ...] = Field(
        (), max_length=100, description="A/B testing: requests that may reach the canary; one match is enough."
    )
    metrics: tuple[Metric, ...] = Field((), max_length=100, description="The checks.")
    webhooks: tuple[Webhook, ...] = Field((), max_length=100, description="Whom to ask or tell, and when.")
    alerts: tuple[Alert, ...] = Field((), max_length=100, description="Where messages go.")
    session_affinity: SessionAffinity | None = Field(None, description="Keep users on the side they were sent to.")
    advance: Literal["threshold", "onEvidence"] = Field(
        "threshold",
        description="threshold: a step each interval while no check fails (as Flagger). onEvidence: the same, and up to"
        " maxStep at once when every metric with compare passes; threshold when omitted. Flagger ignores it.",
    )
    max_step: Annotated[Integer, between(1, 100, "percent")] | None = Field(
        None,
        description="With advance: onEvidence, the largest growth of the canary's weight at once, in percent;"
        " up to maxWeight at once when omitted. Flagger ignores it.",
    )
    on_inconclusive: Literal["rollback", "gate"] | None = Field(
        None,
        description="When the steps are done and a metric with compare has not passed: rollback, after threshold more"
        " checks without a verdict, or gate to wait for a person (confirm-promotion); rollback when omitted."
        " Flagger ignores it.",
    )

    @property
    def interval_seconds(self) -> float:
        """The interval as written; the controller uses ``tick_seconds``."""
        return parse_duration(self.interval)

    def tick_seconds(self, floor: float = DEFAULT_INTERVAL_FLOOR_SECONDS) -> float:
        """Seconds from one check to the next, never below ``floor``."""
        return max(self.interval_seconds, floor)

    @property
    def failure_threshold(self) -> int:
        """Failed checks until the rollback, 1 or more."""
        return max(self.threshold, 1)

    @property
    def weight_limit(self) -> int:
        """The canary's weight at which it is promoted, in percent."""
        if self.max_weight:
            return self.max_weight
        return self.step_weights[-1] if self.step_weights else DEFAULT_MAX_WEIGHT

    @property
    def strategy(self) -> Strategy:
        """Weighted with steps; else A/B with match, else blue/green."""
        if self.iterations is None:
            return Strategy.WEIGHTED
        return Strategy.AB_TESTING if self.match else Strategy.BLUE_GREEN

    @property
    def compares(self) -> bool:
        """Whether any metric compares the canary with the primary."""
        return any(metric.compare for metric in self.metrics)
