"""``State`` to and from a Canary's ``.status``, in Flagger's words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from controller.api.canary import Canary
from controller.api.status import ActionStatus, CanaryStatus, CheckStatus, Condition, FormerStatus, Phase
from controller.core.analysis.checks import inconclusive
from controller.core.analysis.comparisons import still_asked
from controller.core.evidence.split import Split
from controller.core.model import Answered, Check, Cookies, Evidence, Former, Routes, State

PROMOTED = "Promoted"

CONDITION_MESSAGES: Mapping[Phase, str] = {
    Phase.INITIALIZING: "New Deployment detected, starting initialization.",
    Phase.INITIALIZED: "Deployment initialization completed.",
    Phase.WAITING: "Waiting for approval.",
    Phase.PROGRESSING: "New revision detected, progressing canary analysis.",
    Phase.WAITING_PROMOTION: "Waiting for approval.",
    Phase.PROMOTING: "Canary analysis completed, starting primary rolling update.",
    Phase.FINALISING: "Canary analysis completed, routing all traffic to primary.",
    Phase.SUCCEEDED: "Canary analysis completed successfully, promotion finished.",
    Phase.FAILED: "Canary analysis failed, Deployment scaled to zero.",
    Phase.TERMINATING: "Deletion requested, reverting to the Deployment.",
}

FROZEN = "Canary analysis failed, Deployment kept until retry or abort."
WITHOUT_PROOF = "Promotion finished without proof:"

_OUTCOMES: Mapping[Phase, Literal["True", "False"]] = {
    Phase.INITIALIZED: "True",
    Phase.SUCCEEDED: "True",
    Phase.FAILED: "False",
}

_EVIDENCE = TypeAdapter(
    dict[str, Evidence], config=ConfigDict(alias_generator=to_camel, allow_inf_nan=False, extra="forbid")
)
_SPLIT = TypeAdapter(Split)


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
        begun_at=status.begun_at,
        stalled_since=status.stalled_since,
        scale_down=status.scale_down,
        quiet_since=status.quiet_since,
        checks=tuple(
            Check(check.name, check.passed, check.value, check.detail, check.dry_run) for check in status.checks
        ),
        evidence=_evidence_of(canary),
        split=_split_of(status),
        alerted=status.alerted,
        closed_since=status.closed_since,
        revision=status.revision,
        former=tuple(Former(each.revision, each.until) for each in status.former),
        frozen=status.frozen,
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
            comparison = _EVIDENCE.validate_python({metric.name: saved})[metric.name]
        except ValidationError:
            continue
        if still_asked(canary, metric, comparison):
            evidence[metric.name] = comparison
    return evidence


def _answered_of(status: CanaryStatus) -> Answered | None:
    last = status.last_action
    return Answered(last.text, last.nonce, last.by, last.refused) if last else None


def _split_of(status: CanaryStatus) -> Split | None:
    try:
        return _SPLIT.validate_python(status.split) if status.split else None
    except ValidationError:
        return None


def status_from_state(state: State, canary: Canary, now: datetime) -> CanaryStatus:
    """The status that remembers ``state``; equal to ``canary.status`` when nothing changed.

    Fields that the core does not use are kept as they are.
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
            "last_transition_time": state.transitioned_at.replace(microsecond=0) if state.transitioned_at else None,
            "promoted_primary": state.record,
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
            "evidence": _EVIDENCE.dump_python(dict(state.evidence), mode="json", by_alias=True, exclude_none=True),
            "split": _SPLIT.dump_python(state.split, mode="json", by_alias=True) if state.split else None,
            "alerted": state.alerted,
            "closed_since": state.closed_since,
            "revision": state.revision,
            "former": tuple(FormerStatus(revision=each.revision, until=each.until) for each in state.former),
            "frozen": state.frozen,
            "paused_by": state.paused,
            "aborted_by": state.aborted,
            "last_action": ActionStatus(**asdict(state.answered)) if state.answered else None,
            "reason": state.reason,
            "message": state.message,
            "observed_generation": canary.metadata.generation,
            "conditions": _conditions(state.phase, outcome(canary, state), canary.status.conditions, now),
        }
    )


def _finite(value: float | None) -> float | None:
    """JSON has no infinity; ``detail`` says it in words."""
    return value if value is not None and math.isfinite(value) else None


def outcome(canary: Canary, state: State) -> str:
    """The phase in a sentence, as the condition has it: Flagger's, or what a promotion has left unproven."""
    if state.frozen:
        return FROZEN
    unproven = inconclusive(canary, state) if state.phase is Phase.SUCCEEDED and not canary.spec.skip_analysis else ()
    return f"{WITHOUT_PROOF} {'; '.join(unproven)}" if unproven else CONDITION_MESSAGES.get(state.phase, "")


def without_proof(status: CanaryStatus) -> str:
    """What the last promotion left unproven, in words; empty if nothing, or before it."""
    said = [condition.message for condition in status.conditions if condition.reason == Phase.SUCCEEDED]
    return next((message for message in said if message.startswith(WITHOUT_PROOF)), "")


def _conditions(phase: Phase, message: str, before: tuple[Condition, ...], now: datetime) -> tuple[Condition, ...]:
    """The one condition, untouched while its phase lasts; a Canary without a phase has none."""
    if phase is Phase.NEW:
        return before
    old = next((condition for condition in before if condition.type == PROMOTED), None)
    if old is not None and old.reason == phase:
        return before
    status, second = _OUTCOMES.get(phase, "Unknown"), now.replace(microsecond=0)
    new = Condition(
        type=PROMOTED,
        status=status,
        reason=phase.value,
        message=message,
        last_update_time=second,
        last_transition_time=old.last_transition_time if old is not None and old.status == status else second,
    )
    return (*(condition for condition in before if condition.type != PROMOTED), new)
