"""A rollout under way: what it waits for, what it measures, and the step that follows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from controller.api.status import Phase
from controller.core.model import Check, Routes
from controller.core.objects.workload import revision_facts
from controller.core.probes import NoValues, Passed, ProbeResult, QueryFailed, Refused, Value
from controller.core.rollout.phases import Reason
from tests.builders import (
    AB_TESTING,
    BLUE_GREEN,
    ERROR_RATE,
    WEIGHTED,
    canary_manifest,
    make_config,
    make_deployment,
    webhook,
)
from tests.unit.core.cluster import Cluster, progressing, with_state
from tests.unit.core.decisions import Case, check, kept, nothing, promoted, revision_of, table, warning

HOOKS = [
    webhook("smoke", "pre-rollout"),
    webhook("load", "rollout"),
    webhook("more", "confirm-traffic-increase"),
    webhook("promote", "confirm-promotion"),
    webhook("after", "post-rollout"),
]
ROUND_HOOKS = [hook for hook in HOOKS if hook["type"] != "confirm-traffic-increase"]
SMOKE, LOAD = "webhook/pre-rollout/smoke", "webhook/rollout/load"
MORE, PROMOTE = "webhook/confirm-traffic-increase/more", "webhook/confirm-promotion/promote"
METRIC = "metric/error-rate"
CALLED = ("webhook/post-rollout/after/Failed",)
GOOD = (Check("error-rate", passed=True, value=0.0, detail="error-rate 0.00"),)
BAD = (Check("error-rate", passed=False, value=100.0, detail="error-rate 100.00 > 1"),)
HALT = "Halt backend.prod advancement"


def canary(
    analysis: Mapping[str, Any] = WEIGHTED, *, metrics: bool = True, hooks: Any = (), **spec: Any
) -> dict[str, Any]:
    return canary_manifest(
        analysis={**analysis, "metrics": [ERROR_RATE] if metrics else [], "webhooks": list(hooks)}, **spec
    )


def at(weight: int, /, *, seconds: float = 10, **parts: Any) -> Cluster:
    """A canary at ``weight`` for so many seconds; its next step is due after 10."""
    return later(progressing(weight, canary(**parts)), seconds)


def later(cluster: Cluster, seconds: float = 10) -> Cluster:
    cluster.now += timedelta(seconds=seconds)
    return cluster


def answering(cluster: Cluster, answers: Mapping[str, ProbeResult]) -> Cluster:
    cluster.answers = {**cluster.answers, **answers}
    return cluster


def waiting_status_of(name: str, cluster: Cluster, health: Any = "waiting") -> Cluster:
    cluster.roll_out(name, health)
    return cluster


def stepped(weight: int, checks: tuple[Check, ...] = GOOD) -> Any:
    return lambda cluster: {
        "routes": Routes(weight),
        "analysed_at": cluster.now,
        "begun_at": cluster.state.begun_at or cluster.now,
        "checks": checks,
        "message": "",
    }


@table(
    Case("between two steps nothing is measured", lambda: at(20, seconds=4), nothing, kept(20), requeue_after=6.0),
    Case(
        "a clock that was set back does not hold a step up for longer than an interval",
        lambda: at(20, seconds=-3600),
        nothing,
        kept(20),
        requeue_after=10.0,
    ),
    Case(
        "the first step runs the pre-rollout gates and measures nothing",
        lambda: at(0, hooks=HOOKS),
        stepped(20, ()),
        kept(20),
        (
            "Starting canary analysis for backend.prod",
            "Pre-rollout check smoke passed",
            "Confirm-traffic-increase check more passed",
            "Advance backend.prod canary weight 20",
        ),
        asked=(SMOKE, MORE),
        requeue_after=10.0,
        reason=Reason.ADVANCED,
    ),
    Case(
        "checks that pass lead to the next step",
        lambda: at(20, hooks=HOOKS),
        stepped(40),
        kept(40),
        ("Confirm-traffic-increase check more passed", "Advance backend.prod canary weight 40"),
        asked=(LOAD, METRIC, MORE),
        requeue_after=10.0,
    ),
    Case(
        "the last step does not go beyond the limit",
        lambda: at(40),
        stepped(50),
        kept(50),
        ("Advance backend.prod canary weight 50",),
        asked=(METRIC,),
        requeue_after=10.0,
    ),
    Case(
        "at the limit, and measured once more there, the promotion begins",
        lambda: at(50, hooks=HOOKS),
        lambda cluster: {
            "phase": Phase.PROMOTING,
            "analysed_at": cluster.now,
            "transitioned_at": cluster.now,
            "checks": GOOD,
            "message": "",
        },
        promoted(50),
        (
            "Confirm-promotion check promote passed",
            "Copying backend.prod template spec to backend-primary.prod",
        ),
        asked=(LOAD, METRIC, PROMOTE),
        requeue_after=10.0,
        reason=Reason.PROMOTION_STARTED,
    ),
    Case(
        "listed weights are taken as they are",
        lambda: at(5, analysis={"interval": "10s", "threshold": 1, "stepWeights": [5, 45]}),
        stepped(45),
        kept(45),
        ("Advance backend.prod canary weight 45",),
        asked=(METRIC,),
        requeue_after=10.0,
    ),
    Case(
        "a mirrored rollout copies the traffic before it moves any",
        lambda: at(0, analysis={**WEIGHTED, "mirror": True}),
        lambda cluster: {"routes": Routes(mirrored=True), "analysed_at": cluster.now, "begun_at": cluster.now},
        kept(Routes(mirrored=True)),
        ("Starting canary analysis for backend.prod", "Mirroring traffic to backend.prod"),
        requeue_after=10.0,
        reason=Reason.ADVANCED,
    ),
)
def test_steps_by_weight(case):
    check(case)


def failing(reason: str, checks: tuple[Check, ...] = ()) -> Any:
    return lambda cluster: {
        "failed_checks": cluster.state.failed_checks + 1,
        "analysed_at": cluster.now,
        "checks": checks,
        "message": reason,
    }


def rolled_back(message: str, **changes: Any) -> Any:
    return lambda cluster: {
        "phase": Phase.FAILED,
        "routes": Routes(),
        "iterations": 0,
        "failed_checks": 0,
        "scale_down": True,
        "transitioned_at": cluster.now,
        "message": message,
        **changes,
    }


EXTERNAL = f"{HALT} external check load failed 500 boom"
PRE_ROLLOUT = f"{HALT} pre-rollout check smoke failed 500 boom"
THRESHOLD = "Rolling back backend.prod failed checks threshold reached 3"
SCALING_DOWN = warning("Canary failed! Scaling down backend.prod")
NO_VALUES = (
    "Halt advancement no values found for custom metric: error-rate: its query returns nothing; if backend.prod has no "
    "traffic, add a load test (a webhook of type rollout)"
)
VANISHED = "Metric query failed for error-rate: MetricTemplate istio-system/error-rate does not exist"
BROKEN = "Metric query failed for error-rate: spec.query is missing"
UNREACHABLE = "Halt advancement Metric query failed for error-rate: connection refused"


@table(
    Case(
        "a value out of range counts one failed check and halts",
        lambda: answering(at(20, hooks=HOOKS), {METRIC: Value(100.0)}),
        failing(f"{HALT} error-rate 100.00 > 1", BAD),
        kept(20),
        (warning(f"{HALT} error-rate 100.00 > 1"),),
        asked=(LOAD, METRIC),
        requeue_after=10.0,
        reason=Reason.CHECK_FAILED,
    ),
    Case(
        "no values count as a failed check",
        lambda: long_begun(answering(at(20), {METRIC: NoValues()})),
        failing(NO_VALUES, (Check("error-rate", False, None, NO_VALUES.removeprefix("Halt advancement ")),)),
        kept(20),
        (warning(NO_VALUES),),
        asked=(METRIC,),
        requeue_after=10.0,
        reason=Reason.CHECK_FAILED,
    ),
    Case(
        "right after the first step there can be no values yet: they are waited for",
        lambda: answering(at(20), {METRIC: NoValues()}),
        lambda cluster: {
            "analysed_at": cluster.now,
            "checks": (Check("error-rate", False, None, NO_VALUES.removeprefix("Halt advancement ")),),
            "message": "Waiting for the first values of error-rate",
        },
        kept(20),
        ("Waiting for the first values of error-rate",),
        asked=(METRIC,),
        requeue_after=10.0,
        reason=Reason.VALUES_MISSING,
    ),
    Case(
        "a query that fails counts as a failed check",
        lambda: answering(at(20), {METRIC: QueryFailed("connection refused")}),
        failing(UNREACHABLE, (Check("error-rate", False, None, UNREACHABLE.removeprefix("Halt advancement ")),)),
        kept(20),
        (warning(UNREACHABLE),),
        asked=(METRIC,),
        requeue_after=10.0,
        reason=Reason.CHECK_FAILED,
    ),
    Case(
        "a rollout hook that fails halts before anything is measured",
        lambda: answering(at(20, hooks=HOOKS), {LOAD: Refused("500 boom")}),
        failing(EXTERNAL),
        kept(20),
        (warning(EXTERNAL),),
        asked=(LOAD,),
        requeue_after=10.0,
        reason=Reason.CHECK_FAILED,
    ),
    Case(
        "a pre-rollout gate that fails keeps the traffic away",
        lambda: answering(at(0, hooks=HOOKS), {SMOKE: Refused("500 boom")}),
        failing(PRE_ROLLOUT),
        kept(),
        ("Starting canary analysis for backend.prod", warning(PRE_ROLLOUT)),
        asked=(SMOKE,),
        requeue_after=10.0,
        reason=Reason.CHECK_FAILED,
    ),
    Case(
        "the last failed check that is allowed rolls back at once and says why",
        lambda: answering(with_state(at(40, hooks=HOOKS), failed_checks=2), {METRIC: Value(100.0)}),
        lambda cluster: rolled_back(
            f"{THRESHOLD}: {HALT} error-rate 100.00 > 1", analysed_at=cluster.now, checks=BAD, unexplained=True
        )(cluster),
        kept(),
        (warning(f"{HALT} error-rate 100.00 > 1"), warning(THRESHOLD), SCALING_DOWN),
        asked=(LOAD, METRIC),
        called=CALLED,
        requeue_after=0.0,
        reason=Reason.CHECKS_FAILED,
    ),
    Case(
        "a threshold below one means one",
        lambda: answering(at(20, analysis={**WEIGHTED, "threshold": 0}), {METRIC: Value(100.0)}),
        lambda cluster: rolled_back(
            f"Rolling back backend.prod failed checks threshold reached 1: {HALT} error-rate 100.00 > 1",
            analysed_at=cluster.now,
            checks=BAD,
            unexplained=True,
        )(cluster),
        kept(),
        (
            warning(f"{HALT} error-rate 100.00 > 1"),
            warning("Rolling back backend.prod failed checks threshold reached 1"),
            SCALING_DOWN,
        ),
        asked=(METRIC,),
        requeue_after=0.0,
        reason=Reason.CHECKS_FAILED,
    ),
    Case(
        "success does not forgive what failed before",
        lambda: with_state(at(20), failed_checks=2),
        stepped(40),
        kept(40),
        ("Advance backend.prod canary weight 40",),
        asked=(METRIC,),
        requeue_after=10.0,
    ),
    Case(
        "a template that vanished counts as a failed check",
        lambda: without_templates(at(20)),
        failing(f"Halt advancement {VANISHED}", (Check("error-rate", passed=False, value=None, detail=VANISHED),)),
        kept(20),
        (warning(f"Halt advancement {VANISHED}"),),
        requeue_after=10.0,
        reason=Reason.CHECK_FAILED,
    ),
    Case(
        "a template that was broken counts as a failed check",
        lambda: with_broken_template(at(20)),
        failing(f"Halt advancement {BROKEN}", (Check("error-rate", passed=False, value=None, detail=BROKEN),)),
        kept(20),
        (warning(f"Halt advancement {BROKEN}"),),
        requeue_after=10.0,
        reason=Reason.CHECK_FAILED,
    ),
)
def test_failed_checks(case):
    check(case)


def long_begun(cluster: Cluster) -> Cluster:
    """The first step was longer ago than the range of the query."""
    return with_state(cluster, begun_at=cluster.now - timedelta(seconds=30))


def without_templates(cluster: Cluster) -> Cluster:
    cluster.templates = {}
    return cluster


def with_broken_template(cluster: Cluster) -> Cluster:
    cluster.templates = {"istio-system/error-rate": "spec.query is missing"}
    return cluster


ABORT = [webhook("abort", "rollback"), webhook("after", "post-rollout")]
ABORTED = "Rolling back backend.prod manual webhook invoked"


@table(
    Case(
        "a rollback hook that succeeds rolls back before anything is measured",
        lambda: answering(at(20, hooks=ABORT), {"webhook/rollback/abort": Passed()}),
        rolled_back(ABORTED),
        kept(),
        (warning("Rollback check abort passed"), warning(ABORTED), SCALING_DOWN),
        asked=("webhook/rollback/abort",),
        called=CALLED,
        requeue_after=0.0,
        reason=Reason.ROLLBACK_REQUESTED,
    ),
    Case(
        "a rollback hook that refuses lets the rollout go on",
        lambda: at(20, hooks=ABORT),
        stepped(40),
        kept(40),
        ("Advance backend.prod canary weight 40",),
        asked=("webhook/rollback/abort", METRIC),
        requeue_after=10.0,
    ),
)
def test_rollback_hooks(case):
    check(case)


MORE_WANTED = f"{HALT} waiting for traffic increase approval more"
PROMOTION_WANTED = f"{HALT} waiting for promotion approval promote"


def held(phase: Phase, message: str, **changes: Any) -> Any:
    return lambda cluster: {
        "phase": phase,
        "analysed_at": cluster.now,
        "message": message,
        **({} if phase is Phase.PROGRESSING else {"transitioned_at": cluster.now}),
        **changes,
    }


@table(
    Case(
        "a closed gate for more traffic keeps the weight, and is no failure",
        lambda: answering(at(20, hooks=HOOKS), {MORE: Refused("403 Forbidden")}),
        held(Phase.PROGRESSING, MORE_WANTED, checks=GOOD),
        kept(20),
        (warning(MORE_WANTED),),
        asked=(LOAD, METRIC, MORE),
        requeue_after=10.0,
        reason=Reason.STEP_NOT_APPROVED,
    ),
    Case(
        "a closed gate for the promotion keeps the weight, and is no failure",
        lambda: answering(at(50, hooks=HOOKS), {PROMOTE: Refused("403 Forbidden")}),
        held(Phase.WAITING_PROMOTION, PROMOTION_WANTED, checks=GOOD),
        kept(50),
        (warning(PROMOTION_WANTED),),
        asked=(LOAD, METRIC, PROMOTE),
        requeue_after=10.0,
        reason=Reason.PROMOTION_NOT_APPROVED,
    ),
    Case(
        "the start is reported once, however long the first gate is closed",
        lambda: later(ticked(answering(at(0, hooks=HOOKS), {MORE: Refused("403 Forbidden")}))),
        lambda cluster: {"analysed_at": cluster.now},
        kept(),
        ("Pre-rollout check smoke passed", warning(MORE_WANTED)),
        asked=(SMOKE, MORE),
        requeue_after=10.0,
    ),
    Case(
        "what is wrong while a promotion waits still counts",
        lambda: later(
            answering(ticked(answering(at(50, hooks=HOOKS), {PROMOTE: Refused("no")})), {METRIC: Value(100.0)})
        ),
        failing(f"{HALT} error-rate 100.00 > 1", BAD),
        kept(50),
        (warning(f"{HALT} error-rate 100.00 > 1"),),
        asked=(LOAD, METRIC),
        requeue_after=10.0,
        reason=Reason.CHECK_FAILED,
    ),
)
def test_gates(case):
    check(case)


def ticked(cluster: Cluster) -> Cluster:
    cluster.tick()
    return cluster


PENDING = "waiting for rollout to finish: 1 old replicas are pending termination"
CANARY_PENDING = f"canary deployment backend.prod not ready: {PENDING}"
PRIMARY_PENDING = f"backend-primary.prod not ready: {PENDING}"
DEADLINE = (
    "Rolling back backend.prod progress deadline exceeded canary deployment backend.prod not ready:"
    ' deployment "backend" exceeded its progress deadline'
)
PRIMARY_DEADLINE = (
    "Rolling back backend.prod progress deadline exceeded backend-primary.prod not ready:"
    ' deployment "backend-primary" exceeded its progress deadline'
)


@table(
    Case(
        "pods that are not ready are waited for, the traffic stays",
        lambda: waiting_status_of("backend", at(20)),
        lambda cluster: {
            "message": CANARY_PENDING,
            "analysed_at": cluster.now,
            "stalled_since": cluster.now,
            "checks": GOOD,
        },
        kept(20),
        asked=(METRIC,),
        requeue_after=10.0,
        reason=Reason.CANARY_NOT_READY,
    ),
    Case(
        "a primary that is not ready is waited for, and the judgement goes on",
        lambda: waiting_status_of("backend-primary", at(20)),
        lambda cluster: {
            "message": PRIMARY_PENDING,
            "analysed_at": cluster.now,
            "stalled_since": cluster.now,
            "checks": GOOD,
        },
        kept(20),
        asked=(METRIC,),
        requeue_after=10.0,
        reason=Reason.PRIMARY_NOT_READY,
    ),
    Case(
        "a canary that misses its progress deadline is rolled back",
        lambda: waiting_status_of("backend", ticked(waiting_status_of("backend", at(20, hooks=HOOKS))), "expired"),
        lambda cluster: rolled_back(DEADLINE, analysed_at=cluster.state.analysed_at, stalled_since=None)(cluster),
        kept(),
        (warning(DEADLINE), SCALING_DOWN),
        asked=("pods/backend",),
        called=CALLED,
        requeue_after=0.0,
        reason=Reason.DEADLINE_EXCEEDED,
    ),
    Case(
        "a primary that misses its progress deadline is not waited for: the new revision may repair it",
        lambda: waiting_status_of("backend-primary", at(20), "expired"),
        stepped(40),
        kept(40),
        ("Advance backend.prod canary weight 40",),
        asked=("pods/backend-primary", METRIC),
        requeue_after=10.0,
        reason=Reason.ADVANCED,
    ),
    Case(
        "a canary that was scaled to zero loses its traffic before it gets new pods",
        lambda: scaled_to_zero(at(20)),
        lambda _: {"routes": Routes()},
        kept(scale=1),
        requeue_after=10.0,
        reason=Reason.CANARY_SCALED_TO_ZERO,
    ),
    Case(
        "a canary without pods gets no traffic, whether the primary is ready or not",
        lambda: waiting_status_of("backend-primary", scaled_to_zero(at(20))),
        lambda _: {"routes": Routes()},
        kept(scale=1),
        requeue_after=10.0,
        reason=Reason.CANARY_SCALED_TO_ZERO,
    ),
    Case(
        "pods that are on their way out are waited for",
        lambda: leaving(scaled_to_zero(at(20))),
        lambda _: {
            "routes": Routes(),
            "message": "canary deployment backend.prod not ready: waiting for 2 old pods to end",
        },
        kept(),
        requeue_after=10.0,
        reason=Reason.CANARY_SCALED_TO_ZERO,
    ),
)
def test_readiness(case):
    check(case)


def scaled_to_zero(cluster: Cluster) -> Cluster:
    cluster.edit("Deployment", "backend", lambda item: item["spec"].update(replicas=0))
    return cluster


def leaving(cluster: Cluster) -> Cluster:
    cluster.objects["Deployment", "backend"]["status"] |= {"replicas": 2, "updatedReplicas": 2}
    return cluster


def restarted(cluster: Cluster) -> dict[str, Any]:
    return {
        "phase": Phase.PROGRESSING,
        "routes": Routes(),
        "iterations": 0,
        "failed_checks": 0,
        "applied": revision_of(cluster),
        "tracked_configs": revision_facts(cluster.facts())[1],
        "started_at": cluster.now if revision_of(cluster) != cluster.state.applied else cluster.state.started_at,
        "analysed_at": None,
        "begun_at": None,
        "checks": (),
        "message": "",
    }


def pushed(cluster: Cluster, image: str = "podinfo:3") -> Cluster:
    cluster.set_image(image)
    return cluster


def configured(weight: int) -> Cluster:
    target = make_deployment()
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "backend-config"}}]
    cluster = progressing(weight, canary(), target, make_config("backend-config", {"level": "1"}))
    cluster.set_config({"level": "2"})
    return later(cluster)


REVERTED = "Revision of backend.prod is the one that the primary runs! Scaling down backend.prod"
RESTARTED = "New revision detected! Restarting analysis for backend.prod"
OUTGROWN = "Analysis of backend.prod changed! Restarting analysis for backend.prod"


@table(
    Case(
        "a newer revision starts over, without traffic and without the failures of its predecessor",
        lambda: with_state(pushed(at(40)), failed_checks=2),
        restarted,
        kept(),
        (RESTARTED,),
        requeue_after=0.0,
        reason=Reason.RESTARTED,
    ),
    Case(
        "a change of a ConfigMap starts over, and the pods that have the old one go",
        lambda: configured(20),
        lambda cluster: {**restarted(cluster), "scale_down": True},
        kept(),
        (RESTARTED,),
        requeue_after=0.0,
        reason=Reason.RESTARTED,
    ),
    Case(
        "a revision taken back ends the rollout without a promotion",
        lambda: pushed(at(40), "podinfo:1"),
        lambda cluster: {
            **restarted(cluster),
            "phase": Phase.INITIALIZED,
            "started_at": cluster.state.started_at,
            "analysed_at": cluster.state.analysed_at,
            "begun_at": cluster.state.begun_at,
            "scale_down": True,
            "transitioned_at": cluster.now,
        },
        kept(),
        (REVERTED,),
        requeue_after=0.0,
        reason=Reason.REVERTED,
    ),
    Case(
        "a lower limit than the weight by now starts over",
        lambda: analysed(at(40), maxWeight=30),
        restarted,
        kept(),
        (OUTGROWN,),
        requeue_after=0.0,
        reason=Reason.ANALYSIS_CHANGED,
    ),
    Case(
        "a higher limit goes on from where it is",
        lambda: analysed(at(40), maxWeight=80),
        stepped(60),
        kept(60),
        ("Advance backend.prod canary weight 60",),
        asked=(METRIC,),
        requeue_after=10.0,
    ),
    Case(
        "all of the matched traffic is not all of the traffic: A/B turned to weights starts over",
        lambda: analysed(
            in_round(AB_TESTING, 1, Routes(100)), iterations=None, match=None, stepWeight=20, maxWeight=None
        ),
        restarted,
        kept(),
        (OUTGROWN,),
        requeue_after=0.0,
        reason=Reason.ANALYSIS_CHANGED,
    ),
    Case(
        "A/B turned to blue/green starts over",
        lambda: analysed(in_round(AB_TESTING, 1, Routes(100)), match=None),
        restarted,
        kept(),
        (OUTGROWN,),
        requeue_after=0.0,
        reason=Reason.ANALYSIS_CHANGED,
    ),
    Case(
        "A/B turned to blue/green with fewer rounds than were done starts over",
        lambda: analysed(in_round({**AB_TESTING, "iterations": 10}, 5, Routes(100)), match=None, iterations=3),
        restarted,
        kept(),
        (OUTGROWN,),
        requeue_after=0.0,
        reason=Reason.ANALYSIS_CHANGED,
    ),
)
def test_changes_on_the_way(case):
    check(case)


def analysed(cluster: Cluster, **changes: Any) -> Cluster:
    cluster.edit_analysis(**changes)
    return cluster


def in_round(analysis: Mapping[str, Any], iterations: int, routes: Routes, **parts: Any) -> Cluster:
    """After so many rounds, with the next one due."""
    cluster = progressing(0, canary(analysis, **parts))
    state = {"iterations": iterations, "routes": routes, "analysed_at": cluster.now}
    return later(with_state(cluster, **state))


def round_done(iterations: int, routes: Routes, checks: tuple[Check, ...] = GOOD) -> Any:
    return lambda cluster: {
        "iterations": iterations,
        "routes": routes,
        "analysed_at": cluster.now,
        "begun_at": cluster.state.begun_at or cluster.now,
        "checks": checks,
        "message": "",
    }


@table(
    Case(
        "the first A/B round begins after the pre-rollout gates",
        lambda: at(0, analysis=AB_TESTING, hooks=ROUND_HOOKS),
        round_done(1, Routes(100), ()),
        kept(100),
        (
            "Starting canary analysis for backend.prod",
            "Pre-rollout check smoke passed",
            "Advance backend.prod canary iteration 1/2",
        ),
        asked=(SMOKE,),
        requeue_after=10.0,
        reason=Reason.ADVANCED,
    ),
    Case(
        "an A/B round that passes is followed by the next",
        lambda: in_round(AB_TESTING, 1, Routes(100), hooks=ROUND_HOOKS),
        round_done(2, Routes(100)),
        kept(100),
        ("Advance backend.prod canary iteration 2/2",),
        asked=(LOAD, METRIC),
        requeue_after=10.0,
        reason=Reason.ADVANCED,
    ),
    Case(
        "after the last A/B round the promotion begins",
        lambda: in_round(AB_TESTING, 2, Routes(100), hooks=ROUND_HOOKS),
        lambda cluster: {
            "phase": Phase.PROMOTING,
            "analysed_at": cluster.now,
            "transitioned_at": cluster.now,
            "checks": GOOD,
        },
        promoted(100),
        ("Confirm-promotion check promote passed", "Copying backend.prod template spec to backend-primary.prod"),
        asked=(LOAD, METRIC, PROMOTE),
        requeue_after=10.0,
        reason=Reason.PROMOTION_STARTED,
    ),
    Case(
        "a blue/green round sends no users to the canary",
        lambda: in_round(BLUE_GREEN, 1, Routes(), hooks=ROUND_HOOKS),
        round_done(2, Routes()),
        kept(),
        ("Advance backend.prod canary iteration 2/2",),
        asked=(LOAD, METRIC),
        requeue_after=10.0,
        reason=Reason.ADVANCED,
    ),
    Case(
        "after the last blue/green round all users go to the canary",
        lambda: in_round(BLUE_GREEN, 2, Routes(), hooks=ROUND_HOOKS),
        round_done(3, Routes(100)),
        kept(100),
        ("Confirm-promotion check promote passed", "Routing all traffic to canary"),
        asked=(LOAD, METRIC, PROMOTE),
        requeue_after=10.0,
        reason=Reason.ADVANCED,
    ),
    Case(
        "a mirrored blue/green round copies the traffic",
        lambda: in_round({**BLUE_GREEN, "mirror": True}, 1, Routes(mirrored=True)),
        round_done(2, Routes(mirrored=True)),
        kept(Routes(mirrored=True)),
        ("Advance backend.prod canary iteration 2/2",),
        asked=(METRIC,),
        requeue_after=10.0,
        reason=Reason.ADVANCED,
    ),
    Case(
        "after the last mirrored round the copies end",
        lambda: in_round({**BLUE_GREEN, "mirror": True}, 2, Routes(mirrored=True)),
        round_done(3, Routes(100)),
        kept(100),
        ("Stop traffic mirroring and route all traffic to canary",),
        asked=(METRIC,),
        requeue_after=10.0,
        reason=Reason.ADVANCED,
    ),
    Case(
        "a blue/green canary with all users on it is measured, and the gate asked again",
        lambda: answering(in_round(BLUE_GREEN, 3, Routes(100), hooks=ROUND_HOOKS), {PROMOTE: Refused("no")}),
        held(Phase.WAITING_PROMOTION, PROMOTION_WANTED, checks=GOOD),
        kept(100),
        (warning(PROMOTION_WANTED),),
        asked=(LOAD, METRIC, PROMOTE),
        requeue_after=10.0,
        reason=Reason.PROMOTION_NOT_APPROVED,
    ),
)
def test_rounds(case):
    check(case)


@table(
    Case(
        "without analysis a canary that is ready is promoted at once",
        lambda: skipping(at(0, hooks=HOOKS)),
        lambda cluster: {
            "phase": Phase.PROMOTING,
            "analysed_at": cluster.now,
            "transitioned_at": cluster.now,
        },
        promoted(),
        ("Copying backend.prod template spec to backend-primary.prod",),
        requeue_after=10.0,
        reason=Reason.PROMOTION_STARTED,
    ),
    Case(
        "without analysis a primary that is not ready does not matter",
        lambda: waiting_status_of("backend-primary", skipping(at(0))),
        lambda cluster: {
            "phase": Phase.PROMOTING,
            "analysed_at": cluster.now,
            "transitioned_at": cluster.now,
        },
        promoted(),
        ("Copying backend.prod template spec to backend-primary.prod",),
        requeue_after=10.0,
        reason=Reason.PROMOTION_STARTED,
    ),
    Case(
        "a promotion ends the copies of the traffic",
        lambda: with_state(skipping(at(0)), routes=Routes(mirrored=True)),
        lambda cluster: {
            "phase": Phase.PROMOTING,
            "routes": Routes(),
            "analysed_at": cluster.now,
            "transitioned_at": cluster.now,
        },
        promoted(),
        ("Copying backend.prod template spec to backend-primary.prod",),
        requeue_after=10.0,
        reason=Reason.PROMOTION_STARTED,
    ),
    Case(
        "a copy that the status does not know of is a promotion that goes on",
        lambda: copied(at(50)),
        lambda cluster: {
            "phase": Phase.PROMOTING,
            "analysed_at": cluster.now,
            "transitioned_at": cluster.now,
        },
        promoted(50),
        ("Copying backend.prod template spec to backend-primary.prod",),
        requeue_after=10.0,
        reason=Reason.PROMOTION_STARTED,
    ),
)
def test_promotion_begins(case):
    check(case)


def skipping(cluster: Cluster) -> Cluster:
    cluster.edit_canary(skipAnalysis=True)
    return cluster


def copied(cluster: Cluster) -> Cluster:
    """The controller copied the spec and died."""
    before = cluster.state
    cluster.tick()
    assert cluster.phase is Phase.PROMOTING
    cluster.write_status(before)
    return waiting_status_of("backend-primary", cluster)


@pytest.mark.parametrize("seconds", [0, 3, 9])
def test_a_restarted_controller_advances_no_step_early(seconds):
    """The status says when the last step was; the first tick of a new controller is like any other."""
    cluster = progressing(20, canary())
    cluster.tick(seconds)
    assert cluster.weights() == (80, 20)
    assert cluster.asked == []


def test_a_hand_that_moves_the_weights_is_undone_and_the_steps_go_on():
    cluster = progressing(20, canary())
    cluster.set_weights(0, 100)
    cluster.tick(4)
    assert (cluster.weights(), cluster.state.routes) == ((80, 20), Routes(20))
    cluster.tick(6)
    assert cluster.weights() == (60, 40)


def test_checks_of_one_analysis_are_asked_in_one_go():
    other = {**ERROR_RATE, "name": "other"}
    cluster = progressing(20, canary_manifest(analysis={**WEIGHTED, "metrics": [ERROR_RATE, other]}))
    cluster.answers = {"metric/error-rate": Value(100.0), "metric/other": Value(7.0), LOAD: Passed()}
    decision = cluster.tick(10)
    assert cluster.asked == ["metric/error-rate", "metric/other", "traffic/requests"]
    assert [check.passed for check in decision.state.checks] == [False, False]
    assert decision.state.failed_checks == 1
