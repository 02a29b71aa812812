"""The conditions of a Canary: what tools read that do not know its phases.

- ``Promoted`` is Flagger's: its reason is the phase, its status the outcome of the rollout.
- ``Ready``: the primary runs what the target asks for, and nothing is under way or held up.
- ``Progressing``: something is under way that goes on by itself.
- ``Stalled``, only while it is true: nothing goes on until somebody changes something.

``kubectl wait --for=condition=Ready`` needs no more. kstatus takes Stalled for Failed, Ready for Current, and all else
for InProgress (https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Literal, TypeAlias

from controller.api.canary import Canary
from controller.api.status import CanaryStatus, Condition, Phase
from controller.core.analysis.checks import inconclusive
from controller.core.model import State
from controller.core.rollout.phases import Reason

Answer: TypeAlias = Literal["True", "False", "Unknown"]

PROMOTED, READY, PROGRESSING, STALLED = "Promoted", "Ready", "Progressing", "Stalled"
NOT_RECONCILED, INVALID = "NotReconciled", "Invalid"
"""Reasons of a Canary that could not be looked at to the end: what it asks for could not be written, or not be read."""

CONDITION_MESSAGES: Mapping[Phase, str] = {
    Phase.INITIALIZING: "New {kind} detected, starting initialization.",
    Phase.INITIALIZED: "{kind} initialization completed.",
    Phase.WAITING: "Waiting for approval.",
    Phase.PROGRESSING: "New revision detected, progressing canary analysis.",
    Phase.WAITING_PROMOTION: "Waiting for approval.",
    Phase.PROMOTING: "Canary analysis completed, starting primary rolling update.",
    Phase.FINALISING: "Canary analysis completed, routing all traffic to primary.",
    Phase.SUCCEEDED: "Canary analysis completed successfully, promotion finished.",
    Phase.FAILED: "Canary analysis failed, {kind} scaled to zero.",
    Phase.TERMINATING: "Deletion requested, reverting to the {kind}.",
}

FROZEN = "Canary analysis failed, {kind} kept until retry or abort."
WITHOUT_PROOF = "Promotion finished without proof:"

_OUTCOMES: Mapping[Phase, Answer] = {
    Phase.INITIALIZED: "True",
    Phase.SUCCEEDED: "True",
    Phase.FAILED: "False",
}


class Standing(Enum):
    """How a Canary stands, as its conditions Ready, Progressing and Stalled have it."""

    DONE = ("True", "False", "False")
    GOES_ON = ("False", "True", "False")
    WAITS = ("False", "False", "False")
    """For a person's word, or for another object."""
    STUCK = ("False", "False", "True")


_PHASES: Mapping[Phase, Standing] = {
    Phase.NEW: Standing.GOES_ON,
    Phase.INITIALIZING: Standing.GOES_ON,
    Phase.INITIALIZED: Standing.DONE,
    Phase.WAITING: Standing.WAITS,
    Phase.PROGRESSING: Standing.GOES_ON,
    Phase.WAITING_PROMOTION: Standing.WAITS,
    Phase.PROMOTING: Standing.GOES_ON,
    Phase.FINALISING: Standing.GOES_ON,
    Phase.SUCCEEDED: Standing.DONE,
    Phase.FAILED: Standing.STUCK,
    Phase.TERMINATING: Standing.GOES_ON,
    Phase.TERMINATED: Standing.GOES_ON,
}
"""Where nothing holds it up."""

_REASONS: Mapping[str, Standing] = {
    Reason.STEP_NOT_APPROVED: Standing.WAITS,
    Reason.SUSPENDED: Standing.WAITS,
    Reason.PAUSED: Standing.WAITS,
    Reason.NOT_SUPPORTED: Standing.STUCK,
    Reason.NOT_ALLOWED: Standing.STUCK,
    Reason.OBJECT_TAKEN: Standing.STUCK,
    Reason.TARGET_MISSING: Standing.WAITS,  # who applies several objects at once may apply it later
    Reason.SELECTOR_UNUSABLE: Standing.STUCK,
    Reason.REFERENCES_MISSING: Standing.WAITS,
    Reason.CONFIG_LOST: Standing.STUCK,
    Reason.TAKEN_OVER: Standing.GOES_ON,
    Reason.PRIMARY_NOT_READY: Standing.GOES_ON,
    Reason.CANARY_NOT_READY: Standing.GOES_ON,
    Reason.CANARY_SCALED_TO_ZERO: Standing.GOES_ON,
    Reason.CHECK_FAILED: Standing.GOES_ON,
    Reason.VALUES_MISSING: Standing.GOES_ON,
    Reason.WARMING_UP: Standing.GOES_ON,
    Reason.ROUTES_LATE: Standing.GOES_ON,
    Reason.HOOK_PENDING: Standing.GOES_ON,
    Reason.ROLLBACK_BLOCKED: Standing.STUCK,
    Reason.SUPERSEDED: Standing.GOES_ON,
    Reason.DEPENDENCY_NOT_READY: Standing.WAITS,
    Reason.WAITING_FOR_TURN: Standing.WAITS,
    Reason.WAITING_FOR_GROUP: Standing.GOES_ON,
}
"""Every hold, whatever the phase; and the one gate that keeps a Canary in a phase which goes on otherwise."""


def standing(state: State) -> Standing:
    """How a Canary stands; one that is suspended at rest, with no new revision, is as it was."""
    by_phase = _PHASES[state.phase]
    rests = by_phase in (Standing.DONE, Standing.STUCK) and state.revision == state.applied
    return by_phase if rests and state.reason == Reason.SUSPENDED else _REASONS.get(state.reason, by_phase)


def outcome(canary: Canary, state: State) -> str:
    """The phase in a sentence, as the condition has it: Flagger's, or what a promotion has left unproven."""
    unproven = inconclusive(canary, state) if state.phase is Phase.SUCCEEDED and not canary.spec.skip_analysis else ()
    if unproven:
        return f"{WITHOUT_PROOF} {'; '.join(unproven)}"
    said = FROZEN if state.frozen else CONDITION_MESSAGES.get(state.phase, "")
    return said.format(kind=canary.spec.target_ref.kind)


def without_proof(status: CanaryStatus) -> str:
    """What the last promotion left unproven, in words; empty if nothing, or before it."""
    said = [condition.message for condition in status.conditions if condition.reason == Phase.SUCCEEDED]
    return next((message for message in said if message.startswith(WITHOUT_PROOF)), "")


def conditions_of(canary: Canary, state: State, now: datetime) -> tuple[Condition, ...]:
    """The conditions in ``state``, with those of others; times move with what they are about.

    What the end of a rollout said stays: an analysis that is edited later does not change what was proven.
    """
    found = {each.type: each for each in canary.status.conditions}
    told = found.get(PROMOTED)
    frozen = FROZEN.format(kind=canary.spec.target_ref.kind)
    if state.phase is not Phase.NEW and (
        told is None or told.reason != state.phase or (told.message == frozen) != state.frozen
    ):
        answer = _OUTCOMES.get(state.phase, "Unknown")
        told = _put(found, now, PROMOTED, answer, (state.phase.value, outcome(canary, state)))
    why = state.reason or state.phase.value or "New", state.message or (told.message if told else "")
    return _with_standing(found, now, standing(state), why)


def reported(status: CanaryStatus, problem: str, now: datetime, *, invalid: bool) -> tuple[Condition, ...]:
    """The conditions of a Canary that could not be looked at to the end; one that is invalid waits for an edit."""
    found = {each.type: each for each in status.conditions}
    stands, reason = (Standing.STUCK, INVALID) if invalid else (Standing.WAITS, NOT_RECONCILED)
    return _with_standing(found, now, stands, (reason, problem))


def _with_standing(
    found: dict[str, Condition], now: datetime, stands: Standing, why: tuple[str, str]
) -> tuple[Condition, ...]:
    answers: tuple[Answer, Answer, Answer] = stands.value
    for name, answer in zip((READY, PROGRESSING, STALLED), answers, strict=True):
        if name == STALLED and answer == "False":
            found.pop(name, None)
        else:
            _put(found, now, name, answer, why)
    return tuple(found.values())


def _put(found: dict[str, Condition], now: datetime, name: str, answer: Answer, why: tuple[str, str]) -> Condition:
    """The condition of this name, for a reason and with a message."""
    old, second = found.get(name), now.replace(microsecond=0)
    if old is None or (old.status, old.reason, old.message) != (answer, *why):
        since = old.last_transition_time if old is not None and old.status == answer else second
        reason, message = why
        found[name] = Condition(
            type=name,
            status=answer,
            reason=reason,
            message=message,
            last_update_time=second,
            last_transition_time=since,
        )
    return found[name]
