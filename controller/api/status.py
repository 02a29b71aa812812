"""``status`` of a Canary: Flagger's fields, and what this controller has to remember or to show beside them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from controller.api.base import Boolean, Integer, MicroTime, Model, Number, OpenObject, StringMap, Time


class Phase(StrEnum):
    """Where a rollout stands, in Flagger's words; ``NEW`` has no status yet."""

    NEW = ""
    INITIALIZING = "Initializing"
    INITIALIZED = "Initialized"
    WAITING = "Waiting"
    PROGRESSING = "Progressing"
    WAITING_PROMOTION = "WaitingPromotion"
    PROMOTING = "Promoting"
    FINALISING = "Finalising"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    TERMINATING = "Terminating"
    TERMINATED = "Terminated"


class _Observed(Model):
    """Written by a controller, maybe a newer or an older one: fields not known here are skipped, nulls are absent."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {key: item for key, item in value.items() if item is not None}


class Condition(_Observed):
    """A condition, as Flagger writes it: the type is Promoted, the reason is the phase."""

    type: str = Field(description="Type of the condition.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(description="Why, in one word.")
    message: str = Field("", description="Why, in a sentence.")
    last_update_time: Time | None = Field(None, description="When the condition was last written.")
    last_transition_time: Time | None = Field(None, description="When its status last changed.")


class CheckStatus(_Observed):
    """What one metric said when the Canary was last analysed."""

    name: str = Field(description="Name of the metric.")
    passed: Boolean = Field(description="Whether the value was good.")
    value: Number | None = Field(None, description="The value; absent when there was none.")
    detail: str = Field("", description="Value and range in words, as in error-rate 100.00 > 1.")


class CanaryStatus(_Observed):
    """The observed state of a Canary."""

    phase: Phase = Field(Phase.NEW, description="Where the rollout stands.")
    failed_checks: Integer = Field(0, description="Failed checks of the current analysis.")
    canary_weight: Integer = Field(0, description="Traffic weight of the canary, in percent.")
    iterations: Integer = Field(0, description="Iterations done of the current analysis.")
    tracked_configs: StringMap = Field(
        default_factory=dict, description="configmap/NAME or secret/NAME to its digest, of the revision last applied."
    )
    last_applied_spec: str = Field("", description="Digest of the pod template under analysis, or last analysed.")
    last_promoted_spec: str = Field("", description="Digest of the pod template that the primary runs.")
    last_tracked_revision: str = Field("", description="Written by Flagger; kept as found.")
    last_transition_time: Time | None = Field(None, description="When the phase last changed.")
    session_affinity_cookie: str = Field("", description="Cookie of the current run, for users of the canary.")
    primary_session_affinity_cookie: str = Field("", description="Cookie of the current run, for users of the primary.")
    previous_session_affinity_cookie: str = Field("", description="Cookie of the run before.")
    conditions: tuple[Condition, ...] = Field((), description="Conditions; the one of type Promoted tells the outcome.")
    observed_generation: Integer = Field(0, description="Generation of the spec that this status is about.")
    mirrored: Boolean = Field(False, description="Whether the canary gets a copy of the primary's traffic.")
    analysed_at: MicroTime | None = Field(
        None, description="When the analysis last ran; the next run is due an interval later."
    )
    checks: tuple[CheckStatus, ...] = Field((), description="What each metric said when it was last analysed.")
    evidence: Mapping[str, OpenObject] = Field(
        default_factory=dict, description="What the metrics with compare have gathered in this rollout, by metric."
    )
    message: str = Field("", description="What holds the Canary up, or is not supported; absent when nothing is.")

    def to_dict(self) -> dict[str, Any]:
        """As Flagger writes it: phase and counters always, anything else only when it is not empty."""
        always = {
            "phase": str(self.phase),
            "failedChecks": self.failed_checks,
            "canaryWeight": self.canary_weight,
            "iterations": self.iterations,
        }
        return always | self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
