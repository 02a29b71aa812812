"""The receipt of a rollout: what the primary runs, and what proves that it may; other stacks ask for it."""

from __future__ import annotations

from pydantic import Field

from controller.api.base import Boolean, Number, Observed, StringMap, Time

SKIPS = ("skipAnalysis", "promote-fully", "rollbackWindow", "takenOver")
"""What makes a promotion one without an analysis, as in `Override.what`."""


class Override(Observed):
    """What made a rollout other than its spec has it."""

    what: str = Field(
        description="skipAnalysis, rollbackWindow, takenOver (Flagger began it), promotion (the "
        "stack had no proof of it), or the action that a person asked for."
    )
    by: str = Field("", description="Who did it. Absent if nobody did.")
    why: str = Field("", description="The reason given. Absent if none was.")

    def __str__(self) -> str:
        """As in ``promote-fully by alice``."""
        return f"{self.what} by {self.by}" if self.by else self.what


class Verdict(Observed):
    """What a metric has come to, at the last look before the promotion."""

    name: str = Field(description="Name of the metric.")
    verdict: str = Field(description="passed or failed; of a comparison PASS, FAIL or INCONCLUSIVE.")
    detail: str = Field("", description="The same in words.")
    value: Number | None = Field(None, description="Measured value of a threshold.")
    requests: Number | None = Field(None, description="Requests of the canary that a comparison has counted.")
    p_value: Number | None = Field(None, description="Of a comparison: p of a canary that is no worse; 1 is no sign.")
    dry_run: Boolean = Field(False, description="Whether the metric decided nothing.")


class Receipt(Observed):
    """Of one revision."""

    revision: str = Field(description="Digest as in lastPromotedSpec.")
    images: StringMap = Field(default_factory=dict, description="Images as the pod template has them, by container.")
    image_ids: StringMap = Field(
        default_factory=dict,
        description="The images that the canary's pods ran, by container, as their nodes resolved them. Absent where "
        "they could not be read, or differed from pod to pod.",
    )
    pod_template: str = Field("", description="Digest of the target's pod template.")
    configs: StringMap = Field(
        default_factory=dict, description="Digests of its ConfigMaps and Secrets, by configmap/NAME or secret/NAME."
    )
    analysis: str = Field("", description="Digest of spec.analysis.")
    verdicts: tuple[Verdict, ...] = Field((), description="What the metrics have come to.")
    overrides: tuple[Override, ...] = Field((), description="What made the rollout other than its spec has it.")
    skipped: str = Field("", description="Why there was no analysis. Absent if there was one.")
    promoted_at: Time | None = Field(None, description="When it had been promoted. Absent before.")
