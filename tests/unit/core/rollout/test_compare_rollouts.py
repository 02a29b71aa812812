"""Whole rollouts judged by comparing canary and primary, from the push to the end, with traffic by weight."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.api.compare import Compare
from controller.api.status import Phase
from controller.core.decision import Decision
from controller.core.evidence.comparison import Comparison
from controller.core.probes import Passed, QueryFailed, Refused, Sample, Samples, Value
from tests.builders import AB_TESTING, BLUE_GREEN, ERROR_RATE, canary_manifest, webhook
from tests.unit.core.cluster import END_PHASES, Cluster, CrashError, clone, forget, initialized, rolled_out
from tests.unit.core.mesh import CANARY, PRIMARY, Mesh

ERRORS: Mapping[str, Any] = {"name": "errors", "compare": {"errors": {}, "warmup": "0s"}}
LATENCY: Mapping[str, Any] = {"name": "latency", "compare": {"latency": {"edges": ["100ms", "1s"]}, "warmup": "0s"}}
ORDERS: Mapping[str, Any] = {
    "name": "orders",
    "compare": {
        "counters": {"bad": 'orders{w="{{workload}}",failed="y"}', "total": 'orders{w="{{workload}}"}'},
        "warmup": "0s",
    },
}
CPU: Mapping[str, Any] = {
    "name": "cpu",
    "compare": {"value": {"query": "cpu{w='{{workload}}'}", "better": "lower"}, "warmup": "0s"},
}
STEPS: Mapping[str, Any] = {"interval": "10s", "threshold": 3, "stepWeight": 10, "maxWeight": 50}
GATE = webhook("approve", "confirm-promotion")
ROLLBACK: Mapping[str, Any] = {"onInconclusive": "rollback"}


def warmed(warmup: str) -> dict[str, Any]:
    return {"name": "errors", "compare": {"errors": {}, "warmup": warmup}}


def analysis(*metrics: Mapping[str, Any], base: Mapping[str, Any] = STEPS, **more: Any) -> dict[str, Any]:
    return {**base, "metrics": list(metrics or (ERRORS,)), **more}


def own_counters(mesh: Mesh) -> Iterator[Sample]:
    """The same requests as counters of the app's own."""
    for (workload, _, pod), (total, bad) in mesh.requests.items():
        for count, seen in (("total", total), ("bad", bad)):
            yield Sample({"destination_workload": workload, "instance": pod, "count": count}, seen)


class Rollout:
    """A rollout under traffic.

    Attributes:
        users: requests a look.
        rates: bad ones of canary and primary, as a part of all.
        matched: the part of the users that an A/B test leads to the canary.
        direct: requests a look that call the canary's Service.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        *,
        users: float = 3000,
        canary: float = 0.01,
        primary: float = 0.01,
        matched: float = 0.3,
    ) -> None:
        self.mesh, self.users, self.matched, self.looks = Mesh(), users, matched, 0
        self.alone: set[str] = set()
        self.direct = 0.0
        self.rates = {CANARY: canary, PRIMARY: primary}
        self.cluster = initialized(canary_manifest(analysis=spec))
        self.serve()
        self.cluster.set_image("podinfo:2")
        self.look()
        forget(self.cluster)

    def serve(self) -> None:
        """What the pods answer until the next look."""
        routes = self.cluster.state.routes
        share = routes.canary_weight / 100
        if self.cluster.parsed.spec.analysis.match:
            share *= self.matched
        for workload, part in ((CANARY, 1.0 if routes.mirrored else share), (PRIMARY, 1 - share)):
            total = self.users * part + (self.direct if share and workload == CANARY else 0)
            bad = total * self.rates[workload]
            if total and workload not in self.alone:
                self.mesh.serve(workload, total, bad)
                edges = {100.0: 0.9 * total, 250.0: 0.0, 500.0: 0.05 * total}
                self.mesh.take(workload, {**edges, 1000.0: 0.05 * total - bad, math.inf: bad})

    def leave_alone(self, *workloads: str) -> None:
        """Nobody calls these from now on."""
        self.alone.update(workloads)

    def answer(self, seconds: float = 10) -> None:
        self.cluster.answers["counters/errors"] = self.cluster.answers["counters/error-rate"] = self.mesh.errors()
        self.cluster.answers["counters/latency"] = self.mesh.latency()
        self.cluster.answers["traffic/requests"] = self.mesh.traffic(self.cluster.now + timedelta(seconds=seconds))
        self.cluster.answers["counters/orders"] = Samples(tuple(own_counters(self.mesh)))
        self.looks += 1
        for side, workload in (("canary", CANARY), ("primary", PRIMARY)):
            scatter = 1 + 0.1 * (self.looks % 3) * (side == "canary")
            self.cluster.answers[f"value/cpu/{side}"] = Value(100 * self.rates[workload] * scatter)

    def look(self, seconds: float = 10) -> Decision:
        """The traffic of so many seconds, and a tick."""
        self.serve()
        self.answer(seconds)
        return self.cluster.tick(seconds)

    def steps(self, most: int = 40) -> list[tuple[str, int]]:
        """Phase and weight after each look until the rollout is decided."""
        seen: list[tuple[str, int]] = []
        for _ in range(most):
            state = self.look().state
            seen.append((state.phase.value, state.routes.canary_weight))
            if state.phase is Phase.PROMOTING or state.phase in END_PHASES:
                return seen
        return seen

    def kept(self, metric: str = "errors") -> Comparison:
        found = self.cluster.state.evidence[metric]
        assert isinstance(found, Comparison)
        return found

    @property
    def compare(self) -> Compare:
        return next(metric.compare for metric in self.cluster.parsed.spec.analysis.metrics if metric.compare)

    @property
    def message(self) -> str:
        return self.cluster.state.message


def progressing(*weights: int) -> list[tuple[str, int]]:
    return [("Progressing", weight) for weight in weights]


FAILED, PROMOTING = ("Failed", 0), "Promoting"

ON_EVIDENCE: Mapping[str, Any] = {**STEPS, "advance": "onEvidence"}

COURSES: Mapping[str, tuple[dict[str, Any], dict[str, float], list[tuple[str, int]]]] = {
    # name: (analysis, traffic, phases and weights look by look)
    "a canary as good as the primary is promoted": (
        analysis(),
        {},
        [*progressing(10, 20, 30, 40, 50), (PROMOTING, 50)],
    ),
    "ten times the errors are rolled back at the second look, for none decides alone": (
        analysis(),
        {"canary": 0.1},
        [*progressing(10, 20), FAILED],
    ),
    "four times the errors are rolled back at once, whatever the threshold of failed checks says": (
        analysis(threshold=100),
        {"canary": 0.04},
        [*progressing(10, 20), FAILED],
    ),
    "errors that a threshold of 1% misses are found": (
        analysis(),
        {"canary": 0.006, "primary": 0.001},
        [*progressing(10, 20, 30, 40), FAILED],
    ),
    "2% of errors on both sides are no harm": (
        analysis(),
        {"canary": 0.02, "primary": 0.02},
        [*progressing(10, 20, 30, 40, 50), (PROMOTING, 50)],
    ),
    "with too little traffic for a verdict the canary is promoted": (
        analysis(),
        {"users": 100},
        [*progressing(10, 20, 30, 40, 50), (PROMOTING, 50)],
    ),
    "or rolled back after the failed checks, where that is asked for": (
        analysis(**ROLLBACK),
        {"users": 100},
        [*progressing(10, 20, 30, 40, 50, 50, 50), FAILED],
    ),
    "evidence that comes while failed checks are counted promotes": (
        analysis(**ROLLBACK, threshold=20),
        {"users": 400},
        [*progressing(10, 20, 30, 40, 50, 50, 50, 50), (PROMOTING, 50)],
    ),
    "on evidence a canary goes to the limit as soon as it is proven": (
        analysis(base=ON_EVIDENCE),
        {},
        [*progressing(10, 20, 50), (PROMOTING, 50)],
    ),
    "on evidence with less traffic it takes a step more": (
        analysis(base=ON_EVIDENCE),
        {"users": 1500},
        [*progressing(10, 20, 30, 50), (PROMOTING, 50)],
    ),
    "the largest step bounds the jump": (
        analysis(base=ON_EVIDENCE, maxStep=25),
        {"users": 20000},
        [*progressing(10, 20, 45, 50), (PROMOTING, 50)],
    ),
    "on evidence a harmful canary is rolled back as ever": (
        analysis(base=ON_EVIDENCE),
        {"canary": 0.04},
        [*progressing(10, 20), FAILED],
    ),
    # Copies count, but the one mirrored round is one look. Blue/green has as many as it has iterations.
    "on mirrored traffic a harmful canary meets users for one look: the copies are the first of the two that decide": (
        analysis(mirror=True),
        {"canary": 0.04},
        [*progressing(0, 10), FAILED],
    ),
    "an A/B test compares those who match with those who do not": (
        analysis(base=AB_TESTING, iterations=5),
        {},
        [*progressing(100, 100, 100, 100, 100), (PROMOTING, 100)],
    ),
    "an A/B test with harm is rolled back": (
        analysis(base=AB_TESTING, iterations=5),
        {"canary": 0.04},
        [*progressing(100, 100), FAILED],
    ),
    "blue/green is judged on mirrored traffic, then everybody moves": (
        analysis(base=BLUE_GREEN, iterations=3, mirror=True),
        {},
        [*progressing(0, 0, 0, 100), (PROMOTING, 100)],
    ),
    "a warm-up longer than the steps is waited for, and two looks more": (
        analysis(warmed("1m")),
        {"users": 100},
        [*progressing(10, 20, 30, 40, 50, 50, 50, 50), (PROMOTING, 50)],
    ),
    "harm that shows after a warm-up longer than the steps is found": (
        analysis(warmed("1m")),
        {"canary": 0.1},
        [*progressing(10, 20, 30, 40, 50, 50, 50, 50), FAILED],
    ),
    "harm that is likely when the steps are done is looked at again": (
        analysis(warmed("1m")),
        {"users": 20, "canary": 0.3, "primary": 0.0},
        [*progressing(10, 20, 30, 40, 50, 50, 50, 50, 50, 50), FAILED],
    ),
    "a canary that is proven is not waited for": (
        analysis(warmed("1m")),
        {"users": 20000},
        [*progressing(10, 20, 30, 40, 50, 50, 50, 50), (PROMOTING, 50)],
    ),
    "blue/green with harm on mirrored traffic never meets a user": (
        analysis(base=BLUE_GREEN, iterations=3, mirror=True),
        {"canary": 0.04},
        [*progressing(0, 0), FAILED],
    ),
    "blue/green without a verdict moves everybody": (
        analysis(base=BLUE_GREEN, iterations=3, mirror=True),
        {"users": 20},
        [*progressing(0, 0, 0, 100), (PROMOTING, 100)],
    ),
    "blue/green without a verdict moves nobody, where a rollback is asked for": (
        analysis(base=BLUE_GREEN, iterations=3, mirror=True, **ROLLBACK),
        {"users": 20},
        [*progressing(0, 0, 0, 0, 0), FAILED],
    ),
    "slow requests are compared as errors are": (
        analysis(LATENCY),
        {"canary": 0.04},
        [*progressing(10, 20), FAILED],
    ),
    "counters of the app's own are compared as Istio's are": (
        analysis(ORDERS),
        {"canary": 0.04},
        [*progressing(10, 20), FAILED],
    ),
    "as much CPU is no harm": (
        analysis(CPU),
        {},
        [*progressing(10, 20, 30, 40, 50), (PROMOTING, 50)],
    ),
    "four times the CPU is found from the numbers of four looks": (
        analysis(CPU),
        {"canary": 0.04},
        [*progressing(10, 20, 30, 40), FAILED],
    ),
    "two comparisons have both to pass": (
        analysis(ERRORS, LATENCY),
        {},
        [*progressing(10, 20, 30, 40, 50), (PROMOTING, 50)],
    ),
}


@pytest.mark.parametrize("name", COURSES)
def test_the_course_of_a_rollout(name):
    spec, traffic, course = COURSES[name]
    assert Rollout(spec, **traffic).steps() == course


def test_a_rollback_tells_the_evidence_and_sends_the_traffic_home():
    rollout = Rollout(analysis(), canary=0.04)
    rollout.steps()
    assert rollout.message == (
        "Rolling back backend.prod errors: errors 4% of 900 requests against the primary's 1% of 5,100, 4 times (1.2 or"
        f" more): harmful (p = {rollout.kept().test.p_value:.2g}, limit 0.05)"
    )
    assert rollout.cluster.events == [
        "Starting canary analysis for backend.prod",
        "Advance backend.prod canary weight 10",
        "Advance backend.prod canary weight 20",
        rollout.message,
        "Canary failed! Scaling down backend.prod",
    ]
    assert (rollout.cluster.weights(), rollout.cluster.replicas("backend")) == ((100, 0), 1)
    rolled_out(rollout.cluster)
    assert rollout.cluster.replicas("backend") == 0


def test_a_missing_verdict_is_reported_at_each_failed_check():
    rollout = Rollout(analysis(**ROLLBACK), users=100)
    rollout.steps()
    halts = [event for event in rollout.cluster.events if event.startswith("Halt")]
    assert len(halts) == 3
    assert halts[0].startswith(
        "Halt backend.prod advancement errors: errors 1% of 150 requests against the primary's 1% of"
    )
    assert rollout.message.startswith("Rolling back backend.prod failed checks threshold reached 3: Halt backend.prod")


@pytest.mark.parametrize(
    ("base", "weight"), [(STEPS, 50), ({**BLUE_GREEN, "mirror": True}, 0), ({**AB_TESTING}, 100)], ids=str
)
def test_with_a_gate_a_person_decides_what_no_comparison_could_tell(base, weight):
    rollout = Rollout(analysis(base=base, onInconclusive="gate", webhooks=[GATE]), users=20)
    closed = Refused("403 Forbidden")
    rollout.cluster.answers["webhook/confirm-promotion/approve"] = closed
    steps = rollout.steps(10)
    assert steps[-1] == ("WaitingPromotion", weight)
    assert rollout.cluster.state.failed_checks == 0
    called = rollout.cluster.events[-2:]
    assert called[0].startswith("Halt backend.prod advancement errors: errors 1% of ")
    assert called[1] == "Halt backend.prod advancement waiting for promotion approval approve"
    rollout.cluster.answers["webhook/confirm-promotion/approve"] = Passed()
    assert rollout.steps()[-1][0] == PROMOTING


def test_harm_that_shows_while_a_person_is_asked_is_rolled_back():
    rollout = Rollout(analysis(onInconclusive="gate", webhooks=[GATE]), users=100)
    rollout.cluster.answers["webhook/confirm-promotion/approve"] = Refused("403 Forbidden")
    rollout.steps(8)
    rollout.rates[CANARY] = 0.5
    assert rollout.steps()[-1] == FAILED


def test_what_was_not_proven_is_said_with_the_promotion_and_stays_in_the_condition():
    rollout = Rollout(analysis(), users=100)
    rollout.steps()
    proof = f"errors: {rollout.kept().describe(rollout.compare)}"
    assert rollout.cluster.events[-2:] == [
        f"Promoting backend.prod without proof: {proof}",
        "Copying backend.prod template spec to backend-primary.prod",
    ]
    rolled_out(rollout.cluster)
    for suspend in (False, True, False):
        rollout.cluster.edit_canary(suspend=suspend)
        rollout.cluster.tick(60)
        condition = rollout.cluster.canary["status"]["conditions"][0]
        assert (condition["status"], condition["message"]) == ("True", f"Promotion finished without proof: {proof}")


def test_a_promotion_with_proof_says_no_more_than_flagger_does():
    rollout = Rollout(analysis())
    rollout.steps()
    assert not [event for event in rollout.cluster.events if "proof" in event]
    rolled_out(rollout.cluster)
    assert "proof" not in rollout.cluster.canary["status"]["conditions"][0]["message"]


SAID = (
    "errors: the primary had no requests: send the load test to the service as users do (http://backend.prod:9898/),"
    " not to backend-canary"
)


def test_a_side_without_requests_is_said_from_the_fourth_look_and_fails_no_check():
    rollout = Rollout(analysis())
    rollout.leave_alone(PRIMARY)
    messages = [rollout.look().state.message for _ in range(5)]
    assert (messages, rollout.cluster.state.failed_checks) == (["", "", "", "", SAID], 0)
    assert rollout.steps()[-1] == (PROMOTING, 50)
    assert rollout.cluster.events.count(SAID) == 1
    assert f"Promoting backend.prod without proof: {SAID}" in rollout.cluster.events


def test_looks_that_come_faster_than_scrapes_say_nothing_of_idle_sides_too_early():
    rollout = Rollout(analysis(base={**STEPS, "stepWeight": 2}))
    rollout.cluster.options = replace(rollout.cluster.options, minimum_interval=1.0)
    rollout.cluster.edit_analysis(interval="5s")
    rollout.leave_alone(PRIMARY)
    spoken = [rollout.look(5).state.message for _ in range(10)]
    assert spoken == ["", "", "", "", "", "", "", "", SAID, SAID]


def test_the_remark_goes_with_the_first_look_that_counts():
    rollout = Rollout(analysis(base={**STEPS, "stepWeight": 5}))
    rollout.leave_alone(PRIMARY)
    assert [rollout.look().state.message for _ in range(5)][-1] == SAID
    rollout.alone.clear()
    told = [rollout.look().state.message for _ in range(3)]
    assert "had no requests" not in told[0]
    assert told[-1] == ""


def test_requests_that_do_not_follow_the_weights_are_told_once_and_fail_nothing():
    rollout = Rollout(analysis(base={**STEPS, "stepWeight": 5}))
    rollout.direct = 3000
    for _ in range(9):
        state = rollout.look().state
    assert state.message.startswith("Requests do not follow the weights: the canary had 53.8% of ")
    assert state.message.endswith("; is backend-canary called directly?")
    assert state.split is not None
    assert (state.split.said, state.failed_checks) == (state.message, 0)
    assert len([event for event in rollout.cluster.events if "do not follow" in event]) == 1
    rollout.cluster.set_image("podinfo:3")
    assert rollout.look().state.split is None


@pytest.mark.parametrize(
    "base", [{**AB_TESTING, "iterations": 9}, {**STEPS, "stepWeight": 5, "sessionAffinity": {"cookieName": "canary"}}]
)
def test_requests_that_are_chosen_do_not_follow_the_weights(base):
    rollout = Rollout(analysis(base=base))
    rollout.steps(8)
    assert rollout.cluster.state.split is None


def test_one_look_without_requests_among_others_is_not_remarked_on():
    rollout = Rollout(analysis())
    rollout.look()
    rollout.look()
    rollout.leave_alone(PRIMARY)
    assert rollout.look().state.message == ""


def test_a_gate_is_not_asked_for_nothing_where_the_inconclusive_is_rolled_back():
    rollout = Rollout(analysis(webhooks=[GATE], **ROLLBACK), users=100)
    rollout.steps()
    assert "webhook/confirm-promotion/approve" not in rollout.cluster.asked


def test_prometheus_out_of_reach_is_a_failed_check_and_loses_no_request():
    rollout = Rollout(analysis(threshold=10), users=3000)
    for _ in range(3):
        rollout.look()
    rollout.serve()
    rollout.cluster.answers["counters/errors"] = QueryFailed("http://prometheus:9090 gave no answer within 5s")
    state = rollout.cluster.tick(10).state
    assert (state.failed_checks, state.routes.canary_weight) == (1, 30)
    assert state.message == (
        "Halt advancement Prometheus query failed for errors: http://prometheus:9090 gave no answer within 5s"
    )
    rollout.look()
    served = sum(total for (workload, _, _), (total, _) in rollout.mesh.requests.items() if workload == CANARY)
    assert rollout.kept().strongest.seen.canary_total == served


def test_a_threshold_beside_the_comparison_fails_checks_by_itself():
    rollout = Rollout(analysis({**ERROR_RATE, "compare": {"errors": {}, "warmup": "0s"}}))
    rollout.cluster.answers["metric/error-rate"] = Value(7.0)
    assert rollout.steps() == [*progressing(10, 10, 10), FAILED]
    assert rollout.message.endswith(
        "failed checks threshold reached 3: Halt backend.prod advancement error-rate 7.00 > 1"
    )


def test_a_comparison_finds_what_the_threshold_beside_it_misses():
    rollout = Rollout(analysis({**ERROR_RATE, "compare": {"errors": {}, "warmup": "0s"}}), canary=0.006, primary=0.001)
    rollout.cluster.answers["metric/error-rate"] = Value(0.6)
    assert rollout.steps() == [*progressing(10, 20, 30, 40), FAILED]
    assert rollout.message.startswith("Rolling back backend.prod error-rate: errors 0.6% of 3,000 requests against")


def test_a_new_revision_starts_without_the_evidence_of_the_one_before():
    rollout = Rollout(analysis(), users=3000)
    for _ in range(4):
        rollout.look()
    assert rollout.kept().strongest.seen.canary_total > 0
    rollout.cluster.set_image("podinfo:3")
    rollout.mesh.restart(CANARY)
    rollout.look()
    assert rollout.cluster.state.evidence == {}
    rollout.look()
    assert rollout.kept().strongest.seen.canary_total == 0


def test_an_edited_comparison_starts_over_and_the_rollout_goes_on():
    rollout = Rollout(analysis(), canary=0.02)
    for _ in range(3):
        rollout.look()
    rollout.cluster.edit_analysis(
        metrics=[{"name": "errors", "compare": {"errors": {}, "harmlessRatio": 1.5, "warmup": "0s"}}]
    )
    state = rollout.look().state
    assert (state.phase, state.routes.canary_weight) == (Phase.PROGRESSING, 40)
    assert rollout.kept().strongest.seen.canary_total == 0


def test_new_pods_for_the_same_revision_do_not_wash_the_canary_clean():
    rollout = Rollout(analysis(threshold=10), canary=0.02, users=1500)
    for _ in range(3):
        rollout.look()
    before = rollout.kept()
    rollout.cluster.edit("Deployment", "backend", lambda item: item["spec"].update(replicas=0))
    rollout.mesh.restart(CANARY)
    weights = [rollout.look().state.routes.canary_weight for _ in range(3)]
    assert weights == [0, 10, 20]
    assert rollout.kept().strongest.seen.canary_total > before.strongest.seen.canary_total > 0
    assert rollout.kept().test.p_value < before.test.p_value


def looks_of(rollout: Rollout, restart: Callable[[Cluster], Cluster]) -> list[tuple[str, int, dict[str, Any]]]:
    """State after each look, the controller restarted before each."""
    seen: list[tuple[str, int, dict[str, Any]]] = []
    for _ in range(12):
        rollout.cluster = restart(rollout.cluster)
        state = rollout.look().state
        seen.append((state.phase.value, state.routes.canary_weight, dict(state.evidence)))
        if state.phase in END_PHASES or state.phase is Phase.PROMOTING:
            break
    return seen


def never(cluster: Cluster) -> Cluster:
    return cluster


def stored(cluster: Cluster) -> Cluster:
    """A controller that knows only what the API server has stored, as JSON."""
    again = Cluster(json.loads(json.dumps(cluster.canary, allow_nan=False)), clone(cluster.objects), cluster.now)
    again.answers = cluster.answers
    return again


@pytest.mark.parametrize("canary", [0.01, 0.02, 0.04])
@pytest.mark.parametrize("metric", [ERRORS, LATENCY, ORDERS, CPU], ids=["errors", "latency", "orders", "cpu"])
def test_a_controller_that_restarts_at_every_look_sees_the_same(canary, metric):
    spec = analysis(metric)
    assert looks_of(Rollout(spec, canary=canary), stored) == looks_of(Rollout(spec, canary=canary), never)


@pytest.mark.parametrize("writes", range(2))
def test_a_controller_that_dies_in_any_look_comes_to_the_same_verdict_at_the_same_look(writes):
    """It dies before its n-th write and looks again at the same counters."""
    undisturbed = looks_of(Rollout(analysis(), canary=0.02), never)
    rollout, seen = Rollout(analysis(), canary=0.02), []
    for _ in undisturbed:
        rollout.serve()
        rollout.answer()
        try:
            rollout.cluster.tick(10, crash=lambda write: write == writes)
        except CrashError:
            rollout.cluster = stored(rollout.cluster)
            rollout.cluster.tick(0)
        state = rollout.cluster.state
        seen.append((state.phase.value, state.routes.canary_weight, dict(state.evidence)))
    assert seen == undisturbed


def test_a_controller_that_dies_in_a_rollback_gives_the_canary_no_traffic_again():
    """The traffic has left and the status does not say so: the evidence is still there."""
    rollout = Rollout(analysis(), canary=0.02)
    while rollout.cluster.phase is Phase.PROGRESSING:
        before = stored(rollout.cluster)
        rollout.serve()
        rollout.answer()
        rollout.cluster.tick(10)
    before.answers = rollout.cluster.answers
    with pytest.raises(CrashError):
        before.tick(10, crash=lambda write: write == 1)
    assert (before.weights(), before.phase) == ((100, 0), Phase.PROGRESSING)
    rollout.cluster = before
    assert rollout.steps() == [FAILED]
    assert rollout.message.startswith(
        "Rolling back backend.prod errors: errors 2% of 6,000 requests against the primary's 1% of "
    )


def test_a_canary_is_proven_though_every_other_scrape_misses_its_pods():
    rollout = Rollout(analysis(threshold=100), canary=0.01)
    served = 0.0
    for look in range(20):
        rollout.mesh.hidden = {CANARY, PRIMARY} if look % 2 else set()
        state = rollout.look().state
        if not rollout.mesh.hidden:
            served = rollout.mesh.requests.get((CANARY, "destination", CANARY), (0.0, 0.0))[0]
        if state.phase is Phase.PROMOTING:
            break
    assert (rollout.cluster.phase, rollout.kept().strongest.seen.canary_total) == (Phase.PROMOTING, served)


def test_harm_is_waited_for_though_every_other_scrape_misses_the_pods_and_the_steps_are_done():
    rollout = Rollout(analysis(warmed("1m")), canary=0.3)
    for look in range(20):
        rollout.mesh.hidden = set() if look % 3 == 2 else {CANARY, PRIMARY}
        if rollout.look().state.phase in END_PHASES:
            break
    assert rollout.cluster.phase is Phase.FAILED


def test_the_example_of_the_docs_is_a_canary_that_is_promoted():
    text = (Path(__file__).parents[4] / "docs" / "statistics.md").read_text(encoding="utf-8")
    example = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])["analysis"]
    rollout = Rollout({**example, "interval": "10s"}, users=20000)
    assert rollout.steps()[-1][0] == PROMOTING
    assert not [event for event in rollout.cluster.events if "Halt" in event]
