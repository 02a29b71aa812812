"""``spec.analysis.webhooks[]`` and ``alerts[]``: the endpoints that the controller calls."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controller.api.base import Boolean, Integer, Model, Name, PositiveDuration, StringMap, Url
from controller.api.durations import parse_duration
from controller.api.references import NamespacedRef
from controller.api.rules import Rule, between

DEFAULT_WEBHOOK_TIMEOUT = "10s"
MAX_RETRIES = 10


class HookType(StrEnum):
    """When a webhook is called, and what its response does (https://docs.flagger.app/usage/webhooks)."""

    CONFIRM_ROLLOUT = "confirm-rollout"
    PRE_ROLLOUT = "pre-rollout"
    ROLLOUT = "rollout"
    CONFIRM_TRAFFIC_INCREASE = "confirm-traffic-increase"
    CONFIRM_PROMOTION = "confirm-promotion"
    POST_ROLLOUT = "post-rollout"
    ROLLBACK = "rollback"
    EVENT = "event"


class Webhook(Model):
    """An HTTP endpoint that the controller calls, or a gate that a person opens."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            message="url is required unless the type is confirm-rollout, confirm-traffic-increase or confirm-promotion",
            cel="has(self.url) || (has(self.type) && self.type.startsWith('confirm-'))",
            holds=lambda self: bool(self.url) or self.type.startswith("confirm-"),
        ),
    )

    name: Name = Field(description="Name of the webhook, used in messages.")
    url: Url = Field(
        "",
        description="URL to send the POST request to. A webhook of a type confirm-* without a URL is a gate that a"
        " person opens, with canary approve.",
    )
    type: Literal[
        "",
        "confirm-rollout",
        "pre-rollout",
        "rollout",
        "confirm-traffic-increase",
        "confirm-promotion",
        "post-rollout",
        "rollback",
        "event",
    ] = Field("", description="When the webhook is called. Defaults to rollout.")
    timeout: PositiveDuration = Field(DEFAULT_WEBHOOK_TIMEOUT, description="Timeout of a call. Defaults to 10s.")
    retries: Annotated[Integer, between(0, MAX_RETRIES)] = Field(
        0, description="Number of retries of a failed call. Defaults to 0."
    )
    disable_tls: Boolean = Field(
        False, alias="disableTLS", description="Skip verification of the endpoint's TLS certificate."
    )
    mute_alert: Boolean = Field(False, description="Do not send an alert when this webhook holds up the rollout.")
    metadata: StringMap = Field(default_factory=dict, description="Keys and values to send in the request body.")

    @property
    def hook_type(self) -> HookType:
        """The type; ``rollout`` if not set."""
        return HookType(self.type or "rollout")

    @property
    def timeout_seconds(self) -> float:
        return parse_duration(self.timeout)


class Alert(Model):
    """An alert to send about this Canary."""

    name: Name = Field(description="Name of the alert.")
    severity: Literal["", "info", "warn", "error"] = Field(
        "", description="Lowest severity to send: info sends all, warn sends warn and error. Defaults to info."
    )
    provider_ref: NamespacedRef = Field(description="AlertProvider to send the alert through.")
