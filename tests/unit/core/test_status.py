"""The status: what is remembered, in Flagger's words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api.parse import parse_canary
from controller.api.status import Phase
from controller.core.analysis.counters import begin
from controller.core.analysis.values import begin_values
from controller.core.evidence.comparison import Comparison
from controller.core.evidence.readings import Reading
from controller.core.evidence.split import Served, Split, Traffic
from controller.core.evidence.values import VALUE, ValueComparison
from controller.core.model import Check, Cookies, Evidence, Routes, State
from controller.core.rollout.phases import Reason
from controller.core.status import state_from_status, status_from_state
from tests.builders import NOW, WEIGHTED, canary_manifest, make_canary
from tests.golden_files import assert_golden

FLAGGER: dict[str, Any] = {
    "canaryWeight": 0,
    "conditions": [
        {
            "lastTransitionTime": "2026-01-01T00:48:05Z",
            "lastUpdateTime": "2026-01-01T00:48:05Z",
            "message": "Canary analysis failed, Deployment scaled to zero.",
            "reason": "Failed",
            "status": "False",
            "type": "Promoted",
        }
    ],
    "failedChecks": 0,
    "iterations": 0,
    "lastAppliedSpec": "7554554c66",
    "lastPromotedSpec": "9dccb99c5",
    "lastTransitionTime": "2026-01-01T00:49:55Z",
    "phase": "Failed",
    "previousSessionAffinityCookie": "canary=LpsIaLdoNZ",
    "trackedConfigs": {"configmap/backend-config": "aac83f481075f7ca"},
}
"""A status as Flagger 1.36 writes it."""

UNDER_WAY = State(
    phase=Phase.PROGRESSING,
    routes=Routes(20),
    failed_checks=1,
    applied="0123456789abcdef",
    promoted="fedcba9876543210",
    tracked_configs={"configmap/backend-config": "aac83f481075f7ca"},
    analysed_at=NOW + timedelta(milliseconds=1500),
    transitioned_at=NOW + timedelta(milliseconds=700),
    checks=(
        Check("error-rate", passed=False, value=100.0, detail="error-rate 100.00 > 1"),
        Check("orders", passed=False, value=100.0, detail="orders 100.00 > 1", dry_run=True),
    ),
    message="Halt backend.prod advancement error-rate 100.00 > 1",
)


def with_status(status: dict[str, Any], **spec: Any) -> Any:
    return parse_canary({**canary_manifest(**spec), "status": status})


def test_a_status_under_way():
    assert_golden("core/status-under-way", status_from_state(UNDER_WAY, make_canary(), NOW).to_dict())


def test_a_status_of_flagger_is_read_and_written_back_as_it_was():
    canary = with_status(FLAGGER)
    state = state_from_status(canary)
    assert (state.phase, state.applied, state.promoted) == (Phase.FAILED, "7554554c66", "9dccb99c5")
    written = status_from_state(state, canary, NOW).to_dict()
    assert written["conditions"][:1] == FLAGGER["conditions"]
    assert written == {**FLAGGER, "observedGeneration": 1, "conditions": written["conditions"]}


OUTCOMES = {
    # phase: (status of the condition, its message), as Flagger has them
    Phase.INITIALIZING: ("Unknown", "New Deployment detected, starting initialization."),
    Phase.INITIALIZED: ("True", "Deployment initialization completed."),
    Phase.WAITING: ("Unknown", "Waiting for approval."),
    Phase.PROGRESSING: ("Unknown", "New revision detected, progressing canary analysis."),
    Phase.WAITING_PROMOTION: ("Unknown", "Waiting for approval."),
    Phase.PROMOTING: ("Unknown", "Canary analysis completed, starting primary rolling update."),
    Phase.FINALISING: ("Unknown", "Canary analysis completed, routing all traffic to primary."),
    Phase.SUCCEEDED: ("True", "Canary analysis completed successfully, promotion finished."),
    Phase.FAILED: ("False", "Canary analysis failed, Deployment scaled to zero."),
}


@pytest.mark.parametrize("phase", OUTCOMES)
def test_the_condition_tells_the_outcome(phase):
    condition, *_ = status_from_state(State(phase=phase), make_canary(), NOW).conditions
    assert (condition.type, condition.reason) == ("Promoted", phase.value)
    assert (condition.status, condition.message) == OUTCOMES[phase]


def test_a_canary_without_a_phase_has_no_outcome():
    conditions = status_from_state(State(message="wrong"), make_canary(), NOW).conditions
    assert "Promoted" not in [condition.type for condition in conditions]


def test_a_condition_changes_with_its_phase_and_no_sooner():
    """``lastTransitionTime`` is that of the outcome, so it stays from one unknown phase to the next."""
    later, latest = NOW + timedelta(seconds=60), NOW + timedelta(seconds=120)
    status = status_from_state(State(phase=Phase.PROGRESSING), make_canary(), NOW).to_dict()
    again = status_from_state(State(phase=Phase.PROGRESSING), with_status(status), later).to_dict()
    assert again == status
    promoting = status_from_state(State(phase=Phase.PROMOTING), with_status(again), later)
    assert (promoting.conditions[0].last_update_time, promoting.conditions[0].last_transition_time) == (later, NOW)
    done = status_from_state(State(phase=Phase.SUCCEEDED), with_status(promoting.to_dict()), latest)
    assert (done.conditions[0].last_update_time, done.conditions[0].last_transition_time) == (latest, latest)


def test_conditions_and_fields_of_others_stay():
    other = {"type": "Audited", "status": "True", "reason": "Fine", "message": "all is well"}
    canary = with_status({**FLAGGER, "conditions": [other], "lastTrackedRevision": "7"})
    status = status_from_state(State(phase=Phase.SUCCEEDED), canary, NOW).to_dict()
    assert status["conditions"][0] == other
    assert status["lastTrackedRevision"] == "7"


NEXT_CHECKS: dict[str, tuple[State, int | None]] = {
    # name: (state, seconds from the last timed step to the next)
    "at rest": (State(Phase.SUCCEEDED, reason=Reason.PROMOTED), None),
    "a gate before the start": (State(Phase.WAITING, reason=Reason.START_NOT_APPROVED), 10),
    "a start that waits for something else": (State(Phase.WAITING, reason=Reason.REFERENCES_MISSING), None),
    "in the analysis": (State(Phase.PROGRESSING, Routes(20), reason=Reason.ADVANCED), 10),
    "a gate in the analysis": (State(Phase.WAITING_PROMOTION, Routes(20), reason=Reason.PROMOTION_NOT_APPROVED), 10),
    "rounds without traffic": (State(Phase.PROGRESSING, iterations=1, reason=Reason.CHECK_FAILED), 10),
    "suspended with traffic": (State(Phase.PROGRESSING, Routes(20), reason=Reason.SUSPENDED), 10),
    "suspended without traffic": (State(Phase.PROGRESSING, iterations=1, reason=Reason.SUSPENDED), None),
    "pods that start, without traffic": (State(Phase.PROGRESSING, iterations=1, reason=Reason.CANARY_NOT_READY), None),
    "traffic that goes back by steps": (State(Phase.PROMOTING, Routes(20), reason=Reason.TRAFFIC_RETURNING), 10),
    "a promotion": (State(Phase.PROMOTING, Routes(20), reason=Reason.PROMOTION_STARTED), None),
    "rolled back": (State(Phase.FAILED, reason=Reason.CHECKS_FAILED), None),
}


@pytest.mark.parametrize("name", NEXT_CHECKS)
def test_the_next_timed_step_is_said_where_there_is_one(name):
    state, seconds = NEXT_CHECKS[name]
    for now in (NOW, NOW + timedelta(hours=1)):  # it moves with the last step, not with the time
        status = status_from_state(replace(state, analysed_at=NOW), make_canary(), now)
        assert status.next_check_time == (None if seconds is None else NOW + timedelta(seconds=seconds))
    assert status_from_state(state, make_canary(), NOW).next_check_time is None
    slow = status_from_state(replace(state, analysed_at=NOW), make_canary(), NOW, 60.0)
    assert slow.next_check_time == (None if seconds is None else NOW + timedelta(seconds=60))


@pytest.mark.parametrize("damage", [{"start": 1}, {"late": "many"}, {"weight": 101}])
def test_a_split_that_is_damaged_starts_again(damage):
    reading = Traffic(Served(30.0, 1000.0), Served(270.0, 1001.0))
    split = Split(start=reading, weight=10, least=5, most=10, observed=9.5, requests=200.0, said="said", late=1)
    status = status_from_state(State(phase=Phase.PROGRESSING, split=split), make_canary(), NOW).to_dict()
    assert state_from_status(with_status(status)).split == split
    assert state_from_status(with_status({**status, "split": {**status["split"], **damage}})).split is None


def test_an_infinite_value_is_in_the_detail_only():
    endless = Check("error-rate", passed=False, value=float("inf"), detail="error-rate inf > 1")
    status = status_from_state(State(phase=Phase.PROGRESSING, checks=(endless,)), make_canary(), NOW).to_dict()
    assert status["checks"] == [{"name": "error-rate", "passed": False, "detail": "error-rate inf > 1"}]


times = st.none() | st.integers(0, 10**6).map(lambda seconds: NOW + timedelta(seconds=seconds))
states = st.builds(
    State,
    phase=st.sampled_from(list(Phase)),
    routes=st.builds(Routes, st.integers(0, 100), st.booleans()),
    cookies=st.builds(Cookies, *[st.sampled_from(["", "canary=LpsIaLdoNZ"])] * 3),
    iterations=st.integers(-1, 10),
    failed_checks=st.integers(0, 10),
    applied=st.sampled_from(["", "7554554c66", "0123456789abcdef"]),
    promoted=st.sampled_from(["", "9dccb99c5", "fedcba9876543210"]),
    tracked_configs=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    analysed_at=times,
    transitioned_at=times,
    checks=st.lists(
        st.builds(Check, st.text(max_size=5), st.booleans(), st.none() | st.floats(-1e6, 1e6), st.text(max_size=9)),
        max_size=3,
    ).map(tuple),
    message=st.text(max_size=20),
)


@given(states)
def test_what_is_remembered_comes_back_whole(state):
    status = status_from_state(state, make_canary(), NOW).to_dict()
    assert state_from_status(with_status(status)) == state


ERRORS: dict[str, Any] = {"name": "errors", "compare": {"errors": {}}}
LATENCY: dict[str, Any] = {"name": "latency", "compare": {"latency": {"edges": ["100ms", "1s"]}}}
COMPARED: dict[str, Any] = {**WEIGHTED, "metrics": [ERRORS, LATENCY]}


def gathered(looks: list[tuple[float, float, float]], seconds: float = 0.5) -> dict[str, Comparison]:
    """The evidence of both metrics after looks in which each side served so many requests, so many of them bad."""
    canary = make_canary(analysis=COMPARED)
    evidence = {}
    for metric in canary.spec.analysis.metrics:
        assert metric.compare
        rates = len(metric.compare.edges_ms) or 1
        total = [0.0, 0.0, 0.0]
        comparison = begin(canary, metric, Reading(), NOW + timedelta(seconds=seconds))
        for look in looks:
            total = [before + more for before, more in zip(total, look, strict=True)]
            count = total[0], *[total[1] * total[0]] * rates
            primary = total[0] * 9, *[total[2] * total[0]] * rates
            reading = Reading({"destination/10.0.0.9:15020": count}, {"source/gateway": primary})
            comparison = comparison.look(metric.compare, reading, NOW + timedelta(seconds=60))
        evidence[metric.name] = comparison
    return evidence


def stored(evidence: Mapping[str, Evidence]) -> dict[str, Any]:
    """A status as the API server keeps it: whole numbers without a point."""
    status = status_from_state(State(evidence=evidence), make_canary(analysis=COMPARED), NOW).to_dict()
    text = json.dumps(status, allow_nan=False)
    return json.loads(text, parse_float=lambda number: int(float(number)) if float(number) % 1 == 0 else float(number))


@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 0.1), st.floats(0, 1)), max_size=5), st.floats(0, 1))
def test_evidence_comes_back_whole(looks, seconds):
    evidence = gathered(looks, seconds)
    assert state_from_status(with_status(stored(evidence), analysis=COMPARED)).evidence == evidence


CPU: dict[str, Any] = {"name": "cpu", "compare": {"value": {"query": "cpu{{workload}}[5s]", "better": "either"}}}


def valued(looks: Sequence[tuple[float, float]]) -> dict[str, ValueComparison]:
    """The evidence of numbers, one look every ten seconds."""
    (metric,) = make_canary(analysis={**WEIGHTED, "metrics": [CPU]}).spec.analysis.metrics
    assert metric.compare
    comparison = begin_values(make_canary(), metric, NOW, "[5s]")
    for number, (canary, primary) in enumerate(looks, start=1):
        reading = Reading({VALUE: (canary,)}, {VALUE: (primary,)})
        comparison = comparison.look(metric.compare, reading, NOW + timedelta(seconds=10 * number))
    return {"cpu": comparison}


@given(st.lists(st.tuples(st.floats(-1, 1e300), st.floats(0, 1e300)), max_size=6))
def test_evidence_of_numbers_comes_back_whole(looks):
    analysis = {**WEIGHTED, "metrics": [CPU]}
    evidence = valued(looks)
    assert state_from_status(with_status(stored(evidence), analysis=analysis)).evidence == evidence


@pytest.mark.parametrize(
    "changed",
    [
        {**CPU, "compare": {"value": {"query": "mem{{workload}}", "better": "either"}}},
        {**CPU, "compare": {"value": {"query": "cpu{{workload}}[5s]", "better": "lower"}}},
        {**CPU, "interval": "5m"},
        {"name": "cpu", "compare": {"errors": {}}},
        {"name": "cpu", "compare": {"counters": {"bad": "x{{workload}}{{oops}}", "total": "x{{workload}}"}}},
    ],
    ids=str,
)
def test_evidence_of_numbers_for_another_question_is_left_out(changed):
    status = stored(valued([(1.0, 2.0)]))
    assert state_from_status(with_status(status, analysis={**WEIGHTED, "metrics": [changed]})).evidence == {}


def test_evidence_of_requests_is_none_of_numbers():
    metrics = [{**CPU, "name": "errors"}, LATENCY]
    found = state_from_status(with_status(stored(gathered([])), analysis={**WEIGHTED, "metrics": metrics}))
    assert set(found.evidence) == {"latency"}


def test_the_evidence_of_a_metric_is_small():
    """A status is written with every look; etcd takes 1.5 MiB an object."""
    errors, latency = stored(gathered([(12345.0, 0.01, 0.01)] * 20))["evidence"].values()
    assert len(json.dumps(errors)) < 1200
    assert len(json.dumps(latency)) < 2000
    (cpu,) = stored(valued([(1.23456789, 0.987654321), (1.1, 0.9)]))["evidence"].values()
    assert len(json.dumps(cpu)) < 500


def unpacked(saved: Mapping[str, str]) -> dict[str, Any]:
    (evidence,) = json.loads(saved["saved"]).values()
    return dict(evidence)


@pytest.mark.parametrize("text", ["", "[" * 20_000, "{}", '{"latency":{}}', "5", None, 5])
def test_evidence_that_is_no_json_is_left_out(text):
    status = stored(gathered([(100.0, 0.1, 0.1)]))
    status["evidence"]["errors"] = {"saved": text}
    assert set(state_from_status(with_status(status, analysis=COMPARED)).evidence) == {"latency"}


def test_evidence_that_an_earlier_version_saved_field_by_field_is_read():
    evidence = gathered([(100.0, 0.1, 0.1)] * 3)
    status = stored(evidence)
    status["evidence"] = {name: unpacked(saved) for name, saved in status["evidence"].items()}
    assert state_from_status(with_status(status, analysis=COMPARED)).evidence == evidence


@pytest.mark.parametrize(
    "change",
    [
        {"test": None},
        {"test": {}},
        {"readAt": "2026-01-01T00:00:00"},
        {"young": {"destination/a": "yesterday"}},
        {"reading": {"canary": {"destination/a": [1, 2, 3]}, "primary": {}}},
        {"reading": {"canary": {"destination/a": ["many", 2]}, "primary": {}}},
        {"reading": {"canary": {"destination/a": [float("nan"), 2]}, "primary": {}}},
        {"since": "yesterday"},
        {"since": "2026-01-01T00:00:00"},
        {"query": 5},
        {"query": "up"},
        {"more": 1},
    ],
    ids=str,
)
def test_evidence_that_is_damaged_is_left_out(change):
    status = stored(gathered([(100.0, 0.1, 0.1)]))
    whole = unpacked(status["evidence"]["errors"])
    status["evidence"]["errors"] = {"saved": json.dumps({"errors": whole | change})}
    assert set(state_from_status(with_status(status, analysis=COMPARED)).evidence) == {"latency"}


@pytest.mark.parametrize(
    ("errors", "kept"),
    [
        pytest.param({"minRequests": 500, "warmup": "1m"}, True, id="what only holds the verdict back"),
        pytest.param({"risk": 0.01}, False, id="another risk"),
        pytest.param({"harmlessRatio": 1.5}, False, id="another ratio"),
        pytest.param({"harmfulMargin": 1}, False, id="another margin"),
        pytest.param({"errors": {"responseCodes": "4.."}}, False, id="other counts"),
    ],
)
def test_evidence_for_another_question_is_left_out(errors, kept):
    analysis = {**COMPARED, "metrics": [{"name": "errors", "compare": {**ERRORS["compare"], **errors}}, LATENCY]}
    found = state_from_status(with_status(stored(gathered([])), analysis=analysis)).evidence
    assert set(found) == ({"errors", "latency"} if kept else {"latency"})


def test_evidence_of_a_metric_that_was_removed_is_left_out():
    state = state_from_status(with_status(stored(gathered([])), analysis=WEIGHTED))
    assert state.evidence == {}
