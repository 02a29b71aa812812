"""``spec.analysis``: how a new revision is tested, and when it is promoted."""

from __future__ import annotations

import math
import re
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
    """How traffic is split during the analysis. The values are those of Flagger's metric label."""

    WEIGHTED = "canary"
    AB_TESTING = "ab-testing"
    BLUE_GREEN = "blue-green"


COOKIE_NAME = Rule(
    # RFC 6265: a token; Envoy rejects all routes of a proxy for one header that is malformed.
    message="must have only letters, digits and !#$%&'*+-.^_`|~",
    cel='self.matches("^[!#$%&\'*+.^_`|~0-9A-Za-z-]*$")',
    holds=lambda text: re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]*", text) is not None,
)
COOKIE_ATTRIBUTE = Rule(
    message="must have only printable ASCII characters, without ;",
    cel="self.matches('^[ -:<-~]*$')",
    holds=lambda text: re.fullmatch(r"[ -:<-~]*", text) is not None,
)


class SessionAffinity(Model):
    """Cookies that keep a user on the version they were first routed to."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            message="primaryCookieName must not be cookieName",
            cel="!has(self.primaryCookieName) || self.primaryCookieName != self.cookieName",
            holds=lambda self: self.primary_cookie_name != self.cookie_name,
        ),
    )

    cookie_name: Annotated[Name, COOKIE_NAME] = Field(
        description="Name of the cookie set for users routed to the canary."
    )
    primary_cookie_name: Annotated[str, Field(max_length=253), COOKIE_NAME] | None = Field(
        None, description="Name of the cookie set for users routed to the primary; it lasts for an interval."
    )
    domain: Annotated[str, Field(max_length=1024), COOKIE_ATTRIBUTE] | None = Field(
        None, description="Domain attribute of the cookie."
    )
    http_only: Boolean = Field(False, description="HttpOnly attribute of the cookie.")
    max_age: Integer = Field(
        DEFAULT_COOKIE_MAX_AGE_SECONDS, description="Max-Age attribute of the cookie, in seconds. Defaults to 86400."
    )
    partitioned: Boolean = Field(False, description="Partitioned attribute of the cookie.")
    path: Annotated[str, Field(max_length=1024), COOKIE_ATTRIBUTE] | None = Field(
        None, description="Path attribute of the cookie."
    )
    same_site: Literal["Strict", "Lax", "None"] | None = Field(None, description="SameSite attribute of the cookie.")
    secure: Boolean = Field(False, description="Secure attribute of the cookie.")


class Holdback(Model):
    """A share of the traffic that the former version keeps after the last step, while the checks go on."""

    weight: Annotated[Integer, between(1, 50, "percent")] = Field(
        description="Share of the traffic that the primary, still at the former version, keeps, in percent."
    )
    duration: Duration = Field(description="How long it keeps it. Then the canary is promoted.")


STEP_WEIGHTS_RULES = (
    Rule(
        message="each weight must be 1 to 100 (percent)",
        cel="self.all(weight, weight >= 1 && weight <= 100)",
        holds=lambda weights: all(1 <= weight <= 100 for weight in weights),
    ),
    Rule(
        # Flagger accepts a smaller or an equal next weight, then jumps to 100 or never moves again.
        message="weights must not decrease",
        cel="self.isSorted()",
        holds=lambda weights: all(first <= second for first, second in pairwise(weights)),
    ),
)

_HAS_COMPARE = "has(self.metrics) && self.metrics.exists(metric, has(metric.compare))"
"""A dry run is enough: to switch it on or off needs no other edit."""
_ON_EVIDENCE = "has(self.advance) && self.advance == 'onEvidence'"


def _has_compare(analysis: Analysis) -> bool:
    return any(metric.compare for metric in analysis.metrics)


class Analysis(Model):
    """How a new revision is tested: in steps of traffic weight, or in iterations (A/B with match, else blue/green)."""

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
            holds=lambda self: self.advance != "onEvidence" or _has_compare(self),
        ),
        Rule(
            message="maxStep needs advance: onEvidence",
            cel=f"!has(self.maxStep) || ({_ON_EVIDENCE})",
            holds=lambda self: self.max_step is None or self.advance == "onEvidence",
        ),
        Rule(
            message="holdback needs stepWeight or stepWeights",
            cel="!has(self.holdback) || !has(self.iterations)",
            holds=lambda self: self.holdback is None or self.iterations is None,
        ),
        Rule(
            # The status keeps the evidence of a metric by its name.
            message="the name of a metric with compare must be unique",
            cel="!has(self.metrics) || self.metrics.all(one, !has(one.compare)"
            " || self.metrics.exists_one(other, other.name == one.name))",
            holds=lambda self: all(
                sum(other.name == one.name for other in self.metrics) == 1 for one in self.metrics if one.compare
            ),
        ),
        Rule(
            message="onInconclusive needs a metric with compare",
            cel=f"!has(self.onInconclusive) || ({_HAS_COMPARE})",
            holds=lambda self: self.on_inconclusive is None or _has_compare(self),
        ),
        Rule(
            message="onInconclusive: gate needs a webhook of type confirm-promotion, through which a person approves",
            cel="!has(self.onInconclusive) || self.onInconclusive != 'gate' || (has(self.webhooks)"
            " && self.webhooks.exists(webhook, has(webhook.type) && webhook.type == 'confirm-promotion'))",
            holds=lambda self: (
                self.on_inconclusive != "gate"
                or any(webhook.hook_type is HookType.CONFIRM_PROMOTION for webhook in self.webhooks)
            ),
        ),
    )

    interval: Duration = Field(
        description="Time between two checks. The controller enforces a minimum, 10s unless configured otherwise."
    )
    threshold: Integer = Field(
        description="Number of failed checks that triggers a rollback. Values below 1 count as 1."
    )
    iterations: Annotated[Integer, at_least(1)] | None = Field(
        None, description="Number of checks that must pass, for A/B testing (with match) and blue/green."
    )
    max_weight: Percent | None = Field(
        None,
        description="Traffic weight at which the canary is promoted, in percent. Defaults to the last of stepWeights,"
        " else to 100.",
    )
    step_weight: Annotated[Integer, between(1, 100, "percent")] | None = Field(
        None, description="Increase of the canary's traffic weight per step, in percent."
    )
    step_weights: Annotated[tuple[Integer, ...], Field(min_length=1, max_length=1000), *STEP_WEIGHTS_RULES] | None = (
        Field(
            None,
            description="Traffic weight of the canary at each step, in percent. A repeated weight counts as one step.",
        )
    )
    step_weight_promotion: Percent = Field(
        0,
        description="Increase of the primary's traffic weight per step of the promotion, in percent. 0: all at once.",
    )
    mirror: Boolean = Field(
        False, description="Mirror traffic to the canary before routing any to it. Not combined with match."
    )
    mirror_weight: Percent = Field(0, description="Share of the traffic to mirror, in percent. 0 mirrors all of it.")
    primary_ready_threshold: Percent = Field(
        DEFAULT_READY_THRESHOLD,
        description="Share of the primary's pods that must be available, in percent. Defaults to 100.",
    )
    canary_ready_threshold: Percent = Field(
        DEFAULT_READY_THRESHOLD,
        description="Share of the canary's pods that must be available, in percent. Defaults to 100.",
    )
    match: tuple[HttpMatch, ...] = Field(
        (),
        max_length=100,
        description="A/B testing: requests that are routed to the canary. One match is enough.",
    )
    metrics: tuple[Metric, ...] = Field((), max_length=100, description="Metrics to check.")
    webhooks: tuple[Webhook, ...] = Field((), max_length=100, description="Webhooks to call during the rollout.")
    alerts: tuple[Alert, ...] = Field((), max_length=100, description="Alerts to send.")
    session_affinity: SessionAffinity | None = Field(
        None, description="Keep users on the version they were first routed to."
    )
    advance: Literal["threshold", "onEvidence"] = Field(
        "threshold",
        description="How the canary's weight advances. threshold: one step per interval while no check fails, as in"
        " Flagger. onEvidence: also up to maxStep at once when every metric with compare passes. Defaults to threshold."
        " Not part of Flagger's API.",
    )
    max_step: Annotated[Integer, between(1, 100, "percent")] | None = Field(
        None,
        description="Largest increase of the canary's weight at once with advance: onEvidence, in percent. Defaults to"
        " maxWeight. Not part of Flagger's API.",
    )
    holdback: Holdback | None = Field(
        None,
        description="After the last step the canary gets all traffic but this share, for a time, before it is promoted."
        " The checks go on, and going back is one write of the routes. Not part of Flagger's API.",
    )
    on_failure: Literal["scaleDown", "freeze"] = Field(
        "scaleDown",
        description="What becomes of the pods of a canary that is rolled back. scaleDown: they are scaled to zero."
        " freeze: they are kept, without traffic, until canary retry or canary abort. Not part of Flagger's API.",
    )
    on_inconclusive: Literal["promote", "rollback", "gate"] | None = Field(
        None,
        description="What happens when the last step is done and a metric with compare has neither failed nor passed."
        " promote: promote, and say that nothing was proven. rollback: roll back after threshold more checks without a"
        " verdict. gate: wait for a person, through the webhook of type confirm-promotion. Defaults to promote. Not"
        " part of Flagger's API.",
    )

    @property
    def interval_seconds(self) -> float:
        """The interval as written, in seconds; the controller uses ``tick_seconds``."""
        return parse_duration(self.interval)

    def tick_seconds(self, floor: float = DEFAULT_INTERVAL_FLOOR_SECONDS) -> float:
        """Seconds between two checks, at least ``floor``."""
        return max(self.interval_seconds, floor)

    @property
    def failure_threshold(self) -> int:
        """Number of failed checks that triggers a rollback, 1 or more."""
        return max(self.threshold, 1)

    @property
    def weight_limit(self) -> int:
        """Traffic weight at which the canary is promoted, in percent."""
        if self.max_weight:
            return self.max_weight
        return self.step_weights[-1] if self.step_weights else DEFAULT_MAX_WEIGHT

    @property
    def holdback_rounds(self) -> int:
        """Checks during `holdback`; 0 without it."""
        return math.ceil(parse_duration(self.holdback.duration) / self.tick_seconds()) if self.holdback else 0

    @property
    def strategy(self) -> Strategy:
        """Weighted with steps; with iterations A/B testing if there is a match, else blue/green."""
        if self.iterations is None:
            return Strategy.WEIGHTED
        return Strategy.AB_TESTING if self.match else Strategy.BLUE_GREEN

    @property
    def warmup_seconds(self) -> float:
        """Seconds after the canary's first traffic in which not every comparison that decides counts requests."""
        deciding = (metric.compare for metric in self.metrics if not metric.dry_run)
        return max((compare.warmup_seconds for compare in deciding if compare), default=0.0)

    @property
    def compares(self) -> bool:
        """Whether any metric compares the canary with the primary, and decides: is no dry run."""
        return any(metric.compare and not metric.dry_run for metric in self.metrics)
