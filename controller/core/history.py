"""The record of a rollout, from what the status of its Canary says from version to version.

A pure fold: every replica that watches the Canaries comes to the same record. A version that was missed costs a
sample, no more: a rollout is known by the time at which it began, which the status keeps until the next one begins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from controller.api.canary import Canary
from controller.api.history import Limit, Measured, Outcome, Rollout, Sample
from controller.api.receipt import Override, Verdict
from controller.api.status import CanaryStatus
from controller.core.analysis.findings import Finding, find_all
from controller.core.model import State
from controller.core.rollout.outcomes import find_outcome
from controller.core.rollout.phases import UNDER_WAY
from controller.core.status import state_from_status

MOST_SAMPLES = 100
"""Of one rollout."""
MOST_TEXT = 1000
"""Characters of a message."""

_MOVING = ("phase", "startedAt", "canaryWeight", "mirrored", "iterations", "failedChecks", "analysedAt", "reason")


@dataclass(frozen=True, slots=True)
class Origin:
    """What the status of a Canary does not say of a rollout that begins.

    Attributes:
        images: of the target's containers.
        replaced: those of the primary's.
        by: the field manager that changed the target last; empty where it is not known.
        changed_at: when it did.
    """

    images: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    by: str = ""
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known after one more version of a Canary.

    Attributes:
        superseded: the rollout before, where another one has begun.
        rollout: the one that is under way or was the last; None where there is none to record.
    """

    superseded: Rollout | None = None
    rollout: Rollout | None = None


def has_moved(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> bool:
    """Whether a status, as it is served, may add anything to a record."""
    return before is None or any(before.get(name) != after.get(name) for name in (*_MOVING, "message"))


def see(rollout: Rollout | None, canary: Canary, before: CanaryStatus | None, origin: Origin) -> Seen:
    """Take in one version of a Canary.

    Args:
        rollout: what was known; None where nothing was.
        canary: as it is now.
        before: its status before this version, as far as it was seen.
        origin: of the rollout, where this version begins one.
    """
    status, superseded = canary.status, None
    under_way = status.phase in UNDER_WAY
    started = status.started_at or (rollout.started_at if rollout else status.last_transition_time)
    if started is None:
        return Seen()
    if rollout is not None and rollout.started_at != started:
        superseded = rollout if rollout.outcome else _ended(rollout, Outcome.SUPERSEDED, started)
        rollout = None
    if rollout is None:
        if not under_way:
            return Seen(superseded)
        rollout = _begun(canary, started, before, origin)
    return Seen(superseded, _moved(rollout, canary) if under_way else _over(rollout, canary))


def from_rest(canary: Canary) -> Rollout | None:
    """The last rollout of a Canary at rest, from its status alone: for one whose end was not recorded."""
    started = canary.status.started_at
    if started is None or canary.status.phase in UNDER_WAY:
        return None
    return _over(_begun(canary, started, None, Origin()), canary)


def joined(kept: Rollout, seen: Rollout) -> Rollout:
    """One record of two: the part that was kept before a restart, and what was seen since."""
    samples = {each.at: each for each in (*kept.samples, *seen.samples)}
    update: dict[str, Any] = {
        "number": kept.number,
        "images": seen.images or kept.images,
        "replaced": kept.replaced or seen.replaced,
        "by": kept.by or seen.by,
        "overrides": seen.overrides or kept.overrides,
        "verdicts": seen.verdicts or kept.verdicts,
        "samples": thinned([samples[at] for at in sorted(samples)], MOST_SAMPLES),
    }
    return seen.model_copy(update=update)


def thinned(samples: Sequence[Sample], count: int) -> tuple[Sample, ...]:
    """So many samples of a series, as evenly as its times allow; ends and changes of weight or phase stay longest."""
    left = list(samples)
    while len(left) > max(count, 2):
        left.pop(min(range(1, len(left) - 1), key=lambda index: _worth(left, index)))
    return tuple(left)


def _worth(samples: Sequence[Sample], index: int) -> tuple[bool, float]:
    before, this, after = samples[index - 1 : index + 2]
    turns = (before.phase, before.weight) != (this.phase, this.weight)
    return turns, (after.at - before.at).total_seconds()


def _begun(canary: Canary, started: datetime, before: CanaryStatus | None, origin: Origin) -> Rollout:
    """Whoever changed the target before the rollout before began did not start this one: a config did, or a retry."""
    earlier = before.started_at if before is not None else None
    ours = origin.changed_at is not None and (earlier is None or origin.changed_at >= earlier.replace(microsecond=0))
    return Rollout(
        revision=canary.status.last_applied_spec,
        images=dict(origin.images),
        replaced=dict(origin.replaced),
        started_at=started,
        by=origin.by if ours else "",
    )


def _limits(canary: Canary) -> Iterator[Limit]:
    for metric in canary.spec.analysis.metrics:
        harm = metric.compare.limits if metric.compare else None
        yield Limit(
            name=metric.name,
            minimum=metric.bounds.low if metric.bounds else None,
            maximum=metric.bounds.high if metric.bounds else None,
            harmless=harm.harmless_ratio if harm else None,
            harmful=harm.harmful_ratio if harm else None,
            harmless_margin=harm.harmless_margin if harm else None,
            harmful_margin=harm.harmful_margin if harm else None,
            dry_run=metric.dry_run,
        )


def _moved(rollout: Rollout, canary: Canary) -> Rollout:
    """An analysis that was edited counts as it is now; after the end it does not any more."""
    asked = {"strategy": canary.spec.analysis.strategy.value, "limits": tuple(_limits(canary))}
    return _told(rollout, canary).model_copy(update={"outcome": None, "ended_at": None, **asked})


def _over(rollout: Rollout, canary: Canary) -> Rollout:
    status = canary.status
    outcome = find_outcome(status.phase, status.reason, analysed=status.begun_at is not None)
    ended = rollout.ended_at or status.last_transition_time or rollout.started_at
    return _ended(_told(rollout, canary), rollout.outcome or outcome or Outcome.SUPERSEDED, ended)


def _ended(rollout: Rollout, outcome: Outcome, at: datetime) -> Rollout:
    return rollout.model_copy(update={"outcome": outcome, "ended_at": at.replace(microsecond=0)})


def _told(rollout: Rollout, canary: Canary) -> Rollout:
    """With all that the status says of it now."""
    status, state = canary.status, state_from_status(canary)
    found = list(find_all(canary, state))
    receipts = (status.pending_receipt, status.receipt)
    receipt = next((each for each in receipts if each is not None and each.revision == rollout.revision), None)
    update: dict[str, Any] = {
        "reason": status.reason,
        "message": status.message[:MOST_TEXT],
        "verdicts": tuple(map(_verdict, found)) or rollout.verdicts,
        "samples": _with_sample(rollout, _sample(status, state, found)),
    }
    if receipt is not None:
        overrides = tuple(_short(each) for each in receipt.overrides)
        update |= {"images": receipt.images or rollout.images, "overrides": overrides}
    return rollout.model_copy(update=update)


def _short(override: Override) -> Override:
    return override.model_copy(update={"why": override.why[:MOST_TEXT]})


def _verdict(found: Finding) -> Verdict:
    return Verdict(
        name=found.metric,
        verdict=found.verdict,
        detail=found.detail[:MOST_TEXT],
        value=_finite(found.value),
        requests=found.requests,
        p_value=found.p_value,
        dry_run=found.dry_run,
    )


def _with_sample(rollout: Rollout, sample: Sample) -> tuple[Sample, ...]:
    """The latest word on one moment counts."""
    samples = rollout.samples
    if samples and samples[-1].at >= sample.at:
        return (*samples[:-1], replace(sample, at=samples[-1].at))
    return thinned((*samples, sample), MOST_SAMPLES)


def _sample(status: CanaryStatus, state: State, found: Sequence[Finding]) -> Sample:
    moments = (status.analysed_at, status.last_transition_time, status.started_at)
    at = max(moment for moment in moments if moment is not None)
    return Sample(
        at=at,
        phase=status.phase,
        weight=state.routes.canary_weight,
        observed=status.observed_weight,
        mirrored=state.routes.mirrored,
        step=state.iterations,
        failed_checks=state.failed_checks,
        metrics=tuple(map(_measured, found)),
    )


def _measured(found: Finding) -> Measured:
    low, high = found.interval or (None, None)
    canary, primary = found.sides or (None, None)
    return Measured(
        name=found.metric,
        verdict=found.verdict,
        value=_finite(found.value),
        ratio=_finite(found.ratio),
        low=_finite(low),
        high=_finite(high),
        canary=_finite(canary),
        primary=_finite(primary),
        requests=_finite(found.requests),
    )


def _finite(value: float | None) -> float | None:
    """To four digits: a series has many of them."""
    return float(f"{value:.4g}") if value is not None and math.isfinite(value) else None
