"""``State`` to and from a Canary's ``.status``, in Flagger's words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from controller.api.canary import Canary
from controller.api.durations import DEFAULT_INTERVAL_FLOOR_SECONDS
from controller.api.status import ActionStatus, CanaryStatus, CheckStatus, FormerStatus
from controller.core.analysis.comparisons import still_asked
from controller.core.evidence.split import Served, Split
from controller.core.model import Answered, Check, Cookies, Evidence, Former, Routes, State
from controller.core.rollout.conditions import conditions_of, reported
from controller.core.rollout.phases import ANALYSIS, HOLDS, Reason

_TIMED = (Reason.START_NOT_APPROVED, Reason.TRAFFIC_RETURNING)
"""Timed steps outside of the analysis."""
_CHECKED = (
    Reason.CHECK_FAILED,
    Reason.VALUES_MISSING,
    Reason.WARMING_UP,
    Reason.HOOK_PENDING,
    Reason.CONFIG_LOST,
    Reason.WAITING_FOR_GROUP,
)
"""Holds in which checks are made even while the canary has no traffic."""
T = TypeVar("T")

_EVIDENCE = TypeAdapter(
    dict[str, Evidence], config=ConfigDict(alias_generator=to_camel, allow_inf_nan=False, extra="forbid")
)
_SAVED = "saved"
"""The key of evidence; what was saved before had its fields in its place."""
_SPLIT = TypeAdapter(Split)
_SERVED = TypeAdapter(Served)


def state_from_status(canary: Canary) -> State:
    """What the status of a Canary remembers; evidence that is damaged or answers another question is left out."""
    status = canary.status
    return State(
        phase=status.phase,
        routes=Routes(status.canary_weight, status.mirrored),
        cookies=Cookies(
            canary=status.session_affinity_cookie,
            primary=status.primary_session_affinity_cookie,
            previous=status.previous_session_affinity_cookie,
        ),
        iterations=status.iterations,
        failed_checks=status.failed_checks,
        applied=status.last_applied_spec,
        promoted=status.last_promoted_spec,
        tracked_configs=dict(status.tracked_configs),
        analysed_at=status.analysed_at,
        transitioned_at=status.last_transition_time,
        record=status.promoted_primary,
        receipt=status.receipt,
        pending_receipt=status.pending_receipt,
        started_at=status.started_at,
        capacity=status.capacity,
        begun_at=status.begun_at,
        stalled_since=status.stalled_since,
        scale_down=status.scale_down,
        quiet_since=status.quiet_since,
        last_served=_readable(_SERVED, status.last_served),
        checks=tuple(
            Check(check.name, check.passed, check.value, check.detail, check.dry_run) for check in status.checks
        ),
        evidence=_evidence_of(canary),
        split=_readable(_SPLIT, status.split),
        alerted=status.alerted,
        queued_since=status.queued_since,
        closed_since=status.closed_since,
        revision=status.revision,
        former=tuple(Former(each.revision, each.until) for each in status.former),
        frozen=status.frozen,
        unexplained=status.unexplained,
        paused=status.paused_by,
        aborted=status.aborted_by,
        answered=_answered_of(status),
        reason=status.reason,
        message=status.message,
    )


def _evidence_of(canary: Canary) -> dict[str, Evidence]:
    """A ``compare`` that was edited, or a version that saved evidence in another form, starts again."""
    evidence: dict[str, Evidence] = {}
    for metric in canary.spec.analysis.metrics:
        saved = canary.status.evidence.get(metric.name)
        if metric.compare is None or saved is None:
            continue
        try:
            text = saved.get(_SAVED)
            read = _EVIDENCE.validate_python({metric.name: saved}) if text is None else _EVIDENCE.validate_json(text)
            comparison = read[metric.name]
        except (ValidationError, KeyError):
            continue
        if still_asked(canary, metric, comparison):
            evidence[metric.name] = comparison
    return evidence


def _saved(evidence: dict[str, Evidence]) -> dict[str, str]:
    """As one text: as numbers each would be a line of ``kubectl describe``, a hundred for a metric."""
    return {_SAVED: _EVIDENCE.dump_json(evidence, by_alias=True, exclude_none=True).decode()}


def _answered_of(status: CanaryStatus) -> Answered | None:
    last = status.last_action
    return Answered(last.text, last.nonce, last.by, last.refused) if last else None


def _readable(kind: TypeAdapter[T], saved: Mapping[str, object] | None) -> T | None:
    """What was saved, unless it is damaged or of another version."""
    try:
        return kind.validate_python(saved) if saved else None
    except ValidationError:
        return None


def status_from_state(
    state: State, canary: Canary, now: datetime, minimum_interval: float = DEFAULT_INTERVAL_FLOOR_SECONDS
) -> CanaryStatus:
    """The status that remembers ``state``; equal to ``canary.status`` when nothing changed.

    Fields that the core does not use are kept as they are. ``minimum_interval`` is that of `Options`, in seconds.
    """
    return canary.status.model_copy(
        update={
            "phase": state.phase,
            "canary_weight": state.routes.canary_weight,
            "mirrored": state.routes.mirrored,
            "session_affinity_cookie": state.cookies.canary,
            "primary_session_affinity_cookie": state.cookies.primary,
            "previous_session_affinity_cookie": state.cookies.previous,
            "iterations": state.iterations,
            "failed_checks": state.failed_checks,
            "last_applied_spec": state.applied,
            "last_promoted_spec": state.promoted,
            "tracked_configs": dict(state.tracked_configs),
            "analysed_at": state.analysed_at,
            "next_check_time": _next_check(state, canary.spec.analysis.tick_seconds(minimum_interval)),
            "last_transition_time": state.transitioned_at.replace(microsecond=0) if state.transitioned_at else None,
            "promoted_primary": state.record,
            "receipt": state.receipt,
            "pending_receipt": state.pending_receipt,
            "started_at": state.started_at,
            "capacity": state.capacity,
            "begun_at": state.begun_at,
            "stalled_since": state.stalled_since,
            "scale_down": state.scale_down,
            "quiet_since": state.quiet_since,
            "checks": tuple(
                CheckStatus(
                    name=check.name,
                    passed=check.passed,
                    value=_finite(check.value),
                    detail=check.detail,
                    dry_run=check.dry_run,
                )
                for check in state.checks
            ),
            "evidence": {name: _saved({name: each}) for name, each in state.evidence.items()},
            "split": _SPLIT.dump_python(state.split, mode="json", exclude_none=True) if state.split else None,
            "observed_weight": state.split.observed if state.split and state.routes.canary_weight else None,
            "last_served": _SERVED.dump_python(state.last_served) if state.last_served else None,
            "alerted": state.alerted,
            "queued_since": state.queued_since,
            "closed_since": state.closed_since,
            "revision": state.revision,
            "former": tuple(FormerStatus(revision=each.revision, until=each.until) for each in state.former),
            "frozen": state.frozen,
            "unexplained": state.unexplained,
            "paused_by": state.paused,
            "aborted_by": state.aborted,
            "last_action": ActionStatus(**asdict(state.answered)) if state.answered else None,
            "reason": state.reason,
            "message": state.message,
            "observed_generation": canary.metadata.generation,
            "conditions": conditions_of(canary, state, now),
        }
    )


def report(status: Mapping[str, Any], problem: str, now: datetime, *, generation: int, invalid: bool) -> dict[str, Any]:
    """The status of a Canary that could not be looked at to the end: as it was, and with what is in the way.

    It has no turn, which others could use, and no next check. A rollout that is held up counts towards
    ``progressDeadlineSeconds`` from the first report on.
    """
    try:
        known = CanaryStatus.model_validate({"conditions": status.get("conditions") or ()})
    except ValidationError:
        known = CanaryStatus()
    told = CanaryStatus(
        observed_generation=generation,
        stalled_since=now,
        message=problem,
        conditions=reported(known, problem, now, invalid=invalid),
    ).to_dict()
    changed: dict[str, Any] = {
        each: told[each] for each in ("observedGeneration", "message", "conditions") if each in told
    }
    kept = {name: value for name, value in status.items() if name not in ("nextCheckTime", "queuedSince")}
    return {"stalledSince": told["stalledSince"], **kept, **changed}


def _next_check(state: State, interval: float) -> datetime | None:
    """When the next timed step is due; None if none is: before the first, at rest, and if held up without traffic."""
    held = state.reason in HOLDS and state.reason not in _CHECKED and state.routes == Routes()
    timed = state.reason in _TIMED or (state.phase in ANALYSIS and not held)
    due = state.analysed_at + timedelta(seconds=interval) if state.analysed_at and timed else None
    return due and due.replace(microsecond=0)


def _finite(value: float | None) -> float | None:
    """JSON has no infinity; ``detail`` says it in words."""
    return value if value is not None and math.isfinite(value) else None
