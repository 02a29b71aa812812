"""``spec.analysis.webhooks[]`` and ``alerts[]``: whom the controller asks and tells."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from controller.api.base import Boolean, Duration, Integer, Model, Name, StringMap, Url
from controller.api.durations import parse_duration
from controller.api.references import NamespacedRef
from controller.api.rules import at_least

DEFAULT_WEBHOOK_TIMEOUT = "10s"


class HookType(StrEnum):
    """When a webhook is called, and what its answer does (https://docs.flagger.app/usage/webhooks)."""

    CONFIRM_ROLLOUT = "confirm-rollout"
    PRE_ROLLOUT = "pre-rollout"
    ROLLOUT = "rollout"
    CONFIRM_TRAFFIC_INCREASE = "confirm-traffic-increase"
    CONFIRM_PROMOTION = "confirm-promotion"
    POST_ROLLOUT = "post-rollout"
    ROLLBACK = "rollback"
    EVENT = "event"


class Webhook(Model):
    """An HTTP endpoint that is asked (a gate) or told (a hook)."""

    name: Name = Field(description="Name of the webhook, for messages.")
    url: Url = Field(description="Address that gets the POST.")
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
    ] = Field("", description="When it is called; rollout when omitted.")
    timeout: Duration = Field(
        DEFAULT_WEBHOOK_TIMEOUT, description="Longest time to wait for an answer; 10s when omitted."
    )
    retries: Annotated[Integer, at_least(0)] = Field(0, description="How often a failed call is repeated.")
    disable_tls: Boolean = Field(False, alias="disableTLS", description="Do not verify the certificate of the address.")
    mute_alert: Boolean = Field(False, description="Send no alert when this webhook blocks.")
    metadata: StringMap = Field(default_factory=dict, description="Keys and values for the receiver.")

    @property
    def hook_type(self) -> HookType:
        """The type; one that is not given is ``rollout``."""
        return HookType(self.type or "rollout")

    @property
    def timeout_seconds(self) -> float:
        return parse_duration(self.timeout)


class Alert(Model):
    """Where messages about this Canary go."""

    name: Name = Field(description="Name of the alert.")
    severity: Literal["", "info", "warn", "error"] = Field(
        "", description="Least severity that is sent: info, warn or error; info when omitted."
    )
    provider_ref: NamespacedRef = Field(description="The AlertProvider that sends it.")
