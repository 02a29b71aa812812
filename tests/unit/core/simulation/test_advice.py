"""What a plan is advised to change makes the verdict fit, and nothing smaller of its kind would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from controller.api.analysis import Analysis
from controller.core.evidence.question import Verdict
from controller.core.simulation import advice
from controller.core.simulation.advice import Change, expect_again, suggest, with_compare
from controller.core.simulation.expectations import Expectation, Traffic
from controller.core.simulation.schedule import plan_schedule
from tests.builders import make_canary

WEIGHTS = {"interval": "30s", "threshold": 3, "stepWeight": 10, "maxWeight": 50}
MIRRORED = {"interval": "30s", "threshold": 3, "iterations": 5, "mirror": True}
ERRORS = {"name": "seen", "compare": {"errors": {}, "warmup": "0s"}}
SLOW = {"name": "seen", "compare": {"latency": {"edges": ["100ms", "1s"]}}}
LOW = {"name": "seen", "compare": {"errors": {}, "sensitivity": "low"}}
HIGH = {"name": "seen", "compare": {"errors": {}, "sensitivity": "high"}}

PLANS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any], float, tuple[float, ...]]] = {
    "errors, little traffic": (WEIGHTS, ERRORS, 20.0, (0.005,)),
    "hardly any traffic": (WEIGHTS, ERRORS, 1.0, (0.01,)),
    "latency at two edges": (WEIGHTS, SLOW, 20.0, (0.05, 0.01)),
    "a low sensitivity": (WEIGHTS, LOW, 50.0, (0.01,)),
    "a high sensitivity": (WEIGHTS, HIGH, 50.0, (0.01,)),
    "copies of requests": (MIRRORED, ERRORS, 10.0, (0.005,)),
}


def missed(analysis: Analysis, traffic: Traffic) -> tuple[Expectation, ...]:
    return tuple(each for each in plan_schedule(analysis, traffic).expectations if each.look is None)


def edited(analysis: Analysis, field: str, value: str | float) -> Analysis:
    if field == "interval":
        return analysis.model_copy(update={"interval": value})
    return with_compare(analysis, "seen", {field: value})


def smaller(change: Change) -> tuple[str | float, ...]:
    """The edits of the kind that were not far enough."""
    kinds: Mapping[str, tuple[str | float, ...]] = {
        "interval": advice.INTERVALS[advice.INTERVALS.index("30s") + 1 :],
        "harmful_ratio": advice.HARMFUL_RATIOS,
        "harmful_margin": advice.HARMFUL_MARGINS,
        "harmless_ratio": advice.HARMLESS_RATIOS,
        "harmless_margin": advice.HARMLESS_MARGINS,
    }
    values = kinds[change.field]
    return values[: values.index(change.value)]


@pytest.mark.parametrize("name", PLANS)
def test_with_the_smallest_edit_of_a_kind_the_verdict_fits(name):
    steps, metric, pace, rates = PLANS[name]
    analysis = make_canary(analysis={**steps, "metrics": [metric]}).spec.analysis
    traffic = Traffic(requests_per_second=pace, bad_rates={"seen": rates})
    out_of_reach = missed(analysis, traffic)
    assert out_of_reach
    for each in out_of_reach:
        changes = suggest(analysis, traffic, each)
        assert changes, each
        for change in changes:
            again = expect_again(edited(analysis, change.field, change.value), traffic, each)
            assert again == change.then
            assert again is not None
            assert again.look is not None
            for less in smaller(change):
                before = expect_again(edited(analysis, change.field, less), traffic, each)
                assert before is not None
                assert before.look is None, (change, less)


def test_for_a_pass_larger_harm_is_asked_about_and_for_a_fail_smaller():
    steps, metric, pace, rates = PLANS["errors, little traffic"]
    analysis = make_canary(analysis={**steps, "metrics": [metric]}).spec.analysis
    traffic = Traffic(requests_per_second=pace, bad_rates={"seen": rates})
    fields = {each.verdict: {c.field for c in suggest(analysis, traffic, each)} for each in missed(analysis, traffic)}
    assert fields == {Verdict.FAIL: {"interval"}, Verdict.PASS: {"harmful_ratio", "harmful_margin"} | {"interval"}}


def test_a_difference_that_is_harmless_takes_another_question_and_no_more_time():
    """0.01% twice over is within the margin of 0.05 points: no number of requests is enough."""
    analysis = make_canary(analysis={**WEIGHTS, "metrics": [ERRORS]}).spec.analysis
    traffic = Traffic(requests_per_second=100_000.0, bad_rates={"seen": (0.0001,)})
    (fail,) = (each for each in missed(analysis, traffic) if each.ratio == 2)
    assert {change.field for change in suggest(analysis, traffic, fail)} == {"harmless_margin"}


def test_errors_that_clump_need_so_many_times_the_requests():
    analysis = make_canary(analysis={**WEIGHTS, "metrics": [ERRORS]}).spec.analysis
    calm = Traffic(requests_per_second=200.0, bad_rates={"seen": (0.01,)})
    clumped = Traffic(requests_per_second=200.0, bad_rates={"seen": (0.01,)}, dispersion={"seen": (3.0,)})
    pairs = zip(plan_schedule(analysis, calm).expectations, plan_schedule(analysis, clumped).expectations, strict=True)
    assert [(one.look or 99) <= (other.look or 99) for one, other in pairs] == [True] * 3
    steady = make_canary(analysis={**WEIGHTS, "stepWeight": 50, "maxWeight": 50, "metrics": [ERRORS]}).spec.analysis
    needs = [[each.needs for each in plan_schedule(steady, traffic).expectations] for traffic in (calm, clumped)]
    assert needs[1] == [pytest.approx(3 * each) for each in needs[0]]
