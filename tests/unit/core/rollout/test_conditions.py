"""The conditions: how tools read a Canary in every phase, whatever has happened or holds it up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from controller.api.parse import parse_canary
from controller.api.status import Phase
from controller.core.model import State
from controller.core.rollout.conditions import conditions_of
from controller.core.rollout.phases import HOLDS, MOVES, Reason
from controller.core.status import report, status_from_state
from tests.builders import NOW, canary_manifest, make_canary

PHASES = tuple(Phase)
"""The columns of the table: New, Initializing, Initialized, Waiting, Progressing, WaitingPromotion, Promoting,
Finalising, Succeeded, Failed, Terminating, Terminated."""

TABLE = """
Initialized           ..R.........
Started               ....P.......
StartNotApproved      ...W........
BackToPromoted        ........R...
BackToFailed          .........S..
Reverted              ..R.........
Restarted             ....P.......
AnalysisChanged       ....P.......
Advanced              ....P.......
StepNotApproved       ....W.......
PromotionNotApproved  .....W......
PromotionStarted      ......P.....
TrafficReturning      ......P.....
TrafficReturned       .......P....
Promoted              ........R...
RollbackRequested     .........S..
Aborted               .........S..
ChecksFailed          .........S..
CanaryHarmful         .........S..
DeadlineExceeded      .........S..
TargetLost            .........S..
GroupFailed           .........S..
TargetChanged         .P..........
PrimaryFailed         .........S..
PromotionResumed      .......P....
Deleted               ..........P.
Released              ...........P
Suspended             WWWWWWWWWW..
Paused                ....WW......
NotSupported          SSSSSSSSSS..
NotAllowed            SSSSSSSSSS..
ObjectTaken           SSSSSSSSSS..
TargetMissing         WWWWWWWWWW..
SelectorUnusable      SSSSSSSSSS..
ReferencesMissing     WWWWWWW.WW..
ConfigLost            SSSSSSSSSS..
TakenOver             ..PPPPP.PP..
PrimaryNotReady       .PPPPPP.PP..
CanaryNotReady        ....PP....P.
CanaryScaledToZero    ....PP......
CheckFailed           ....PP......
ValuesMissing         ....PP......
WarmingUp             ....PP......
RoutesLate            ....PP......
HookPending           ....PP......
RollbackBlocked       ....SSS.....
Superseded            ....PPP..P..
DependencyNotReady    ..WW....WW..
WaitingForTurn        ..WW....WW..
WaitingForGroup       ....PP......
"""
"""How each reason is read in each phase: R ready, P progressing, W waiting, S stalled, . is not possible."""

READINGS: Mapping[str, tuple[dict[str, str], str]] = {
    # letter: (the conditions, what kstatus makes of them)
    "R": ({"Ready": "True", "Progressing": "False"}, "Current"),
    "P": ({"Ready": "False", "Progressing": "True"}, "InProgress"),
    "W": ({"Ready": "False", "Progressing": "False"}, "InProgress"),
    "S": ({"Ready": "False", "Progressing": "False", "Stalled": "True"}, "Failed"),
}


def kstatus(manifest: Mapping[str, Any]) -> str:
    """The rules of sigs.k8s.io/cli-utils for a kind that it does not know."""
    status = manifest["status"]
    if status.get("observedGeneration", manifest["metadata"]["generation"]) != manifest["metadata"]["generation"]:
        return "InProgress"
    conditions = {condition["type"]: condition["status"] for condition in status["conditions"]}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "Current" if conditions.get("Ready", "True") == "True" else "InProgress"


def possible() -> Iterator[tuple[Phase, Reason]]:
    yield from {(after, reason) for row in MOVES.values() for reason, after in row.items()}
    yield from ((phase, reason) for reason, phases in HOLDS.items() for phase in phases)


def read(state: State, **spec: Any) -> dict[str, Any]:
    """The Canary as the API serves it, once ``state`` is in its status."""
    manifest = canary_manifest(**spec)
    return {**manifest, "status": status_from_state(state, parse_canary(manifest), NOW).to_dict()}


def rows() -> dict[str, str]:
    return dict(line.split() for line in TABLE.strip().splitlines())


def test_the_table_has_everything_that_is_possible():
    wanted = {reason.value: ["."] * len(PHASES) for reason in Reason}
    for phase, reason in possible():
        wanted[reason.value][PHASES.index(phase)] = "?"
    assert {reason: "".join("?" if each != "." else each for each in row) for reason, row in rows().items()} == {
        reason: "".join(row) for reason, row in wanted.items()
    }


@pytest.mark.parametrize("reason", Reason)
def test_tools_read_a_canary_in_every_phase(reason):
    for phase, letter in zip(PHASES, rows()[reason.value], strict=True):
        if letter == ".":
            continue
        canary = read(State(phase=phase, reason=reason.value, revision="2", applied="1", message="why"))
        told = {each["type"]: each["status"] for each in canary["status"]["conditions"] if each["type"] != "Promoted"}
        assert (told, kstatus(canary)) == READINGS[letter], phase
        texts = {(each["reason"], each["message"]) for each in canary["status"]["conditions"][bool(phase) :]}
        assert texts == {(reason.value, "why")}, phase


@pytest.mark.parametrize(
    ("phase", "letter"),
    [(Phase.INITIALIZED, "R"), (Phase.SUCCEEDED, "R"), (Phase.FAILED, "S"), (Phase.PROGRESSING, "W")],
)
def test_a_canary_that_is_suspended_with_no_new_revision_is_read_as_before(phase, letter):
    canary = read(State(phase=phase, reason=Reason.SUSPENDED, revision="1", applied="1", message="suspended"))
    assert kstatus(canary) == READINGS[letter][1]


def test_a_spec_that_was_not_looked_at_yet_is_in_progress():
    canary = read(State(phase=Phase.SUCCEEDED, reason=Reason.PROMOTED))
    assert kstatus(canary) == "Current"
    canary["metadata"]["generation"] += 1
    assert kstatus(canary) == "InProgress"


def test_a_condition_without_a_reason_of_its_own_has_its_phase_and_sentence():
    told = conditions_of(make_canary(), State(phase=Phase.SUCCEEDED), NOW)
    sentence = "Canary analysis completed successfully, promotion finished."
    assert [(each.type, each.reason, each.message) for each in told] == [
        ("Promoted", "Succeeded", sentence),
        ("Ready", "Succeeded", sentence),
        ("Progressing", "Succeeded", sentence),
    ]


def test_an_abort_of_a_frozen_canary_ends_what_the_condition_says_of_its_pods():
    failed = State(phase=Phase.FAILED, reason=Reason.CHECKS_FAILED)
    frozen = parse_canary(read(State(phase=Phase.FAILED, reason=Reason.CHECKS_FAILED, frozen=True)))
    later = NOW + timedelta(seconds=60)
    before, after = frozen.status.conditions[0], conditions_of(frozen, failed, later)[0]
    assert before.message == "Canary analysis failed, Deployment kept until retry or abort."
    assert after == before.model_copy(
        update={"message": "Canary analysis failed, Deployment scaled to zero.", "last_update_time": later}
    )


@pytest.mark.parametrize(("invalid", "reading"), [(True, "Failed"), (False, "InProgress")])
def test_a_canary_that_cannot_be_reconciled_is_not_ready(invalid, reading):
    canary = read(State(phase=Phase.SUCCEEDED, reason=Reason.PROMOTED))
    canary["metadata"]["generation"] = 2
    later = NOW + timedelta(seconds=60)
    told = report(canary["status"], "spec.x: wrong", later, generation=2, invalid=invalid)
    assert kstatus({**canary, "status": told}) == reading
    assert [(each["type"], each["status"]) for each in told["conditions"]][:3] == [
        ("Promoted", "True"),
        ("Ready", "False"),
        ("Progressing", "False"),
    ]
    assert report(told, "spec.x: wrong", later + timedelta(hours=1), generation=2, invalid=invalid) == told


def test_conditions_that_cannot_be_read_are_replaced():
    told = report({"conditions": [{"type": 5}]}, "broken", NOW, generation=1, invalid=True)
    assert [each["type"] for each in told["conditions"]] == ["Ready", "Progressing", "Stalled"]
