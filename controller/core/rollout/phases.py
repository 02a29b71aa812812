"""The phases of a rollout, and everything that moves a Canary from one to the next.

The theory
==========

A Canary is in exactly one phase, remembered in ``.status.phase`` in Flagger's words. Each tick one policy of `decide`
says what happened, as a `Reason`. The reason decides the phase, by the tables below; no policy names a phase. What is
not in the tables is refused with `IllegalTransition` before anything is written.

There are two kinds of reasons:

- `MOVES`: the rollout goes on, back or over. The table has a row for each phase.
- `HOLDS`: something has to be waited for or fixed. The phase stays, and the message says what to do.

What a person asks for by hand (`ACTIONS`) is no way past these tables: it changes what the policies see (`by_hand`).

A tick without a reason repeats what is true already, so that drift is undone; it keeps the phase and its reason.

Between rollouts all traffic is on the primary, with one exception: a promotion whose primary does not come up ends
as FAILED with all traffic on the canary. Only PROGRESSING and WAITING_PROMOTION give traffic to a canary; PROMOTING
takes it back. FINALISING leaves the requests under way an interval to end. A deletion ends every phase: at once, or
over TERMINATING where there is something to revert.

The diagram in docs/architecture.md is written from `MOVES` (``make generate``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from controller.api.errors import CanaryError
from controller.api.instruction import Verb
from controller.api.status import Phase


class Reason(StrEnum):
    """What happened, or what holds the rollout up; ``status.reason``, beside ``status.message`` in words."""

    # moves
    INITIALIZED = "Initialized"
    STARTED = "Started"
    START_NOT_APPROVED = "StartNotApproved"
    BACK_TO_PROMOTED = "BackToPromoted"
    BACK_TO_FAILED = "BackToFailed"
    REVERTED = "Reverted"
    RESTARTED = "Restarted"
    ANALYSIS_CHANGED = "AnalysisChanged"
    ADVANCED = "Advanced"
    STEP_NOT_APPROVED = "StepNotApproved"
    PROMOTION_NOT_APPROVED = "PromotionNotApproved"
    PROMOTION_STARTED = "PromotionStarted"
    TRAFFIC_RETURNING = "TrafficReturning"
    TRAFFIC_RETURNED = "TrafficReturned"
    PROMOTED = "Promoted"
    ROLLBACK_REQUESTED = "RollbackRequested"
    ABORTED = "Aborted"
    CHECKS_FAILED = "ChecksFailed"
    CANARY_HARMFUL = "CanaryHarmful"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    TARGET_LOST = "TargetLost"
    GROUP_FAILED = "GroupFailed"
    TARGET_CHANGED = "TargetChanged"
    PRIMARY_FAILED = "PrimaryFailed"
    PROMOTION_RESUMED = "PromotionResumed"
    DELETED = "Deleted"
    RELEASED = "Released"

    # holds
    SUSPENDED = "Suspended"
    PAUSED = "Paused"
    NOT_SUPPORTED = "NotSupported"
    NOT_ALLOWED = "NotAllowed"
    OBJECT_TAKEN = "ObjectTaken"
    TARGET_MISSING = "TargetMissing"
    SELECTOR_UNUSABLE = "SelectorUnusable"
    REFERENCES_MISSING = "ReferencesMissing"
    CONFIG_LOST = "ConfigLost"
    TAKEN_OVER = "TakenOver"
    PRIMARY_NOT_READY = "PrimaryNotReady"
    CANARY_NOT_READY = "CanaryNotReady"
    CANARY_SCALED_TO_ZERO = "CanaryScaledToZero"
    CHECK_FAILED = "CheckFailed"
    VALUES_MISSING = "ValuesMissing"
    WARMING_UP = "WarmingUp"
    ROUTES_LATE = "RoutesLate"
    HOOK_PENDING = "HookPending"
    ROLLBACK_BLOCKED = "RollbackBlocked"
    SUPERSEDED = "Superseded"
    DEPENDENCY_NOT_READY = "DependencyNotReady"
    WAITING_FOR_TURN = "WaitingForTurn"
    WAITING_FOR_GROUP = "WaitingForGroup"


_BETWEEN_ROLLOUTS: Mapping[Reason, Phase] = {
    Reason.STARTED: Phase.PROGRESSING,
    Reason.START_NOT_APPROVED: Phase.WAITING,
    Reason.REVERTED: Phase.INITIALIZED,
    Reason.TARGET_CHANGED: Phase.INITIALIZING,
}

_IN_ANALYSIS: Mapping[Reason, Phase] = {
    Reason.ADVANCED: Phase.PROGRESSING,
    Reason.STEP_NOT_APPROVED: Phase.PROGRESSING,
    Reason.PROMOTION_NOT_APPROVED: Phase.WAITING_PROMOTION,
    Reason.PROMOTION_STARTED: Phase.PROMOTING,
    Reason.RESTARTED: Phase.PROGRESSING,
    Reason.ANALYSIS_CHANGED: Phase.PROGRESSING,
    Reason.REVERTED: Phase.INITIALIZED,
    Reason.ROLLBACK_REQUESTED: Phase.FAILED,
    Reason.ABORTED: Phase.FAILED,
    Reason.CHECKS_FAILED: Phase.FAILED,
    Reason.CANARY_HARMFUL: Phase.FAILED,
    Reason.DEADLINE_EXCEEDED: Phase.FAILED,
    Reason.TARGET_LOST: Phase.FAILED,
    Reason.GROUP_FAILED: Phase.FAILED,
    Reason.TARGET_CHANGED: Phase.INITIALIZING,
}

_ROLLOUT: Mapping[Phase, Mapping[Reason, Phase]] = {
    Phase.NEW: {Reason.PRIMARY_NOT_READY: Phase.INITIALIZING, Reason.INITIALIZED: Phase.INITIALIZED},
    Phase.INITIALIZING: {Reason.INITIALIZED: Phase.INITIALIZED},
    Phase.INITIALIZED: _BETWEEN_ROLLOUTS,
    Phase.WAITING: {
        **_BETWEEN_ROLLOUTS,
        Reason.BACK_TO_PROMOTED: Phase.SUCCEEDED,
        Reason.BACK_TO_FAILED: Phase.FAILED,
        Reason.ABORTED: Phase.FAILED,
    },
    Phase.PROGRESSING: _IN_ANALYSIS,
    Phase.WAITING_PROMOTION: _IN_ANALYSIS,
    Phase.PROMOTING: {
        Reason.TRAFFIC_RETURNING: Phase.PROMOTING,
        Reason.TRAFFIC_RETURNED: Phase.FINALISING,
        Reason.RESTARTED: Phase.PROGRESSING,
        Reason.PRIMARY_FAILED: Phase.FAILED,
        Reason.DEADLINE_EXCEEDED: Phase.FAILED,
        Reason.TARGET_LOST: Phase.FAILED,
        Reason.TARGET_CHANGED: Phase.INITIALIZING,
    },
    Phase.FINALISING: {Reason.PROMOTED: Phase.SUCCEEDED, Reason.TARGET_CHANGED: Phase.INITIALIZING},
    Phase.SUCCEEDED: _BETWEEN_ROLLOUTS,
    Phase.FAILED: {
        **_BETWEEN_ROLLOUTS,
        Reason.PROMOTION_RESUMED: Phase.FINALISING,
        Reason.TARGET_LOST: Phase.FAILED,
    },
}

_DELETION: Mapping[Reason, Phase] = {Reason.DELETED: Phase.TERMINATING, Reason.RELEASED: Phase.TERMINATED}

MOVES: Mapping[Phase, Mapping[Reason, Phase]] = {
    **{phase: {**row, **_DELETION} for phase, row in _ROLLOUT.items()},
    Phase.TERMINATING: {Reason.RELEASED: Phase.TERMINATED},
    Phase.TERMINATED: {},
}
"""What moves a Canary: phase, and what happened -> the next phase."""

ANALYSIS = frozenset({Phase.PROGRESSING, Phase.WAITING_PROMOTION})
UNDER_WAY = ANALYSIS | {Phase.PROMOTING, Phase.FINALISING}
"""From the start of a rollout to its end."""
_IDLE = frozenset({Phase.INITIALIZED, Phase.WAITING, Phase.SUCCEEDED, Phase.FAILED})
_ALL = frozenset(Phase) - {Phase.TERMINATING, Phase.TERMINATED}

HOLDS: Mapping[Reason, frozenset[Phase]] = {
    Reason.SUSPENDED: _ALL,
    Reason.PAUSED: ANALYSIS,
    Reason.NOT_SUPPORTED: _ALL,
    Reason.NOT_ALLOWED: _ALL,
    Reason.OBJECT_TAKEN: _ALL,
    Reason.TARGET_MISSING: _ALL,
    Reason.SELECTOR_UNUSABLE: _ALL,
    Reason.REFERENCES_MISSING: _ALL - {Phase.FINALISING},
    Reason.CONFIG_LOST: _ALL,
    Reason.TAKEN_OVER: _IDLE | ANALYSIS | {Phase.PROMOTING},
    Reason.PRIMARY_NOT_READY: _IDLE | ANALYSIS | {Phase.INITIALIZING, Phase.PROMOTING},
    Reason.CANARY_NOT_READY: ANALYSIS | {Phase.TERMINATING},
    Reason.CANARY_SCALED_TO_ZERO: ANALYSIS,
    Reason.CHECK_FAILED: ANALYSIS,
    Reason.VALUES_MISSING: ANALYSIS,
    Reason.WARMING_UP: ANALYSIS,
    Reason.ROUTES_LATE: ANALYSIS,
    Reason.HOOK_PENDING: ANALYSIS,
    Reason.ROLLBACK_BLOCKED: ANALYSIS | {Phase.PROMOTING},
    Reason.SUPERSEDED: ANALYSIS | {Phase.FAILED, Phase.PROMOTING},
    Reason.DEPENDENCY_NOT_READY: _IDLE,
    Reason.WAITING_FOR_TURN: _IDLE,
    Reason.WAITING_FOR_GROUP: ANALYSIS,
}
"""What a Canary waits for, and in which phases it may."""


TURNS = (Reason.DEPENDENCY_NOT_READY, Reason.WAITING_FOR_TURN)
"""Holds of a start that wait for other Canaries; whoever waits for nothing else keeps its place in the order."""

ACTIONS: Mapping[Verb, frozenset[Phase]] = {
    Verb.PROMOTE: ANALYSIS,
    Verb.PROMOTE_FULLY: ANALYSIS,
    Verb.PAUSE: ANALYSIS,
    Verb.RESUME: ANALYSIS,
    Verb.ABORT: ANALYSIS | {Phase.WAITING, Phase.FAILED},
    Verb.RETRY: frozenset({Phase.FAILED}),
    Verb.APPROVE: ANALYSIS | {Phase.WAITING},
    Verb.WEIGHT: ANALYSIS,
}
"""What a person can ask for, and in which phases; elsewhere it is refused."""


class IllegalTransition(CanaryError):  # noqa: N818  # what is wrong is the transition
    """A policy says that something happened which cannot happen in this phase: a bug; nothing was changed."""

    def __init__(self, phase: Phase, reason: Reason) -> None:
        super().__init__(f"{reason} cannot happen in phase {phase or 'New'}: see controller/core/rollout/phases.py")


def next_phase(phase: Phase, reason: Reason) -> Phase:
    """The phase after ``reason`` happened in ``phase``.

    Raises:
        IllegalTransition: the tables do not have it.
    """
    if reason in MOVES[phase]:
        return MOVES[phase][reason]
    if phase in HOLDS.get(reason, ()):
        return phase
    raise IllegalTransition(phase, reason)


def draw_phases() -> str:
    """`MOVES` as a Mermaid diagram; without moves that stay in their phase, and without deletion."""
    return "\n".join(("stateDiagram-v2", *_arrows()))


def _arrows() -> Iterator[str]:
    for phase, row in MOVES.items():
        for following in dict.fromkeys(row.values()):
            reasons = [reason.value for reason, to in row.items() if to is following]
            if following not in (phase, Phase.TERMINATING, Phase.TERMINATED):
                yield f"    {phase or '[*]'} --> {following}: {', '.join(reasons)}"
