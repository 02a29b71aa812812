"""A replay decides as the live controller did, sees the rollouts that were, and finds false alarms where they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.api.canary import Canary
from controller.api.metric_template import MetricTemplate
from controller.api.parse import parse_canary, parse_metric_template
from controller.api.status import Phase
from controller.core.analysis.thresholds import plan_query
from controller.core.model import State
from controller.core.probes import MetricProbe, NoValues, ProbeResult, Samples, Value
from controller.core.simulation.recording import Recording, RecordingError, Series, requests_of, traffic_query
from controller.core.simulation.replay import Replay, find_spans, plan_recording, replay
from controller.core.simulation.run import Outcome, ReplayError, ask_recording, run
from tests.builders import ERROR_RATE, NOW, canary_manifest, error_rate_template, make_canary, webhook
from tests.unit.core.cluster import progressing
from tests.unit.core.evidence.traffic import CANARY, PRIMARIES, Served, Traffic, gauge, recorded

COMPARE: Mapping[str, Any] = {"name": "errors", "compare": {"errors": {}, "warmup": "0s"}}
ANALYSIS: Mapping[str, Any] = {
    "interval": "10s",
    "threshold": 3,
    "stepWeight": 10,
    "maxWeight": 50,
    "metrics": [COMPARE, ERROR_RATE],
}
TEMPLATES = {"istio-system/error-rate": error_rate_template()}
PRIMARY_SERVES: Served = dict.fromkeys(PRIMARIES, (1000, 10))


def with_canary(total: int, bad: int) -> Served:
    return {**PRIMARY_SERVES, CANARY: (total, bad)}


def served_in(span: range, canary: tuple[int, int]) -> Callable[[int], Served]:
    """The primary all the time, the canary in ``span``."""
    return lambda point: with_canary(*canary) if point in span else PRIMARY_SERVES


# --- the same decisions as live -------------------------------------------------------------------------------------

GOOD, HARMFUL, FEW = (1000, 10), (1000, 80), (3, 0)
ON_EVIDENCE = {**ANALYSIS, "advance": "onEvidence", "maxStep": 20}
LIVE: Mapping[str, tuple[Mapping[str, Any], tuple[int, int], Callable[[int], float | None], Phase, Outcome]] = {
    "a good canary": (ANALYSIS, GOOD, lambda _: 1.0, Phase.PROMOTING, Outcome.PROMOTED),
    "a good canary, on evidence": (ON_EVIDENCE, GOOD, lambda _: 1.0, Phase.PROMOTING, Outcome.PROMOTED),
    "a harmful canary": (ANALYSIS, HARMFUL, lambda _: 1.0, Phase.FAILED, Outcome.HARM),
    "values out of range": (ANALYSIS, GOOD, lambda _: 7.0, Phase.FAILED, Outcome.THRESHOLD),
    "a lack of values": (ANALYSIS, GOOD, lambda _: None, Phase.FAILED, Outcome.THRESHOLD),
    "a value out of range now and then": (
        ANALYSIS,
        GOOD,
        lambda n: 7.0 if n in (2, 4) else 0.0,
        Phase.PROMOTING,
        Outcome.PROMOTED,
    ),
    "too few requests": (ANALYSIS, FEW, lambda _: 1.0, Phase.PROMOTING, Outcome.UNPROVEN),
    "too few requests, and a rollback": (
        {**ANALYSIS, "onInconclusive": "rollback"},
        FEW,
        lambda _: 1.0,
        Phase.FAILED,
        Outcome.INCONCLUSIVE,
    ),
}


@pytest.mark.parametrize("name", LIVE)
def test_live_and_replayed_the_same_readings_lead_to_the_same_decisions(name):
    analysis, canary_serves, error_rate, phase, outcome = LIVE[name]
    points = 16
    traffic = Traffic(points, lambda point: with_canary(*canary_serves) if point else PRIMARY_SERVES)
    cluster = progressing(0, canary_manifest(analysis=analysis))
    live: list[State] = []
    start = cluster.now + timedelta(seconds=10)
    for point in range(points):
        value = error_rate(point)
        cluster.answers = {
            "counters/errors": Samples(traffic.samples(point)),
            "metric/error-rate": NoValues() if value is None else Value(value),
        }
        live.append(cluster.tick(10).state)
        if live[-1].phase is not Phase.PROGRESSING:
            break

    canary = make_canary(analysis=analysis)
    recording = recording_of(canary, TEMPLATES, traffic, lambda query: gauge(points, error_rate), start=start)
    replayed = run(canary, TEMPLATES, ask_recording(recording), recording, range(points))
    assert [comparable(look.state) for look in replayed.looks] == [comparable(state) for state in live]
    assert (live[-1].phase, replayed.outcome) == (phase, outcome)


def comparable(state: State) -> State:
    """Without what the two clusters' own Deployments say: their revisions, and when the rollout was noticed.

    Nor how the requests were shared out, which is not what the weights of a replay say, nor the receipt of it all.
    """
    message = state.message.replace("Rolling back backend.prod ", "")
    return replace(
        state,
        record=None,
        applied="",
        promoted="",
        revision="",
        tracked_configs={},
        transitioned_at=None,
        started_at=None,
        split=None,
        receipt=None,
        pending_receipt=None,
        message=message,
    )


def recording_of(
    canary: Canary,
    templates: Mapping[str, MetricTemplate],
    traffic: Traffic,
    answer: Callable[[str], tuple[Series, ...]],
    **grid: Any,
) -> Recording:
    """All queries of a replay answered: counters by ``traffic``, the rest by ``answer``."""
    answers = {
        query: traffic.series() if "istio_requests_total" in query and "label_replace" in query else answer(query)
        for query in plan_recording(canary, templates)
    }
    return recorded(traffic.points, answers, **grid)


def test_the_revision_under_analysis_is_never_mistaken_for_a_new_one():
    canary = make_canary(analysis=ANALYSIS)
    recording = recording_of(canary, TEMPLATES, Traffic(3, lambda _: PRIMARY_SERVES), lambda _: gauge(3, lambda _: 0.0))
    looks = run(canary, TEMPLATES, ask_recording(recording), recording, range(3)).looks
    assert [look.state.routes.canary_weight for look in looks] == [10, 20, 30]


def test_gates_are_open_and_rollback_hooks_are_not_called():
    hooks = [webhook(type_, type_) for type_ in ("pre-rollout", "rollout", "rollback", "confirm-promotion")]
    canary = make_canary(analysis={**ANALYSIS, "metrics": [ERROR_RATE], "webhooks": hooks})
    recording = recording_of(canary, TEMPLATES, Traffic(9, lambda _: PRIMARY_SERVES), lambda _: gauge(9, lambda _: 0.0))
    assert run(canary, TEMPLATES, ask_recording(recording), recording, range(9)).outcome is Outcome.PROMOTED


def test_where_a_person_would_be_asked_the_replay_says_so():
    gate = {
        **ANALYSIS,
        "metrics": [COMPARE],
        "onInconclusive": "gate",
        "webhooks": [webhook("ask", "confirm-promotion")],
    }
    result = replayed(gate, served_in(range(1, 9), FEW), points=12)
    assert [rollout.run.outcome for rollout in result.rollouts] == [Outcome.GATE]


def test_a_dry_run_decides_no_replay():
    dry_run = {**COMPARE, "dryRun": True}
    result = replayed({**ANALYSIS, "metrics": [dry_run]}, served_in(range(1, 9), FEW), points=12)
    assert [rollout.run.outcome for rollout in result.rollouts] == [Outcome.PROMOTED]


# --- past rollouts --------------------------------------------------------------------------------------------------


def replayed(
    analysis: Mapping[str, Any],
    served: Callable[[int], Served],
    *,
    points: int,
    error_rate: Callable[[str], float] = lambda _: 0.0,
    **options: Any,
) -> Replay:
    canary = make_canary(analysis=analysis)
    recording = recording_of(
        canary, TEMPLATES, Traffic(points, served), lambda query: gauge(points, lambda _: error_rate(query))
    )
    return replay(canary, TEMPLATES, recording, **options)


def test_each_span_with_traffic_on_the_canary_is_a_rollout():
    good, bad = range(10, 30), range(50, 70)

    def served(point: int) -> Served:
        return with_canary(*(GOOD if point in good else HARMFUL)) if point in good or point in bad else PRIMARY_SERVES

    first, second = replayed(ANALYSIS, served, points=80).rollouts
    assert (first.begins_at, first.ends_at) == (NOW + timedelta(seconds=90), NOW + timedelta(seconds=290))
    assert (first.canary_requests, first.primary_requests, first.cut_off) == (20_000, 60_000, False)
    assert (first.run.outcome, len(first.run.looks) - 1) == (Outcome.PROMOTED, 5)
    assert (second.begins_at, second.run.outcome) == (NOW + timedelta(seconds=490), Outcome.HARM)
    assert second.run.looks[-1].number == 2
    assert second.run.reason.startswith(
        "Rolling back backend.prod errors: errors 8% of 2,000 requests against the primary's 1% of 6,000"
    )


def test_a_rollout_that_ended_before_this_spec_decides_is_undecided():
    (rollout,) = replayed(ANALYSIS, served_in(range(5, 8), GOOD), points=30).rollouts
    assert (rollout.run.outcome, rollout.run.looks[-1].number) == (Outcome.UNDECIDED, 3)


def busy(*points: int) -> Callable[[int], Served]:
    return lambda point: with_canary(*GOOD) if point in points else PRIMARY_SERVES


@pytest.mark.parametrize(
    ("served", "spans"),
    [
        pytest.param(busy(), (), id="none without a canary"),
        pytest.param(busy(4, 5), (range(3, 6),), id="from the point before the first request"),
        pytest.param(busy(4, 6, 7), (range(3, 8),), id="a lull does not end it"),
        pytest.param(busy(3, 9), (range(2, 4), range(8, 10)), id="a longer silence does"),
        pytest.param(busy(1, 2), (range(3),), id="one that had begun before"),
        pytest.param(busy(11), (range(10, 12),), id="one that goes on after"),
        pytest.param(lambda _: {CANARY: GOOD}, (), id="a target without a primary serves everybody: no rollout"),
    ],
)
def test_the_spans_of_rollouts_are_found(served, spans):
    canary = make_canary(analysis=ANALYSIS)
    recording = recorded(12, {traffic_query(canary): Traffic(12, served).series()})
    assert find_spans(dict(recording.counted(canary, traffic_query(canary))), 12) == spans


def test_a_pod_that_restarts_counts_from_zero_again():
    """Its counter falls from 100 to 5: five requests, not minus ninety-five."""
    canary = make_canary(analysis=ANALYSIS)
    labels = {"destination_workload": "backend-primary", "reporter": "destination", "instance": "10.0.0.1"}
    series = Series(labels, {0: 40.0, 1: 100.0, 2: 5.0, 3: 30.0})
    recording = recorded(4, {traffic_query(canary): (series,)})
    counted = [requests_of(reading.primary) for _, reading in recording.counted(canary, traffic_query(canary))]
    assert counted == [60.0, 5.0, 25.0]


def test_a_counter_that_is_no_number_counts_nothing_and_loses_nothing():
    canary = make_canary(analysis=ANALYSIS)
    labels = {"destination_workload": "backend-primary", "reporter": "destination", "instance": "10.0.0.1"}
    series = Series(labels, {0: 40.0, 1: float("nan"), 2: 100.0})
    recording = recorded(3, {traffic_query(canary): (series,)})
    counted = [requests_of(reading.primary) for _, reading in recording.counted(canary, traffic_query(canary))]
    assert counted == [0.0, 60.0]


# --- quiet times ----------------------------------------------------------------------------------------------------


def outcomes(result: Replay) -> list[Outcome]:
    return [null.run.outcome for null in result.quiet]


def test_alike_pods_raise_no_alarm():
    result = replayed(ANALYSIS, served_in(range(0), GOOD), points=60)
    assert len(result.quiet) > 5
    assert set(outcomes(result)) == {Outcome.PROMOTED}


def test_a_pod_that_fares_worse_than_its_siblings_is_a_false_alarm():
    sick = {**PRIMARY_SERVES, PRIMARIES[1]: (1000, 300)}
    result = replayed({**ANALYSIS, "metrics": [COMPARE]}, lambda _: sick, points=60)
    assert {null.pod for null in result.quiet if null.run.outcome is Outcome.HARM} == {PRIMARIES[1][1]}
    assert {null.pod for null in result.quiet} == {pod for _, pod in PRIMARIES}


def test_a_threshold_that_the_primary_itself_breaks_is_a_false_alarm():
    """Only the query for the primary is out of range: it is the one that quiet times ask."""
    result = replayed(
        ANALYSIS,
        lambda _: PRIMARY_SERVES,
        points=60,
        error_rate=lambda query: 5.0 if "backend-primary" in query else 0.0,
    )
    assert set(outcomes(result)) == {Outcome.THRESHOLD}
    assert result.left_out == ()


def test_a_threshold_whose_query_does_not_name_the_target_is_left_out():
    metric = {"name": "queue", "query": 'queue_length{service="{{ service }}"}', "thresholdRange": {"max": 1}}
    result = replayed(
        {**ANALYSIS, "metrics": [metric, COMPARE]}, lambda _: PRIMARY_SERVES, points=60, error_rate=lambda _: 5.0
    )
    assert result.left_out == ("queue",)
    assert set(outcomes(result)) == {Outcome.PROMOTED}
    alone = replayed({**ANALYSIS, "metrics": [metric]}, lambda _: PRIMARY_SERVES, points=60)
    assert alone.quiet == ()


def own_counters(served: Callable[[int], Served], points: int) -> tuple[Series, ...]:
    """The same requests as the apps count them, on a port of their own."""
    counts: dict[tuple[str, str, str], dict[int, float]] = {}
    for point in range(points):
        for (workload, pod), (total, bad) in served(point).items():
            for count, seen in (("total", total), ("bad", bad)):
                values = counts.setdefault((workload, pod, count), {})
                values[point] = values.get(point - 1, 0.0) + seen
    return tuple(
        Series({"destination_workload": workload, "instance": f"{pod}:9898", "count": count}, values)
        for (workload, pod, count), values in counts.items()
    )


def test_counters_of_the_apps_own_are_tried_pod_by_pod_and_numbers_of_a_side_are_left_out():
    asked = {"bad": "orders_bad{w='{{workload}}'}", "total": "orders{w='{{workload}}'}"}
    orders = {"name": "orders", "compare": {"counters": asked, "warmup": "0s"}}
    cpu = {"name": "cpu", "compare": {"value": {"query": "cpu{w='{{workload}}'}", "better": "lower"}, "warmup": "0s"}}
    canary = make_canary(analysis={**ANALYSIS, "metrics": [orders, cpu]})
    sick, points = {**PRIMARY_SERVES, PRIMARIES[1]: (1000, 300)}, 60
    traffic = Traffic(points, lambda _: sick).series()
    answers = {
        query: own_counters(lambda _: sick, points) if "orders" in query else traffic if "istio" in query else ()
        for query in plan_recording(canary, {})
    }
    result = replay(canary, {}, recorded(points, answers))
    assert {null.pod for null in result.quiet if null.run.outcome is Outcome.HARM} == {PRIMARIES[1][1]}
    assert result.left_out == ("cpu",)


def test_rollouts_are_no_quiet_time():
    """Ten points of quiet before, none after: a run takes five looks."""
    result = replayed(ANALYSIS, served_in(range(11, 40), GOOD), points=42)
    assert [null.run.looks[0].at for null in result.quiet] == [NOW] * len(PRIMARIES)


def test_the_number_of_quiet_runs_is_bounded_and_windows_go_before_further_pods():
    result = replayed(ANALYSIS, lambda _: PRIMARY_SERVES, points=30, most_quiet=5)
    begun = [(null.run.looks[0].at - NOW).total_seconds() for null in result.quiet]
    assert begun == [0.0, 50.0, 100.0, 150.0, 200.0]
    assert len({(null.pod, null.run.looks[0].at) for null in result.quiet}) == 5


@pytest.mark.parametrize("pods", [1, 2])
def test_a_quiet_run_takes_two_pods(pods):
    serves = dict(list(PRIMARY_SERVES.items())[:pods])
    assert bool(replayed(ANALYSIS, lambda _: serves, points=30).quiet) == (pods == 2)


# --- what cannot be replayed ----------------------------------------------------------------------------------------


UNASKABLE = {"name": "cpu", "compare": {"value": {"query": "cpu{{workload}}{{oops}}", "better": "lower"}}}


@pytest.mark.parametrize(
    ("spec", "templates", "words"),
    [
        ({"skipAnalysis": True}, TEMPLATES, "spec.skipAnalysis: this Canary promotes without an analysis"),
        ({"provider": "linkerd"}, TEMPLATES, "the controller would refuse this Canary: spec.provider"),
        ({}, {}, "MetricTemplate istio-system/error-rate is not among the files"),
        ({"analysis": {**ANALYSIS, "metrics": [UNASKABLE]}}, {}, "metric cpu: placeholder {{ oops }} is unknown"),
    ],
)
def test_a_canary_that_cannot_be_replayed_is_reported(spec, templates, words):
    with pytest.raises(ReplayError, match=words):
        plan_recording(make_canary(**{"analysis": ANALYSIS, **spec}), templates)


def test_a_query_with_an_unknown_placeholder_is_reported():
    template = parse_metric_template(
        {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "MetricTemplate",
            "metadata": {"name": "error-rate", "namespace": "istio-system"},
            "spec": {"provider": {"type": "prometheus", "address": "http://p"}, "query": "up{{ nowhere }}"},
        }
    )
    with pytest.raises(ReplayError, match=r"metric error-rate: placeholder \{\{ nowhere \}\} is unknown"):
        plan_recording(make_canary(analysis=ANALYSIS), {"istio-system/error-rate": template})


def test_a_suspended_canary_is_replayed_as_though_it_were_not():
    canary = parse_canary(canary_manifest(analysis=ANALYSIS, suspend=True))
    traffic = Traffic(20, served_in(range(2, 15), GOOD))
    recording = recording_of(canary, TEMPLATES, traffic, lambda _: gauge(20, lambda _: 0.0))
    assert [each.run.outcome for each in replay(canary, TEMPLATES, recording).rollouts] == [Outcome.PROMOTED]


def test_a_recording_serves_a_longer_interval_but_no_other():
    recording = recorded(7, {"up": gauge(7, float)})
    assert recording.every(10.0) is recording
    thinned = recording.every(30.0)
    assert (thinned.points, thinned.step, [thinned.samples("up", point)[0].value for point in range(3)]) == (
        3,
        30.0,
        [0.0, 3.0, 6.0],
    )
    assert thinned.time(2) == recording.time(6)
    for step in (5.0, 25.0):
        with pytest.raises(RecordingError, match=r"an answer every 10s, which cannot serve"):
            recording.every(step)


def test_a_query_that_was_not_recorded_is_reported():
    with pytest.raises(RecordingError, match="does not hold the query 'down'"):
        recorded(2, {}).samples("down", 0)


def test_an_answer_is_read_as_the_provider_reads_it():
    ask = ask_recording(recorded(3, {"q": (Series({}, {0: 2.0, 1: float("nan")}),)}))
    answers: list[ProbeResult] = [ask(MetricProbe("m", "q"), point) for point in range(3)]
    assert answers == [Value(2.0), NoValues(), NoValues()]


def test_every_query_of_the_analysis_is_recorded_for_target_and_primary():
    canary = make_canary(analysis=ANALYSIS)
    planned = plan_query(canary, canary.spec.analysis.metrics[1], TEMPLATES)
    assert isinstance(planned, MetricProbe)
    assert plan_recording(canary, TEMPLATES) == (
        traffic_query(canary),
        planned.query,
        planned.query.replace('"backend"', '"backend-primary"'),
    )
