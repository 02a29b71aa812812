"""A canary that serves nobody has no users while the primary serves: no metric of its own would ever tell."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.status import Phase
from controller.core.decision import Event
from controller.core.model import Routes
from controller.core.rollout.phases import Reason
from tests.builders import ERROR_RATE, WEIGHTED, canary_manifest
from tests.unit.core.cluster import Cluster, forget, progressing, rolled_out

METRICS = {"metrics": [ERROR_RATE]}
STRATEGIES: dict[str, dict[str, Any]] = {
    "weights": {**WEIGHTED, **METRICS},
    "behind a match": {
        **METRICS,
        "interval": "10s",
        "threshold": 3,
        "iterations": 5,
        "match": [{"headers": {"x-tester": {"exact": "yes"}}}],
    },
}
GONE = "no pod of backend.prod is available, routing all traffic to backend-primary.prod"
"""What users would have met."""


def serving(strategy: str = "weights", weight: int = 40, **spec: Any) -> Cluster:
    weight = 100 if strategy == "behind a match" else weight
    cluster = progressing(weight, canary_manifest(analysis=STRATEGIES[strategy], **spec))
    forget(cluster)
    return cluster


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_traffic_goes_back_at_once_and_a_failed_check_is_counted(strategy):
    cluster = serving(strategy)
    cluster.roll_out("backend", "down")
    decision = cluster.tick(1)
    halt = f"Halt backend.prod advancement {GONE}"
    state = decision.state
    assert (state.phase, state.reason, state.routes, state.iterations, state.failed_checks, state.message) == (
        Phase.PROGRESSING,
        Reason.CHECK_FAILED,
        Routes(),
        0,
        1,
        halt,
    )
    assert decision.events == (Event(halt, "Warning"),)
    assert (cluster.asked, cluster.weights()) == ([], (100, 0)), "nothing is measured before users are safe"


def test_once_it_serves_again_the_steps_start_over():
    cluster = serving()
    cluster.roll_out("backend", "down")
    cluster.tick(1)
    for _ in range(3):
        cluster.tick(10)
        assert (cluster.weights(), cluster.state.failed_checks) == ((100, 0), 1)
    cluster.roll_out("backend", "ready")
    cluster.tick(10)
    assert cluster.weights() == (80, 20)
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)


def test_one_that_comes_and_goes_is_rolled_back_at_the_threshold():
    cluster = serving()
    for _ in range(cluster.parsed.spec.analysis.threshold):
        cluster.roll_out("backend", "ready")
        cluster.tick(10)
        cluster.roll_out("backend", "down")
        cluster.tick(1)
    assert (cluster.phase, cluster.state.reason, cluster.weights()) == (Phase.FAILED, Reason.CHECKS_FAILED, (100, 0))


def test_one_that_stays_away_is_rolled_back_at_the_deadline():
    cluster = serving(progressDeadlineSeconds=60)
    cluster.roll_out("backend", "down")
    for _ in range(10):
        cluster.tick(10)
    assert (cluster.phase, cluster.state.reason) == (Phase.FAILED, Reason.DEADLINE_EXCEEDED)


def test_a_pod_that_serves_is_enough():
    cluster = serving()
    cluster.edit("Deployment", "backend", lambda item: item["spec"].update(replicas=3))
    cluster.objects["Deployment", "backend"]["status"].update(availableReplicas=1)
    cluster.tick(1)
    assert (cluster.weights(), cluster.state.failed_checks) == ((60, 40), 0)


def test_where_the_primary_serves_nobody_either_the_traffic_stays():
    cluster = serving()
    cluster.roll_out("backend", "down")
    cluster.roll_out("backend-primary", "down")
    cluster.tick(1)
    assert (cluster.weights(), cluster.state.failed_checks) == ((60, 40), 0)


def test_mirrored_requests_are_nobodys():
    cluster = progressing(0, canary_manifest(analysis={**STRATEGIES["weights"], "mirror": True}))
    cluster.tick(10)
    assert cluster.state.routes == Routes(mirrored=True)
    cluster.roll_out("backend", "down")
    cluster.tick(1)
    assert (cluster.state.routes, cluster.state.failed_checks) == (Routes(mirrored=True), 0)


def test_a_promotion_goes_on_without_the_canary():
    cluster = serving(weight=50)
    cluster.health["backend-primary"] = "waiting"
    cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.PROMOTING, (50, 50))
    cluster.roll_out("backend", "down")
    decision = cluster.tick(1)
    assert (cluster.phase, cluster.weights()) == (Phase.PROMOTING, (100, 0))
    assert decision.events[0] == Event(GONE[0].upper() + GONE[1:], "Warning")
    cluster.roll_out("backend-primary", "ready")
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)


@pytest.mark.parametrize(("canary", "weights"), [("ready", (0, 100)), ("down", (100, 0))])
def test_after_a_failed_promotion_the_traffic_is_with_who_serves(canary, weights):
    cluster = serving(weight=50, progressDeadlineSeconds=60)
    cluster.health["backend-primary"] = "waiting"
    for _ in range(10):
        cluster.tick(10)
    assert (cluster.phase, cluster.state.reason, cluster.weights()) == (Phase.FAILED, Reason.PRIMARY_FAILED, (0, 100))
    cluster.roll_out("backend", canary)
    cluster.tick(1)
    assert (cluster.phase, cluster.state.reason, cluster.weights()) == (Phase.FAILED, Reason.PRIMARY_FAILED, weights)
