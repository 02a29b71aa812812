"""The table of phases: what is not in it is refused, and a Canary takes each of its moves."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from controller.api.status import Phase
from controller.core.model import Member, Observation, Routes
from controller.core.probes import Passed, Refused, Value
from controller.core.rollout.phases import HOLDS, MOVES, IllegalTransition, Reason, draw_phases, next_phase
from controller.core.rollout.settle import settle
from controller.core.tick import Tick
from tests.builders import ERROR_RATE, WEIGHTED, canary_manifest, make_deployment, webhook
from tests.unit.core.cluster import Cluster, CrashError, initialized, progressing, with_state
from tests.unit.core.mesh import CANARY, PRIMARY, Mesh

ARCHITECTURE = Path(__file__).parents[4] / "docs/architecture.md"
BEGIN, END = "<!-- phases: make generate writes this -->\n", "<!-- end of phases -->\n"

GATES = ("confirm-rollout", "confirm-traffic-increase", "confirm-promotion")
ANALYSIS = {
    **WEIGHTED,
    "threshold": 1,
    "metrics": [ERROR_RATE, {"name": "errors", "compare": {"errors": {}, "warmup": "0s"}}],
    "webhooks": [webhook(name, name) for name in (*GATES, "rollback")],
    "onInconclusive": "gate",
}
OTHER_REVISION = "1" * 16


def fresh(_: Phase) -> Cluster:
    return Cluster.of(canary_manifest(analysis=ANALYSIS), make_deployment())


def idle(phase: Phase) -> Cluster:
    """The primary is ready and has all the traffic."""
    return with_state(initialized(canary_manifest(analysis=ANALYSIS)), phase=phase)


def pushed(phase: Phase) -> Cluster:
    cluster = idle(phase)
    cluster.set_image("podinfo:2")
    return cluster


def refusing(gate: str, make: Callable[[Phase], Cluster]) -> Callable[[Phase], Cluster]:
    def refused(phase: Phase) -> Cluster:
        cluster = make(phase)
        cluster.answers[f"webhook/{gate}/{gate}"] = Refused("403 Forbidden")
        return cluster

    return refused


def at(weight: int) -> Callable[[Phase], Cluster]:
    """In the analysis; the next step is due."""

    def analysing(phase: Phase) -> Cluster:
        cluster = with_state(progressing(weight, canary_manifest(analysis=ANALYSIS)), phase=phase)
        later(cluster)
        return cluster

    return analysing


def but(make: Callable[[Phase], Cluster], change: Callable[[Cluster], object]) -> Callable[[Phase], Cluster]:
    def changed(phase: Phase) -> Cluster:
        cluster = make(phase)
        change(cluster)
        return cluster

    return changed


def harmful(cluster: Cluster) -> None:
    """The next look finds half of the canary's requests bad, as the one before did."""
    phase, mesh = cluster.phase, Mesh()
    for look, bad in enumerate((0, 1500, 1500)):
        mesh.serve(CANARY, 3000, bad)
        mesh.serve(PRIMARY, 3000, 30)
        cluster.answers["counters/errors"] = mesh.errors()
        if look < 2:
            cluster.tick(10)
    with_state(later(cluster), phase=phase)


def later(cluster: Cluster, seconds: float = 10) -> Cluster:
    cluster.now += timedelta(seconds=seconds)
    return cluster


def lose_target(cluster: Cluster) -> None:
    del cluster.objects["Deployment", "backend"]


def fail_another(cluster: Cluster) -> None:
    """One of the same group is rolled back."""
    cluster.edit_canary(group="shop")
    cluster.members = {"shop": (Member("cart", Phase.FAILED, moved_at=cluster.now),)}


def change_target(cluster: Cluster) -> None:
    cluster.objects["Deployment", "other"] = make_deployment("other")
    cluster.edit_canary(targetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"})


def refuse_for_long(cluster: Cluster) -> None:
    cluster.refused = {"Deployment"}
    cluster.tick()
    later(cluster, 601)


def promoting(analysis: Mapping[str, object] = ANALYSIS) -> Callable[[Phase], Cluster]:
    def copied(_: Phase) -> Cluster:
        cluster = progressing(50, canary_manifest(analysis=analysis))
        cluster.tick(10)
        assert cluster.phase is Phase.PROMOTING
        later(cluster)
        return cluster

    return copied


def untaken(_: Phase) -> Cluster:
    """The promotion is tried and remembered, and the controller dies before the primary takes anything."""
    cluster = progressing(50, canary_manifest(analysis=ANALYSIS))
    with contextlib.suppress(CrashError):
        cluster.tick(10, crash=lambda done: done >= 2)
    assert (cluster.phase, cluster.image("backend-primary")) == (Phase.PROMOTING, "podinfo:1")
    return cluster


def finalising(_: Phase) -> Cluster:
    cluster = promoting()(Phase.PROMOTING)
    cluster.tick()
    cluster.tick()
    return later(cluster)


def failed_promotion(_: Phase) -> Cluster:
    cluster = promoting()(Phase.PROMOTING)
    cluster.roll_out("backend-primary", "expired")
    cluster.tick()
    assert (cluster.phase, cluster.state.routes) == (Phase.FAILED, Routes(100))
    return cluster


ANALYSING: Mapping[Reason, Callable[[Phase], Cluster]] = {
    Reason.ADVANCED: at(20),
    Reason.STEP_NOT_APPROVED: refusing("confirm-traffic-increase", at(20)),
    Reason.PROMOTION_NOT_APPROVED: refusing("confirm-promotion", at(50)),
    Reason.PROMOTION_STARTED: at(50),
    Reason.RESTARTED: but(at(20), lambda cluster: cluster.set_image("podinfo:3")),
    Reason.ANALYSIS_CHANGED: but(at(20), lambda cluster: cluster.edit_analysis(maxWeight=10)),
    Reason.REVERTED: but(at(20), lambda cluster: cluster.set_image("podinfo:1")),
    Reason.ROLLBACK_REQUESTED: but(at(20), lambda c: c.answers.update({"webhook/rollback/rollback": Passed()})),
    Reason.ABORTED: but(at(20), lambda cluster: cluster.ask("abort")),
    Reason.CHECKS_FAILED: but(at(20), lambda cluster: cluster.answers.update({"metric/error-rate": Value(100.0)})),
    Reason.CANARY_HARMFUL: but(at(20), harmful),
    Reason.DEADLINE_EXCEEDED: but(at(20), lambda cluster: cluster.roll_out("backend", "expired")),
    Reason.TARGET_LOST: but(at(20), lose_target),
    Reason.GROUP_FAILED: but(at(20), fail_another),
    Reason.TARGET_CHANGED: but(at(20), change_target),
}
BETWEEN: Mapping[Reason, Callable[[Phase], Cluster]] = {
    Reason.STARTED: pushed,
    Reason.START_NOT_APPROVED: refusing("confirm-rollout", pushed),
    Reason.REVERTED: lambda phase: with_state(idle(phase), applied=OTHER_REVISION),
    Reason.TARGET_CHANGED: but(idle, change_target),
}
SITUATIONS: Mapping[Phase, Mapping[Reason, Callable[[Phase], Cluster]]] = {
    Phase.NEW: {Reason.PRIMARY_NOT_READY: fresh, Reason.INITIALIZED: idle},
    Phase.INITIALIZING: {Reason.INITIALIZED: idle},
    Phase.INITIALIZED: BETWEEN,
    Phase.WAITING: {
        **BETWEEN,
        Reason.BACK_TO_PROMOTED: idle,
        Reason.ABORTED: but(pushed, lambda cluster: cluster.ask("abort")),
        Reason.BACK_TO_FAILED: lambda phase: with_state(idle(phase), promoted=OTHER_REVISION),
    },
    Phase.PROGRESSING: ANALYSING,
    Phase.WAITING_PROMOTION: ANALYSING,
    Phase.PROMOTING: {
        Reason.TRAFFIC_RETURNING: promoting({**ANALYSIS, "stepWeightPromotion": 20}),
        Reason.TRAFFIC_RETURNED: promoting(),
        Reason.RESTARTED: but(untaken, lambda cluster: cluster.set_image("podinfo:3")),
        Reason.DEADLINE_EXCEEDED: but(untaken, refuse_for_long),
        Reason.PRIMARY_FAILED: but(promoting(), lambda cluster: cluster.roll_out("backend-primary", "expired")),
        Reason.TARGET_LOST: but(promoting(), lose_target),
        Reason.TARGET_CHANGED: but(promoting(), change_target),
    },
    Phase.FINALISING: {Reason.PROMOTED: finalising, Reason.TARGET_CHANGED: but(finalising, change_target)},
    Phase.SUCCEEDED: BETWEEN,
    Phase.FAILED: {
        **BETWEEN,
        Reason.PROMOTION_RESUMED: but(failed_promotion, lambda cluster: cluster.roll_out("backend-primary", "ready")),
        Reason.TARGET_LOST: but(failed_promotion, lose_target),
    },
}
"""For every line of `MOVES` but deletion a Canary to which just that happens in its next tick."""


def situation(phase: Phase, reason: Reason) -> Cluster:
    if reason not in (Reason.DELETED, Reason.RELEASED):
        return SITUATIONS[phase][reason](phase)
    cluster = with_state(fresh(phase), phase=phase)
    cluster.delete(revert=reason is Reason.DELETED)
    return cluster


LINES = [(phase, reason) for phase, row in MOVES.items() for reason in row]


@pytest.mark.parametrize(("phase", "reason"), LINES, ids=lambda part: part.value or "New")
def test_every_move_of_the_table_is_made(phase, reason):
    cluster = situation(phase, reason)
    assert cluster.phase is phase
    state = cluster.decide().state
    assert (state.reason, state.phase) == (reason, MOVES[phase][reason])


@pytest.mark.parametrize("phase", list(Phase), ids=lambda phase: phase.value or "New")
def test_what_is_not_in_the_table_is_refused(phase):
    tick = Tick(with_state(initialized(), phase=phase).state, Observation(initialized().facts()))
    for reason in Reason:
        if reason not in MOVES[phase] and phase not in HOLDS.get(reason, ()):
            with pytest.raises(IllegalTransition, match=reason):
                settle(tick, reason, tick.state)
        elif reason in HOLDS and reason not in MOVES[phase]:
            assert next_phase(phase, reason) is phase


def test_a_reason_moves_or_holds_and_each_is_used():
    moving = {reason for row in MOVES.values() for reason in row}
    assert moving | set(HOLDS) == set(Reason)
    assert moving & set(HOLDS) == {Reason.PRIMARY_NOT_READY}


def test_the_diagram_in_the_documentation_is_the_table():
    text = ARCHITECTURE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    written = f"{before}{BEGIN}```mermaid\n{draw_phases()}\n```\n{END}{after}"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        ARCHITECTURE.write_text(written, encoding="utf-8")
    assert ARCHITECTURE.read_text(encoding="utf-8") == written, "make generate writes the diagram"
