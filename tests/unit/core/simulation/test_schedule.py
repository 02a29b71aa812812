"""A predicted rollout is the rollout that the core then does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from controller.api.canary import Canary
from controller.api.status import Phase
from controller.core.evidence.e_values import Counts
from controller.core.evidence.planning import requests_to_fail, requests_to_pass
from controller.core.evidence.question import Question, Verdict
from controller.core.evidence.sequential import SequentialTest
from controller.core.model import Routes
from controller.core.probes import Value
from controller.core.simulation.expectations import Expectation, Traffic
from controller.core.simulation.schedule import plan_schedule
from controller.core.simulation.steps import plan_steps
from tests.builders import AB_TESTING, BLUE_GREEN, ERROR_RATE, WEIGHTED, canary_manifest, make_canary, webhook
from tests.unit.core.cluster import progressing

COMPARE = {"name": "errors", "compare": {"errors": {}, "warmup": "0s"}}
ON_EVIDENCE = {**WEIGHTED, "stepWeight": 10, "advance": "onEvidence"}
STEADY = {
    "interval": "30s",
    "threshold": 3,
    "stepWeights": [10],
    "metrics": [COMPARE],
    "onInconclusive": "rollback",
}

ANALYSES: dict[str, Mapping[str, Any]] = {
    "equal steps, the last cut to maxWeight": WEIGHTED,
    "steps as given": {"interval": "10s", "threshold": 1, "stepWeights": [1, 5, 5, 80]},
    "a mirrored round before the steps": {**WEIGHTED, "mirror": True},
    "A/B rounds": AB_TESTING,
    "blue/green rounds and one with all users": BLUE_GREEN,
    "mirrored blue/green rounds": {**BLUE_GREEN, "mirror": True},
}


def done(analysis: Mapping[str, Any], *, failing: int = 0) -> tuple[list[Routes], float]:
    """The routes that the core sets, interval by interval, and the seconds from the first to the promotion."""
    cluster = progressing(0, canary_manifest(analysis={**analysis, "metrics": [ERROR_RATE]}))
    routes: list[Routes] = []
    while cluster.tick(10).state.phase is Phase.PROGRESSING:
        routes.append(cluster.state.routes)
        cluster.answers["metric/error-rate"] = Value(100.0 if len(routes) <= failing else 0.0)
    assert cluster.phase is Phase.PROMOTING
    return routes, 10.0 * len(routes)


@pytest.mark.parametrize("name", ANALYSES)
def test_the_steps_are_those_that_the_core_takes(name):
    analysis = ANALYSES[name]
    schedule = plan_schedule(make_canary(analysis=analysis).spec.analysis)
    assert ([step.routes for step in schedule.steps], schedule.shortest) == done(analysis)
    assert [step.begins_at for step in schedule.steps] == [10.0 * number for number in range(len(schedule.steps))]


@pytest.mark.parametrize("name", ANALYSES)
def test_the_longest_time_is_that_of_all_the_failures_that_the_threshold_lets_pass(name):
    analysis = ANALYSES[name]
    _, seconds = done(analysis, failing=analysis["threshold"] - 1)
    assert plan_schedule(make_canary(analysis=analysis).spec.analysis).longest == seconds


@pytest.mark.parametrize("gate", ["confirm-traffic-increase", "confirm-promotion"])
def test_behind_a_gate_there_is_no_longest_time(gate):
    analysis = make_canary(analysis={**WEIGHTED, "webhooks": [webhook("gate", gate)]}).spec.analysis
    assert plan_schedule(analysis).longest is None


def test_an_interval_below_the_floor_is_the_floor():
    analysis = make_canary(analysis={**WEIGHTED, "interval": "1s"}).spec.analysis
    assert (plan_schedule(analysis).interval, plan_schedule(analysis, floor=1.0).interval) == (10.0, 1.0)


@pytest.mark.parametrize(
    ("analysis", "proven_from", "weights"),
    [
        ({}, None, [10, 20, 30, 40, 50]),
        ({}, 1, [10, 50]),
        ({}, 3, [10, 20, 30, 50]),
        ({"maxStep": 15}, 1, [10, 25, 40, 50]),
        ({"mirror": True}, 1, [0, 50]),
    ],
)
def test_on_evidence_the_weights_jump_from_the_look_that_passes(analysis, proven_from, weights):
    spec = make_canary(analysis={**ON_EVIDENCE, **analysis, "metrics": [COMPARE]}).spec.analysis
    assert [step.routes.canary_weight for step in plan_steps(spec, proven_from=proven_from)] == weights


@pytest.mark.parametrize(
    ("analysis", "compare", "looks"),
    [
        pytest.param(
            {}, {"warmup": "0s"}, 3, id="no look decides alone: a second passes, a third is at the last weight"
        ),
        pytest.param({}, {"warmup": "0s", "risk": 0.5}, 2, id="but where so much risk is taken"),
        pytest.param({}, {"warmup": "0s", "risk": 0.001}, 5, id="a small risk takes more looks"),
        pytest.param({}, {"warmup": "30s"}, 5, id="two looks that begin after the warm-up"),
        pytest.param({}, {"warmup": "31s"}, 6, id="a warm-up that ends within a look"),
        pytest.param({}, {"warmup": "2m"}, 14, id="a warm-up longer than the steps"),
        pytest.param({}, {"warmup": "1m", "risk": 0.001}, 8, id="without proof two looks after the warm-up"),
        pytest.param({"onInconclusive": "rollback"}, {"warmup": "1m", "risk": 0.001}, 10, id="not without proof"),
    ],
)
def test_on_evidence_the_shortest_time_is_until_every_comparison_can_have_passed(analysis, compare, looks):
    metric = {"name": "errors", "compare": {"errors": {}, **compare}}
    spec = make_canary(analysis={**ON_EVIDENCE, **analysis, "metrics": [metric]}).spec.analysis
    assert plan_schedule(spec).shortest == 10.0 * looks


def test_a_dry_run_holds_nothing_up_and_takes_no_risk():
    dry_run = {"name": "slow", "dryRun": True, "compare": {"latency": {"edges": ["1s"]}, "warmup": "10m"}}
    traffic = Traffic(requests_per_second=200.0, bad_rates={"errors": (0.01,), "slow": (1e-9,)})
    alone, both = (
        plan_schedule(make_canary(analysis={**STEADY, "metrics": metrics}).spec.analysis, traffic)
        for metrics in ([COMPARE], [COMPARE, dry_run])
    )
    assert (both.shortest, both.healthy) == (alone.shortest, alone.healthy)
    assert [each for each in both.expectations if not each.dry_run] == list(alone.expectations)
    assert {each.look for each in both.expectations if each.dry_run} == {None}


def expectations(canary: Canary, requests_per_second: float, *rates: float) -> tuple[Expectation, ...]:
    bad_rates = {metric.name: rates for metric in canary.spec.analysis.metrics if metric.compare}
    traffic = Traffic(requests_per_second=requests_per_second, bad_rates=bad_rates)
    return plan_schedule(canary.spec.analysis, traffic).expectations


def test_at_one_weight_a_verdict_takes_the_requests_that_planning_says():
    question = Question()
    needs = (
        requests_to_fail(question, primary_rate=0.01, ratio=2.0, canary_share=0.1),
        requests_to_fail(question, primary_rate=0.01, ratio=10.0, canary_share=0.1),
        requests_to_pass(question, primary_rate=0.01, canary_share=0.1),
    )
    found = expectations(make_canary(analysis=STEADY), 400.0, 0.01)
    assert [each.needs for each in found] == list(needs)
    assert [each.look for each in found] == [max(2, math.ceil(need / (0.1 * 400 * 30))) for need in needs] == [3, 2, 2]
    assert [each.seconds for each in found] == [30.0 * (each.look or 0) for each in found]
    assert [(each.verdict, each.ratio) for each in found] == [
        (Verdict.FAIL, 2.0),
        (Verdict.FAIL, 10.0),
        (Verdict.PASS, 1.0),
    ]


def test_what_the_plan_counts_too_few_requests_for_is_not_expected():
    canary = make_canary(analysis=STEADY)
    assert [each.look for each in expectations(canary, 1.0, 0.001)] == [None, None, None]
    assert {each.gets for each in expectations(canary, 1.0, 0.001)} == {0.1 * 30 * 4}


def test_the_expected_look_is_that_of_the_test_fed_with_the_mean():
    """An end to end check of the sum over steps of different weight."""
    analysis = {"interval": "30s", "threshold": 1, "stepWeights": list(range(5, 51, 5)), "metrics": [COMPARE]}
    canary, rate, pace = make_canary(analysis=analysis), 0.005, 60.0
    test, found = SequentialTest.start(), dict[tuple[Verdict, float], int]()
    for ratio, verdict in ((2.0, Verdict.FAIL), (1.0, Verdict.PASS)):
        each = test
        for number, step in enumerate(plan_steps(canary.spec.analysis), start=1):
            total = pace * 30 * step.routes.canary_weight / 100
            primary = pace * 30 - total
            each = each.look([Counts(total, total * rate * ratio, primary, primary * rate)])
            if each.verdict is verdict:
                found.setdefault((verdict, ratio), number)
    planned = {(each.verdict, each.ratio): each.look or 0 for each in expectations(canary, pace, rate)}
    assert found
    assert all(abs(planned[key] - look) <= 1 for key, look in found.items()), (planned, found)


@pytest.mark.parametrize(
    ("compare", "look"),
    [
        pytest.param({}, 2, id="at the second look: none decides alone"),
        pytest.param({"risk": 0.01}, 3, id="at the third where the risk is smaller"),
        pytest.param({"warmup": "1m"}, 4, id="at the second after the warm-up"),
        pytest.param({"minRequests": 1500}, 3, id="not before enough requests"),
    ],
)
def test_a_verdict_waits_for_what_the_metric_asks(compare, look):
    analysis = {**STEADY, "metrics": [{"name": "errors", "compare": {"errors": {}, "warmup": "0s", **compare}}]}
    breakage = expectations(make_canary(analysis=analysis), 200.0, 0.05)[1]
    assert (breakage.ratio, breakage.look) == (10.0, look)


def test_latency_fails_at_the_quickest_edge_and_passes_at_the_slowest():
    metric = {"name": "latency", "compare": {"latency": {"edges": ["100ms", "1s"]}, "warmup": "0s"}}
    canary = make_canary(analysis={**STEADY, "metrics": [metric]})
    both = expectations(canary, 200.0, 0.2, 0.002)
    common, rare = (expectations(canary, 200.0, rate, rate) for rate in (0.2, 0.002))
    assert (both[0].needs, both[-1].needs) == (common[0].needs, rare[-1].needs)


def test_a_day_on_which_everything_fails_is_no_error():
    assert all(each.needs > 0 for each in expectations(make_canary(analysis=STEADY), 100.0, 1.0))


@pytest.mark.parametrize(
    ("analysis", "looks"),
    [
        pytest.param({**AB_TESTING, "metrics": [COMPARE]}, (), id="A/B: nobody knows how many match"),
        pytest.param({**BLUE_GREEN, "metrics": [COMPARE]}, (None, None, None), id="blue/green: no users to compare"),
        pytest.param({**BLUE_GREEN, "mirror": True, "metrics": [COMPARE]}, (2, 2, 2), id="a copy is compared"),
        pytest.param({**STEADY, "stepWeights": [100]}, (None, None, None), id="all users: none on the primary"),
    ],
)
def test_only_looks_with_traffic_on_both_sides_count(analysis, looks):
    canary = make_canary(analysis=analysis)
    assert tuple(each.look for each in expectations(canary, 1000.0, 0.05)) == looks


def test_a_good_canary_is_done_when_it_has_passed_and_climbed():
    spec = make_canary(analysis={**ON_EVIDENCE, "metrics": [COMPARE]}).spec.analysis
    traffic = Traffic(requests_per_second=1000.0, bad_rates={"errors": (0.01,)})
    passed = next(each.look for each in plan_schedule(spec, traffic).expectations if each.verdict is Verdict.PASS)
    assert (passed, plan_schedule(spec, traffic).healthy) == (2, 30.0)
    slow = replace(traffic, requests_per_second=0.01)
    assert plan_schedule(spec, slow).healthy == 50.0
    assert plan_schedule(spec.model_copy(update={"on_inconclusive": "rollback"}), slow).healthy is None
    assert plan_schedule(spec).healthy is None
