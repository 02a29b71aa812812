"""Metrics with ``dryRun``: measured, shown and told, and the rollout goes as if they were not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from controller.core.model import State
from controller.core.probes import NoValues, Passed, ProbeResult, QueryFailed, Value
from tests.builders import AB_TESTING, BLUE_GREEN, ERROR_RATE, webhook
from tests.unit.core.rollout.test_compare_rollouts import ERRORS, LATENCY, STEPS, Rollout, analysis

GATE = webhook("approve", "confirm-promotion")
BOTH: Mapping[str, Any] = {**ERROR_RATE, "compare": {"errors": {}, "warmup": "0s"}}
BASES: Mapping[str, Mapping[str, Any]] = {
    "weights": STEPS,
    "on evidence": {**STEPS, "advance": "onEvidence"},
    "A/B": AB_TESTING,
    "blue/green": {**BLUE_GREEN, "mirror": True},
    "a gate": {**STEPS, "onInconclusive": "gate", "webhooks": [GATE]},
}
FAILED = QueryFailed("http://prometheus:9090 gave no answer within 5s")
TRAFFIC: Mapping[str, tuple[dict[str, float], dict[str, ProbeResult]]] = {
    "good": ({}, {"metric/error-rate": Value(0.5)}),
    "harmful": ({"canary": 0.5}, {"metric/error-rate": Value(50.0)}),
    "too little": ({"users": 5}, {"metric/error-rate": NoValues()}),
    "unknown": ({}, {"metric/error-rate": FAILED, "counters/errors": FAILED, "counters/latency": FAILED}),
}


class Answered(Rollout):
    """A rollout whose queries may fail."""

    def __init__(self, spec: Mapping[str, Any], answers: Mapping[str, ProbeResult], **traffic: float) -> None:
        self.given = {"webhook/confirm-promotion/approve": Passed(), **answers}
        super().__init__(spec, **traffic)

    def answer(self, seconds: float = 10) -> None:
        super().answer(seconds)
        self.cluster.answers |= self.given


def dry(metric: Mapping[str, Any]) -> dict[str, Any]:
    return {**metric, "dryRun": True}


def states(spec: Mapping[str, Any], traffic: str) -> list[State]:
    """The state after each look, without what dry runs may add; a receipt has the checks, and what the analysis was."""
    served, answers = TRAFFIC[traffic]
    rollout = Answered(spec, answers, **served)
    looks = [rollout.look().state for _ in range(12)]
    unlike: dict[str, Any] = {"checks": (), "evidence": {}, "split": None, "receipt": None, "pending_receipt": None}
    return [replace(state, **unlike) for state in looks]


@pytest.mark.parametrize("traffic", TRAFFIC)
@pytest.mark.parametrize("base", BASES)
def test_the_rollout_goes_as_if_the_metric_were_not_there(base, traffic):
    dry_runs = [dry(metric) for metric in (ERROR_RATE, ERRORS, LATENCY)]
    without = {key: value for key, value in BASES[base].items() if key not in ("advance", "onInconclusive")}
    assert states({**BASES[base], "metrics": dry_runs}, traffic) == states(without, traffic)


@pytest.mark.parametrize("traffic", TRAFFIC)
def test_the_metrics_beside_it_decide_as_before(traffic):
    beside = {"name": "beside", "thresholdRange": {"max": 1}, "query": "up"}
    both = {**dry(BOTH), "templateRef": {"name": "missing"}}
    for metrics in ([ERRORS], [beside], [ERRORS, LATENCY]):
        spec = analysis(*metrics, both, {**dry(ERRORS), "name": "again"})
        assert states(spec, traffic) == states(analysis(*metrics), traffic)


def test_it_shares_no_risk_with_the_metrics_that_decide():
    rollout = Rollout(analysis(ERRORS, dry(LATENCY)))
    rollout.look()
    assert [rollout.kept(name).test.question.metrics for name in ("errors", "latency")] == [1, 1]


def test_its_result_is_in_the_status_and_its_failure_is_told():
    rollout = Answered(analysis(dry(BOTH)), {"metric/error-rate": Value(7.0)}, canary=0.1)
    rollout.steps(4)
    threshold, comparison = rollout.cluster.canary["status"]["checks"]
    assert (threshold["passed"], threshold["dryRun"]) == (comparison["passed"], comparison["dryRun"]) == (False, True)
    told = [event for event in rollout.cluster.events if event.startswith("Dry run of backend.prod: ")]
    assert told.count("Dry run of backend.prod: error-rate 7.00 > 1") == 3
    (harm,) = [event for event in told if "errors 10% of" in event]
    assert ", 10 times (2.2 or more): harmful (p = " in harm


def test_a_value_that_cannot_be_there_yet_is_not_told():
    """The range of the query, 30 s, begins with the first step; a look is every 10 s, five of them measure."""
    rollout = Answered(analysis(dry(ERROR_RATE)), {"metric/error-rate": NoValues()})
    rollout.steps(9)
    told = [event for event in rollout.cluster.events if event.startswith("Dry run")]
    assert told == [f"Dry run of backend.prod: {rollout.cluster.state.checks[0].detail}"] * 3
