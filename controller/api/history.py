"""The history of a Canary: its last rollouts, each with its outcome and a short series of what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass

from controller.api.base import Boolean, Integer, MicroTime, Number, Observed, StringMap, Time
from controller.api.receipt import Override, Verdict
from controller.api.status import Phase

_SMALL = ConfigDict(
    alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True, extra="ignore"
)
"""As `Observed`, for what there are many of: a model takes five times the memory of a class with slots."""


class Outcome(StrEnum):
    """How a rollout has ended."""

    PROMOTED = "promoted"
    SKIPPED = "skipped"
    """Promoted without an analysis."""
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    REVERTED = "reverted"
    """The target went back to what the primary runs."""
    SUPERSEDED = "superseded"
    """Another revision, or another target, came in between."""
    PROMOTION_FAILED = "promotion_failed"

    @property
    def words(self) -> str:
        return self.value.replace("_", " ")


class Limit(Observed):
    """What a metric was judged by."""

    name: str = Field(description="Name of the metric.")
    minimum: Number | None = Field(None, description="Lowest value that passes.")
    maximum: Number | None = Field(None, description="Highest value that passes.")
    harmless: Number | None = Field(None, description="Of a comparison: up to so many times the primary's is no harm.")
    harmful: Number | None = Field(None, description="Of a comparison: from so many times the primary's is harm.")
    harmless_margin: Number | None = Field(None, description="What is added to that, in percentage points.")
    harmful_margin: Number | None = Field(None, description="What is added to that, in percentage points.")
    dry_run: Boolean = Field(False, description="Whether the metric decided nothing.")


@dataclass(frozen=True, slots=True, kw_only=True, config=_SMALL)
class Measured:
    """What a metric said at one moment."""

    name: str = Field(description="Name of the metric.")
    verdict: str = Field(default="", description="passed or failed; of a comparison PASS, FAIL or INCONCLUSIVE.")
    value: Number | None = Field(default=None, description="Measured value of a threshold.")
    ratio: Number | None = Field(
        default=None, description="Of a comparison: how many times the primary's the canary's was."
    )
    low: Number | None = Field(default=None, description="Lower end of the interval of the ratio.")
    high: Number | None = Field(default=None, description="Upper end of it. Absent if it has none.")
    canary: Number | None = Field(
        default=None, description="Of a comparison: the canary's bad part (0 to 1), or its value."
    )
    primary: Number | None = Field(default=None, description="The same of the primary.")
    requests: Number | None = Field(default=None, description="Requests of the canary that counted so far.")


@dataclass(frozen=True, slots=True, kw_only=True, config=_SMALL)
class Sample:
    """A rollout at one moment."""

    at: Time = Field(description="When.")
    phase: Phase = Field(description="Phase of the rollout.")
    weight: Integer = Field(default=0, description="Traffic weight of the canary that was set, in percent.")
    observed: Number | None = Field(default=None, description="Percent of the requests that it had.")
    mirrored: Boolean = Field(default=False, description="Whether traffic was mirrored to it.")
    step: Integer = Field(default=0, description="Rounds done, where the analysis has rounds.")
    failed_checks: Integer = Field(default=0, description="Failed checks so far.")
    metrics: tuple[Measured, ...] = Field(default=(), description="What the metrics said.")


class Rollout(Observed):
    """One rollout of one revision."""

    number: Integer = Field(0, description="Counts the rollouts of a Canary from 1. 0 while it is not known.")
    revision: str = Field(description="Digest as in lastAppliedSpec.")
    images: StringMap = Field(default_factory=dict, description="Images of the canary, by container.")
    replaced: StringMap = Field(default_factory=dict, description="Images of the primary when it began, by container.")
    strategy: str = Field("", description="Strategy of the analysis, as in the metrics of the controller.")
    started_at: MicroTime = Field(description="When it began.")
    ended_at: Time | None = Field(None, description="When it ended. Absent while it is under way.")
    outcome: Outcome | None = Field(None, description="How it ended. Absent while it is under way.")
    reason: str = Field("", description="What happened last, in one word.")
    message: str = Field("", description="The same in words.")
    by: str = Field(
        "",
        description="Field manager that changed the target. Absent if something else changed, or if it is not known.",
    )
    overrides: tuple[Override, ...] = Field((), description="What made it other than its spec has it.")
    limits: tuple[Limit, ...] = Field((), description="What its metrics were judged by.")
    verdicts: tuple[Verdict, ...] = Field((), description="What its metrics have come to.")
    samples: tuple[Sample, ...] = Field((), description="Its course, the first first; thinned if it was long.")

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it is under way."""
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; what is empty is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)


History = tuple[Rollout, ...]
"""The rollouts of a Canary, the oldest first."""


def read_rollouts(data: Mapping[str, str]) -> History:
    """The rollouts in the ``data`` of a history's ConfigMap, by number; one that is damaged is left out."""
    return tuple(found for number in numbers(data) if (found := read_rollout(data[str(number)])) is not None)


def read_rollout(text: str) -> Rollout | None:
    """One rollout of a history's ConfigMap; None if it is damaged."""
    try:
        return Rollout.model_validate_json(text)
    except ValueError:
        return None


def numbers(data: Mapping[str, str]) -> list[int]:
    """The numbers of the rollouts in a history's ConfigMap, in order."""
    return sorted(int(key) for key in data if key.isascii() and key.isdigit())
