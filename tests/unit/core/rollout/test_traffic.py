"""Weights that are there, and requests that are through: what Istio's counters say holds the next step, and the end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest

from controller.api.status import Phase
from controller.core.probes import NoValues, ProbeResult, QueryFailed, Sample, Samples, Value
from controller.core.rollout.agreement import LATE_LOOKS
from tests.builders import (
    AB_TESTING,
    BLUE_GREEN,
    ERROR_RATE,
    WEIGHTED,
    canary_manifest,
    make_autoscaler,
    make_deployment,
)
from tests.unit.core.cluster import Cluster, forget, initialized, progressing
from tests.unit.core.mesh import CANARY, PRIMARY, traffic

STEPS = {**WEIGHTED, "interval": "60s", "stepWeight": 10, "maxWeight": 50}
LATE = "Requests do not follow the weights: the canary had 10% of 6,000 at weight"
GOES_ON = "backend.prod goes on at the next look, though requests do not follow its weights"


class Users:
    """100 requests a second, of which the canary has what its weight says, but no more than ``most`` percent."""

    def __init__(self, cluster: Cluster, most: float = 100.0) -> None:
        self.cluster, self.most, self.totals = cluster, most, {CANARY: 0.0, PRIMARY: 1000.0}

    def pass_by(self, seconds: float = 60) -> None:
        share = min(self.cluster.state.routes.canary_weight, self.most) / 100
        self.totals[CANARY] += 100 * seconds * share
        self.totals[PRIMARY] += 100 * seconds * (1 - share)
        scraped = self.cluster.now + timedelta(seconds=seconds)
        self.cluster.answers["traffic/requests"] = traffic(self.totals, scraped.timestamp())

    def looks(self, number: int) -> list[int]:
        """The canary's weight after each of so many looks."""
        weights = []
        for _ in range(number):
            self.pass_by()
            weights.append(self.cluster.tick(60).state.routes.canary_weight)
        return weights


def started(most: float = 100.0, **spec: object) -> Users:
    cluster = initialized(canary_manifest(analysis={**STEPS, **spec}))
    cluster.set_image("podinfo:2")
    cluster.tick()
    users = Users(cluster, most)
    forget(cluster)
    return users


def test_a_step_whose_requests_are_seen_is_followed_by_the_next():
    users = started()
    assert users.looks(6) == [10, 20, 30, 40, 50, 50]
    assert users.cluster.canary["status"]["observedWeight"] == 50.0


def test_the_next_step_waits_until_the_last_one_is_seen():
    users = started(most=10)
    assert users.looks(6) == [10, 20, 20, 20, 20, 20]
    status = users.cluster.canary["status"]
    assert (status["canaryWeight"], status["observedWeight"], status["reason"]) == (20, 10.0, "RoutesLate")
    assert status["message"].startswith(f"{LATE} 20; does istiod answer")
    assert len([event for event in users.cluster.events if event.startswith(LATE)]) == 1
    users.most = 100
    assert users.looks(4) == [30, 40, 50, 50]


def test_routes_that_are_never_seen_hold_a_rollout_up_for_so_many_looks():
    users = started(most=10)
    assert users.looks(3 + LATE_LOOKS) == [10, *[20] * (1 + LATE_LOOKS), 30]
    assert users.cluster.events.count(GOES_ON) == 1
    assert users.looks(3) == [40, 50, 50]
    assert users.cluster.state.failed_checks == 0


def test_whoever_asks_for_a_step_by_hand_gets_it():
    users = started(most=10)
    users.looks(3)
    users.cluster.ask("weight 40")
    assert users.looks(1) == [40]


@pytest.mark.parametrize("answer", [NoValues(), QueryFailed("connection refused"), traffic({}, 0.0)])
def test_counters_that_cannot_be_read_hold_nothing_up(answer: ProbeResult):
    users = started()
    users.cluster.answers["traffic/requests"] = answer
    assert [users.cluster.tick(60).state.routes.canary_weight for _ in range(5)] == [10, 20, 30, 40, 50]
    assert users.cluster.state.split is None


@pytest.mark.parametrize(
    "spec",
    [
        {"analysis": {**AB_TESTING, "interval": "60s", "iterations": 9}},
        {"analysis": {**BLUE_GREEN, "interval": "60s", "iterations": 9}},
        {"analysis": {**STEPS, "mirror": True}},
        {"analysis": {**STEPS, "sessionAffinity": {"cookieName": "canary"}}},
        {"analysis": STEPS, "group": "shop", "groupHeader": "x-shop-release"},
    ],
    ids=["A/B", "blue/green", "mirror", "session affinity", "a group's header"],
)
def test_requests_that_do_not_go_by_weight_are_not_held_against_it(spec):
    cluster = initialized(canary_manifest(**spec))
    cluster.set_image("podinfo:2")
    for _ in range(4):
        cluster.tick(60)
    assert (cluster.phase, "traffic/requests" in cluster.asked) == (Phase.PROGRESSING, False)


# --- the last request ---


def drained(totals: Iterable[tuple[float, float]]) -> tuple[list[tuple[float, int]], Cluster]:
    """A canary that is rolled back: how many replicas it has after each tick, with seconds since the routes were seen.

    ``totals`` are its requests at each look, and how many seconds ago they were scraped.
    """
    cluster = progressing(10, canary_manifest(analysis=STEPS))
    cluster.ask("abort")
    decision, seen, begun = cluster.tick(), [], cluster.now
    for requests, ago in totals:
        cluster.now += timedelta(seconds=decision.requeue_after or 0)
        scraped = cluster.now.timestamp() - ago
        cluster.answers["traffic/requests"] = traffic({CANARY: requests, PRIMARY: 9.0}, scraped)
        decision = cluster.tick()
        seen.append(((cluster.now - begun).total_seconds(), cluster.replicas("backend")))
    return seen, cluster


@pytest.mark.parametrize(
    ("totals", "seen"),
    [
        pytest.param([(9, 1)] * 3, [(0, 1), (60, 1), (65, 0)], id="at rest: two scrapes say the same"),
        pytest.param([(9, 1), (9, 1), (9, 6), (9, 4)], [(0, 1), (60, 1), (65, 1), (70, 0)], id="the same scrape again"),
        pytest.param(
            [(9, 1), (9, 1), (11, 1), (11, 1)],
            [(0, 1), (60, 1), (65, 1), (70, 0)],
            id="one more request",
        ),
        pytest.param([(9, 1), (9, 99), (9, 1), (9, 1)], [(0, 1), (60, 1), (65, 1), (70, 0)], id="a scrape from before"),
        pytest.param([(0, 1), (0, 1)], [(0, 1), (60, 0)], id="it never had a request"),
    ],
)
def test_the_canary_goes_when_its_last_request_is_through(totals, seen):
    assert drained(totals)[0] == seen


def test_who_calls_the_canary_for_ever_keeps_it_for_a_minute_longer():
    seen, cluster = drained([(10.0 * look, 1.0) for look in range(1, 20)])
    assert next(at for at, replicas in seen if not replicas) == 125
    last = "backend.prod still had requests 120s after its traffic was routed away; is backend-canary called directly?"
    assert cluster.events.count(last) == 1


# --- what comes back ---


def test_the_primary_keeps_enough_pods_for_the_traffic_that_comes_back():
    reference = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "backend"}
    cluster = initialized(
        canary_manifest(analysis=STEPS, autoscalerRef=reference), make_deployment(), make_autoscaler()
    )

    def least() -> int:
        return int(cluster.objects["HorizontalPodAutoscaler", "backend-primary"]["spec"]["minReplicas"])

    lowest = least()
    cluster.edit("Deployment", "backend-primary", lambda item: item["spec"].update(replicas=3))
    cluster.set_image("podinfo:2")
    cluster.tick(60)
    cluster.tick(60)
    assert (lowest, least()) == (2, 3)
    cluster.edit("Deployment", "backend-primary", lambda item: item["spec"].update(replicas=4))
    cluster.ask("abort")
    cluster.tick(60)
    assert (cluster.phase, cluster.state.scale_down, least()) == (Phase.FAILED, True, 3)
    for _ in range(3):
        cluster.tick(60)
    assert (cluster.state.scale_down, least()) == (False, 2)


# --- what was different ---


def failed_canary(answer: ProbeResult) -> Cluster:
    cluster = progressing(20, canary_manifest(analysis={**WEIGHTED, "threshold": 1, "metrics": [ERROR_RATE]}))
    cluster.answers |= {"metric/error-rate": Value(100.0), "traffic/failures": answer}
    cluster.tick(10)
    assert (cluster.phase, cluster.weights(), "traffic/failures" in cluster.asked) == (Phase.FAILED, (100, 0), False)
    cluster.tick()
    return cluster


def test_a_rollback_says_whose_requests_failed_once_the_traffic_is_back():
    labels = {"destination_workload": CANARY, "source_workload": "frontend", "response_code": "503"}
    cluster = failed_canary(Samples((Sample({**labels, "response_flags": "UF"}, 40.0),)))
    found = "code 503 UF to frontend: 40 of 40 requests (primary 0 of 0)"
    assert cluster.events[-1] == f"Requests that failed on backend.prod: {found}"
    assert cluster.state.message.endswith(f"; {found}")
    cluster.tick(10)
    assert cluster.asked.count("traffic/failures") == 1


def test_a_rollback_without_an_explanation_is_one_as_well():
    cluster = failed_canary(QueryFailed("connection refused"))
    assert cluster.events[-1] == "Canary failed! Scaling down backend.prod"
    assert (cluster.state.unexplained, cluster.asked.count("traffic/failures")) == (False, 1)
