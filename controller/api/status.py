"""``status`` of a Canary: Flagger's fields, and those that this controller adds."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from controller.api.base import Boolean, Integer, MicroTime, Number, Observed, SavedObject, StringMap, Time
from controller.api.receipt import Receipt

_PendingReceipt = Annotated[Receipt, WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})]


class Phase(StrEnum):
    """The phase of a rollout, as Flagger names it; ``NEW`` is a Canary without a status."""

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


class Condition(Observed):
    """A condition. As in Flagger, the reason of the one of type Promoted is the phase."""

    type: str = Field(description="Type of the condition.")
    status: Literal["True", "False", "Unknown"] = Field(description="Status of the condition.")
    reason: str = Field(description="Machine-readable reason.")
    message: str = Field("", description="Human-readable message.")
    last_update_time: Time | None = Field(None, description="Time of the last update.")
    last_transition_time: Time | None = Field(None, description="Time of the last change of the status.")


class CheckStatus(Observed):
    """Result of a metric at the last check."""

    name: str = Field(description="Name of the metric.")
    passed: Boolean = Field(description="Whether the metric passed.")
    value: Number | None = Field(None, description="Measured value. Absent if there was none.")
    detail: str = Field("", description="Value and range in text, for example error-rate 100.00 > 1.")
    dry_run: Boolean = Field(False, description="Whether the metric is a dry run: its result decides nothing.")


class ActionStatus(Observed):
    """What became of the last action that a person asked for."""

    text: str = Field(description="The annotation as it was written, shortened if it is long.")
    nonce: Integer = Field(0, description="Highest nonce so far. The nonce of the next action must be above it.")
    by: str = Field("", description="Who asked for it: as they said, else the field manager that wrote it.")
    refused: str = Field("", description="Why it was refused or had no effect. Absent if it was done.")


class FormerStatus(Observed):
    """A revision that the primary has run."""

    revision: str = Field(description="Digest as in lastPromotedSpec.")
    until: Time = Field(description="When another revision was promoted; of the last, when it was promoted.")


class CanaryStatus(Observed):
    """The observed state of a Canary."""

    phase: Phase = Field(Phase.NEW, description="Phase of the rollout.")
    failed_checks: Integer = Field(0, description="Number of failed checks of the current analysis.")
    canary_weight: Integer = Field(0, description="Traffic weight of the canary, in percent.")
    observed_weight: Number | None = Field(
        None, description="Percent of the requests that the canary had lately. Absent where weights do not decide."
    )
    iterations: Integer = Field(0, description="Number of completed iterations of the current analysis.")
    tracked_configs: StringMap = Field(
        default_factory=dict,
        description="Digests of the configs of the revision last applied, by configmap/NAME or secret/NAME.",
    )
    last_applied_spec: str = Field("", description="Digest of the pod template that is or was last analysed.")
    last_promoted_spec: str = Field("", description="Digest of the pod template that the primary runs.")
    last_tracked_revision: str = Field("", description="Written by Flagger; preserved, not used.")
    last_transition_time: Time | None = Field(None, description="Time of the last change of the phase.")
    session_affinity_cookie: str = Field("", description="Cookie of the current rollout for users of the canary.")
    primary_session_affinity_cookie: str = Field(
        "", description="Cookie of the current rollout for users of the primary."
    )
    previous_session_affinity_cookie: str = Field("", description="Cookie of the previous rollout.")
    conditions: tuple[Condition, ...] = Field(
        (),
        description="Conditions. Promoted holds the outcome of the rollout; Ready is True if the primary runs what the"
        " target asks for; Progressing, if something is under way that goes on by itself; Stalled, if nothing goes on"
        " before somebody changes something.",
    )
    observed_generation: Integer = Field(0, description="Generation of the spec that this status reflects.")
    mirrored: Boolean = Field(False, description="Whether traffic is mirrored to the canary.")
    analysed_at: MicroTime | None = Field(
        None, description="Time of the last check. The next one is due an interval later."
    )
    next_check_time: Time | None = Field(
        None, description="When the next timed step of a rollout is due. Absent while none is."
    )
    promoted_primary: SavedObject | None = Field(
        None, description="What the primary was promoted to run: if it is deleted, it is rebuilt from this."
    )
    receipt: Receipt | None = Field(
        None, description="What proves the revision that the primary runs. Absent if no rollout has promoted it."
    )
    pending_receipt: _PendingReceipt | None = Field(
        None, description="What will be in the receipt of the rollout that is under way, as far as it is known."
    )
    started_at: MicroTime | None = Field(None, description="When the rollout began that is under way, or was the last.")
    capacity: Integer = Field(
        0, description="Replicas of the primary when the rollout began: its autoscaler keeps them until it has ended."
    )
    begun_at: MicroTime | None = Field(None, description="When the canary took its first step in this rollout.")
    stalled_since: MicroTime | None = Field(
        None, description="Since when the rollout has made no progress; see spec.progressDeadlineSeconds."
    )
    scale_down: Boolean = Field(
        False, description="Whether the target is scaled to zero once the requests under way have ended."
    )
    quiet_since: MicroTime | None = Field(
        None, description="Since when the routes have sent no traffic to a canary that is to be scaled to zero."
    )
    last_served: SavedObject | None = Field(
        None, description="Requests that a canary that is to be scaled to zero had served by the last scrape."
    )
    checks: tuple[CheckStatus, ...] = Field((), description="Results of the metrics at the last check.")
    evidence: Mapping[str, SavedObject] = Field(
        default_factory=dict, description="Evidence of the metrics with compare in this rollout, by metric."
    )
    split: SavedObject | None = Field(
        None, description="The canary's share of the requests lately, against its weights."
    )
    alerted: tuple[str, ...] = Field(
        (), description="What alerts were sent for, and whose end was not announced yet; see spec.analysis.alerts."
    )
    queued_since: MicroTime | None = Field(
        None, description="Since when a new revision waits for other Canaries. Absent while it does not."
    )
    closed_since: MicroTime | None = Field(
        None, description="Since when a webhook has kept the next step from being taken; alerts need it."
    )
    revision: str = Field("", description="Digest of what the target would run: the revision that actions are for.")
    former: tuple[FormerStatus, ...] = Field(
        (), description="What the primary runs and, within spec.rollbackWindow, has run, the last first."
    )
    frozen: Boolean = Field(False, description="Whether the pods of the failed canary are kept until retry or abort.")
    unexplained: Boolean = Field(
        False, description="Whether the controller has yet to ask which requests failed on the canary."
    )
    paused_by: str = Field("", description="Who paused the rollout. Absent while it goes on.")
    aborted_by: str = Field("", description="Who aborted the rollout. Absent once it is rolled back.")
    last_action: ActionStatus | None = Field(None, description="What became of the last action asked for by hand.")
    reason: str = Field("", description="What happened last, or what holds the Canary up, in one word.")
    message: str = Field(
        "",
        description="Why the Canary makes no progress, or which fields are not supported. Absent if all is well.",
    )

    def to_dict(self) -> dict[str, Any]:
        """As Flagger writes it: phase and counters always, other fields only if they are not empty."""
        always = {
            "phase": str(self.phase),
            "failedChecks": self.failed_checks,
            "canaryWeight": self.canary_weight,
            "iterations": self.iterations,
        }
        return always | self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
