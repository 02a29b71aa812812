"""All metrics of an analysis together: what is asked, what the answers mean, and what is remembered of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.api.parse import parse_canary
from controller.core.analysis.checks import Measured, baseline, inconclusive, measure
from controller.core.decision import Measure
from controller.core.evidence.comparison import Comparison
from controller.core.evidence.readings import MAX_COUNTS
from controller.core.model import Check, Facts, Observation, Routes, State
from controller.core.model import Evidence as AnyEvidence
from controller.core.probes import CounterProbe, History, NoValues, ProbeResult, QueryFailed, Sample, Samples, Value
from controller.core.status import state_from_status, status_from_state
from controller.core.tick import Tick
from tests.builders import ERROR_RATE, NOW, WEIGHTED, canary_manifest, error_rate_template, make_canary
from tests.unit.core.mesh import CANARY, PRIMARY, Mesh

ERRORS: Mapping[str, Any] = {"name": "errors", "compare": {"errors": {}, "warmup": "0s"}}
LATENCY: Mapping[str, Any] = {"name": "latency", "compare": {"latency": {"edges": ["100ms"]}, "warmup": "0s"}}
BOTH: Mapping[str, Any] = {**ERROR_RATE, "compare": {"errors": {}, "warmup": "0s"}}
CALL = "send the load test to the service as users do (http://backend.prod:9898/)"
VALUE: Mapping[str, Any] = {
    "name": "cpu",
    "compare": {"value": {"query": "cpu{{workload}}", "better": "either"}, "warmup": "0s"},
}
Evidence = Mapping[str, AnyEvidence]


def tick(
    *metrics: Mapping[str, Any],
    evidence: Evidence | None = None,
    answers: Mapping[str, ProbeResult] | None = None,
    seconds: float = 0.0,
) -> Tick:
    canary = make_canary(analysis={**WEIGHTED, "metrics": list(metrics)})
    templates = {"istio-system/error-rate": error_rate_template()}
    past = {f"history/{metric['name']}": History(()) for metric in metrics if "compare" in metric}
    facts = Facts(now=NOW + timedelta(seconds=seconds), canary=canary, templates=templates)
    known = {"traffic/requests": NoValues()} | past | dict(answers or {})
    return Tick(State(evidence=evidence or {}), Observation(facts, known))


def looked(*looks: Any, metric: Mapping[str, Any] = ERRORS) -> Evidence:
    """The evidence after looks one by one."""
    evidence = started(metric)
    for number in range(1, len(looks) + 1):
        answers: dict[str, ProbeResult] = {
            f"counters/{metric['name']}": served(*looks[:number]),
            "metric/error-rate": Value(0.5),
        }
        evidence = measured(tick(metric, evidence=evidence, answers=answers)).evidence
    return evidence


def served(*looks: tuple[tuple[float, float], tuple[float, float]]) -> Samples:
    """Counters after looks in which canary and primary served so many requests and bad ones."""
    mesh = Mesh()
    mesh.serve(PRIMARY, 1000, 10)
    for canary, primary in looks:
        mesh.serve(CANARY, *canary)
        mesh.serve(PRIMARY, *primary)
    return mesh.errors()


HEALTHY, HARMFUL, BETTER = ((100, 1), (900, 9)), ((100, 30), (900, 9)), ((9000, 20), (9000, 90))


def started(*metrics: Mapping[str, Any]) -> Evidence:
    """The evidence of a rollout that begins."""
    answers = {f"counters/{metric['name']}": served() for metric in metrics}
    return begun(tick(*metrics, answers=answers)).evidence


def measured(asked: Tick) -> Measured:
    outcome = measure(asked)
    assert isinstance(outcome, Measured)
    return outcome


def begun(asked: Tick) -> Measured:
    outcome = baseline(asked)
    assert isinstance(outcome, Measured)
    return outcome


def canary_total(evidence: Evidence) -> float:
    seen = evidence["errors"].seen
    return seen.canary_total if seen else 0.0


def keys(asked: Any) -> tuple[str, ...]:
    assert isinstance(asked, Measure)
    return tuple(probe.key for probe in asked.probes)


@pytest.mark.parametrize(
    ("metrics", "measured", "before"),
    [
        pytest.param((), (), (), id="nothing to measure"),
        pytest.param((ERROR_RATE,), ("metric/error-rate",), (), id="a threshold"),
        pytest.param((ERRORS,), ("counters/errors",), ("counters/errors", "history/errors"), id="a comparison"),
        pytest.param(
            (BOTH,),
            ("metric/error-rate", "counters/error-rate"),
            ("counters/error-rate", "history/error-rate"),
            id="both on one metric",
        ),
        pytest.param(
            (ERRORS, ERROR_RATE, LATENCY),
            ("metric/error-rate", "counters/errors", "counters/latency"),
            ("counters/errors", "counters/latency", "history/errors", "history/latency"),
            id="several",
        ),
        pytest.param(
            (VALUE,),
            ("value/cpu/canary", "value/cpu/primary"),
            ("value/cpu/canary", "value/cpu/primary"),
            id="a number of each side",
        ),
    ],
)
def test_all_queries_are_asked_at_once_and_before_the_first_traffic_counters_and_their_past(metrics, measured, before):
    unasked = tick(*metrics)
    unasked = replace(unasked, observation=replace(unasked.observation, results={}))
    for asked, wanted in ((measure(unasked), measured), (baseline(unasked), before)):
        assert keys(asked) == (*wanted, "traffic/requests")


def test_both_sides_are_one_query():
    probes = measure(tick(ERRORS))
    assert isinstance(probes, Measure)
    (probe,) = probes.probes
    assert isinstance(probe, CounterProbe)
    assert 'destination_workload=~"backend|backend-primary"' in probe.query


@pytest.mark.parametrize(
    ("value", "look", "passed", "harm"),
    [
        pytest.param(Value(0.5), HEALTHY, [True, True], [], id="both are content"),
        pytest.param(Value(7.0), HEALTHY, [False, True], [], id="the threshold alone fails a check"),
        pytest.param(Value(0.5), HARMFUL, [True, False], ["error-rate"], id="the comparison alone finds harm"),
        pytest.param(NoValues(), HEALTHY, [False, True], [], id="a value that is missing"),
    ],
)
def test_a_metric_with_a_threshold_and_a_comparison_is_judged_by_each(value, look, passed, harm):
    answers = {"metric/error-rate": value, "counters/error-rate": served(look, look)}
    outcome = measured(tick(BOTH, evidence=looked(look, metric=BOTH), answers=answers))
    assert [check.name for check in outcome.checks] == ["error-rate", "error-rate"]
    assert [check.passed for check in outcome.checks] == passed
    assert [check.name for check in outcome.harm] == harm
    assert outcome.failures == tuple(check for check in outcome.checks if not check.passed)


def test_counters_that_cannot_be_read_fail_a_check_and_leave_the_evidence():
    before = measured(tick(ERRORS, evidence=started(ERRORS), answers={"counters/errors": served(HEALTHY)})).evidence
    outcome = measured(tick(ERRORS, evidence=before, answers={"counters/errors": QueryFailed("refused")}))
    (check,) = outcome.checks
    assert (check.passed, check.value) == (False, None)
    assert check.detail == "Prometheus query failed for errors: refused"
    assert (outcome.evidence, outcome.harm) == (before, ())


def test_what_came_while_counters_could_not_be_read_is_counted_by_the_next_look():
    evidence = started(ERRORS)
    for answer in (QueryFailed("refused"), served(HEALTHY, HEALTHY)):
        evidence = measured(tick(ERRORS, evidence=evidence, answers={"counters/errors": answer})).evidence
    assert canary_total(evidence) == 200


def test_without_a_baseline_the_first_look_is_it():
    outcome = measured(tick(ERRORS, answers={"counters/errors": served(HARMFUL)}))
    assert (outcome.harm, canary_total(outcome.evidence)) == ((), 0)
    again = tick(ERRORS, evidence=outcome.evidence, answers={"counters/errors": served(HARMFUL, HEALTHY)})
    assert canary_total(measured(again).evidence) == 100


def test_an_answer_that_is_none_is_a_mistake_of_the_program():
    with pytest.raises(TypeError, match="counters are answered by Samples or QueryFailed, not by Value"):
        measure(tick(ERRORS, answers={"counters/errors": Value(1.0)}))


@pytest.mark.parametrize(
    ("looks", "reasons"),
    [
        pytest.param((), ("errors: nothing counted yet",), id="no evidence at all"),
        pytest.param(
            (((0, 0), (900, 9)),),
            (f"errors: the canary had no requests: {CALL}",),
            id="a side without requests",
        ),
        pytest.param(
            (HEALTHY,),
            (
                (
                    "errors: errors 1% of 100 requests against the primary's 1% of 900, 1 times (0 to 8.3): no sign of"
                    " harm; 2 times the primary's plus 0.5 points cannot be ruled out before about 530 more requests"
                    " (p = 1, limit 0.05)"
                ),
            ),
            id="not enough of it",
        ),
        pytest.param((BETTER, BETTER), (), id="a comparison that passed"),
    ],
)
def test_what_has_not_passed_is_named(looks, reasons):
    state = State()
    if looks:
        asked = tick(ERRORS, evidence=looked(*looks[:-1]), answers={"counters/errors": served(*looks)})
        asked = replace(asked, state=replace(asked.state, routes=Routes(10)))
        outcome = measured(asked)
        state = State(checks=outcome.checks, evidence=outcome.evidence)
    assert inconclusive(make_canary(analysis={**WEIGHTED, "metrics": [ERRORS, ERROR_RATE]}), state) == reasons


def test_evidence_of_the_same_revision_stays_when_its_steps_restart():
    before = measured(tick(ERRORS, evidence=started(ERRORS), answers={"counters/errors": served(HEALTHY)})).evidence
    again = begun(tick(ERRORS, evidence=before, answers={"counters/errors": served(HEALTHY, HEALTHY)}, seconds=60))
    assert canary_total(again.evidence) == 200
    assert again.evidence["errors"].since == NOW + timedelta(seconds=60)
    assert again.harm == ()
    unread = begun(tick(ERRORS, evidence=before, answers={"counters/errors": QueryFailed("refused")}, seconds=60))
    assert unread.evidence == before


def test_a_revision_that_is_known_to_do_harm_gets_no_traffic_again():
    answers = {"counters/errors": served(HARMFUL, HARMFUL)}
    again = begun(tick(ERRORS, evidence=looked(HARMFUL), answers=answers))
    assert [check.name for check in again.harm] == ["errors"]


def test_what_tests_send_to_the_canary_before_its_first_traffic_never_counts():
    waiting = started(ERRORS)
    again = begun(tick(ERRORS, evidence=waiting, answers={"counters/errors": served(HARMFUL)}))
    assert (canary_total(again.evidence), again.harm) == (0, ())
    after = measured(tick(ERRORS, evidence=again.evidence, answers={"counters/errors": served(HARMFUL, HEALTHY)}))
    assert canary_total(after.evidence) == 100


def test_a_baseline_that_cannot_be_read_is_none():
    assert begun(tick(ERRORS, answers={"counters/errors": QueryFailed("refused")})) == Measured()


@pytest.mark.parametrize("answer", [NoValues(), Value(0.0), Value(-1.0), Value(math.inf)], ids=str)
@pytest.mark.parametrize("side", ["canary", "primary"])
def test_a_number_that_has_no_ratio_is_told_and_fails_no_check(side, answer):
    answers = {"value/cpu/canary": Value(1.0), "value/cpu/primary": Value(1.0), f"value/cpu/{side}": answer}
    (check,) = measured(tick(VALUE, evidence=begun(tick(VALUE, answers=answers)).evidence, answers=answers)).checks
    assert check.passed
    assert f"the last look did not count: the {side}" in check.detail


numbers = st.floats() | st.sampled_from([-1.0, 0.0, 1e308, 5e-324, 1e16]) | st.integers(0, 10**9).map(float)
labels = st.fixed_dictionaries(
    {},
    optional={
        "destination_workload": st.sampled_from([CANARY, PRIMARY, "other"]),
        "reporter": st.sampled_from(["destination", "source"]),
        "instance": st.text(max_size=3) | st.just("x" * 1000),
        "bad": st.sampled_from(["true", "false"]),
        "le": st.sampled_from(["100", "100.0", "+Inf", "NaN", "-1", "", "edge"]),
    },
)
samples = st.lists(st.builds(Sample, labels, numbers), max_size=12).map(lambda found: Samples(tuple(found)))
counters = samples | st.builds(QueryFailed, st.text(max_size=9))
values = st.builds(Value, numbers) | st.just(NoValues()) | st.builds(QueryFailed, st.text(max_size=9))
EVERY: tuple[Mapping[str, Any], ...] = (
    ERRORS,
    LATENCY,
    ERROR_RATE,
    {"name": "request-duration", "thresholdRange": {"max": 500}},
    {"name": "request-success-rate", "thresholdRange": {"min": 99}},
    VALUE,
)


@settings(deadline=None)
@given(st.lists(st.tuples(counters, counters, values, values, values, values), min_size=1, max_size=4))
def test_whatever_prometheus_answers_becomes_checks_and_evidence_that_can_be_kept(looks):
    evidence: Evidence = {}
    for number, answered in enumerate(looks):
        answers: dict[str, ProbeResult] = {}
        for metric, answer in zip(EVERY, answered, strict=True):
            answers[f"{'counters' if 'compare' in metric else 'metric'}/{metric['name']}"] = answer
        answers |= {"value/cpu/canary": answered[-1], "value/cpu/primary": Value(1.0)}
        asked = tick(*EVERY, evidence=evidence, answers=answers, seconds=10.0 * number)
        outcome = measured(asked)
        status = status_from_state(State(checks=outcome.checks, evidence=outcome.evidence), asked.canary, NOW).to_dict()
        stored = json.loads(json.dumps(status, allow_nan=False))
        manifest = canary_manifest(analysis={**WEIGHTED, "metrics": list(EVERY)})
        evidence = state_from_status(parse_canary({**manifest, "status": stored})).evidence
        assert evidence == outcome.evidence
        for check, answer in zip(outcome.checks, (*answered[2:5], *answered[:2], answered[5]), strict=True):
            read = [answer] if isinstance(answer, Value) else answer.samples if isinstance(answer, Samples) else []
            assert not check.passed or check.name == "cpu" or all(math.isfinite(each.value) for each in read)
            assert not check.passed or not isinstance(answer, QueryFailed)
            assert not check.passed or check.name == "cpu" or not isinstance(answer, NoValues)


@pytest.mark.parametrize(
    ("metric", "answer", "problem"),
    [
        pytest.param(ERRORS, served(((math.nan, 0), (900, 9))), "nan is not a number of requests", id="not a number"),
        pytest.param(ERRORS, served(((-5, 0), (900, 9))), "-5.0 is not a number of requests", id="negative"),
        pytest.param(ERRORS, served(((math.inf, 0), (900, 9))), "inf is not a number of requests", id="infinite"),
        pytest.param(
            LATENCY,
            Samples(
                (
                    Sample(
                        {"destination_workload": CANARY, "reporter": "destination", "instance": "a", "le": "+Inf"}, 9.0
                    ),
                )
            ),
            "the canary's histogram has no bucket up to 100 ms; of those asked it has +Inf",
            id="an edge that is none",
        ),
    ],
)
def test_an_answer_that_cannot_be_compared_is_a_failed_check_and_no_harm(metric, answer, problem):
    name = metric["name"]
    asked = tick(metric, evidence=started(metric), answers={f"counters/{name}": answer})
    outcome = measured(asked)
    detail = f"counters of {name} cannot be compared: {problem}"
    assert (outcome.checks, outcome.harm) == ((Check(name, passed=False, value=None, detail=detail),), ())


def test_more_pods_than_can_be_remembered_do_not_count_and_are_not_kept():
    mesh = Mesh()
    for pod in range(MAX_COUNTS // 2 + 1):
        mesh.serve(CANARY, 10, 1, pod=str(pod))
    outcome = measured(tick(ERRORS, evidence=started(ERRORS), answers={"counters/errors": mesh.errors()}))
    comparison = outcome.evidence["errors"]
    assert isinstance(comparison, Comparison)
    assert comparison.test.skipped == "5002 counts of one side, from all its pods, are more than 5000"
    assert comparison.reading.canary == {}
