"""The controller's own metrics and its health, over HTTP as Prometheus and the kubelet ask for them."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import aiohttp
import pytest
from prometheus_client import generate_latest

from controller.api.status import Phase
from controller.core.analysis.counters import begin, read_samples
from controller.core.analysis.values import begin_values
from controller.core.evidence.comparison import Comparison
from controller.core.evidence.readings import Reading
from controller.core.evidence.values import VALUE
from controller.core.model import Check, Evidence, Routes, State
from controller.shell.kubernetes.errors import StartError
from controller.shell.reconciler.tasks import CanaryTasks
from controller.shell.reporting.metrics import Metrics
from controller.shell.server import serve
from tests.builders import AB_TESTING, ERROR_RATE, NOW, WEIGHTED, make_canary
from tests.unit.core.mesh import Mesh

BACKEND = {"name": "backend", "namespace": "prod"}


def value(metrics: Metrics, metric: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(metric, labels)


def after(*phases: Phase, **canary) -> Metrics:
    metrics = Metrics("1.2.3")
    for before, after in zip((Phase.NEW, *phases), phases, strict=False):
        metrics.observe_status(make_canary(**canary), State(before), State(after, Routes(30)))
    return metrics


def test_version_and_mesh_are_published():
    assert value(Metrics("1.2.3"), "flagger_info", version="1.2.3", mesh_provider="istio") == 1


@pytest.mark.parametrize(
    ("phase", "number"),
    [(Phase.PROGRESSING, 0), (Phase.FAILED, 2), (Phase.SUCCEEDED, 1), (Phase.INITIALIZED, 1), (Phase.WAITING, 1)],
)
def test_the_status_is_flagger_s_number(phase, number):
    assert value(after(phase), "flagger_canary_status", **BACKEND) == number


def test_weights_and_measured_values_are_published():
    metrics = Metrics("1.2.3")
    checks = (
        Check("error-rate", passed=True, value=0.5, detail=""),
        Check("latency", passed=False, value=None, detail=""),
    )
    canary = make_canary(analysis={**WEIGHTED, "metrics": [ERROR_RATE, {**ERROR_RATE, "name": "latency"}]})
    metrics.observe_status(canary, State(Phase.PROGRESSING), State(Phase.PROGRESSING, Routes(30), checks=checks))
    assert value(metrics, "flagger_canary_weight", workload="backend", namespace="prod") == 30
    assert value(metrics, "flagger_canary_weight", workload="backend-primary", namespace="prod") == 70
    assert value(metrics, "flagger_canary_metric_analysis", **BACKEND, metric="error-rate") == 0.5
    assert value(metrics, "flagger_canary_metric_analysis", **BACKEND, metric="latency") is None


COMPARED = make_canary(
    analysis={
        **WEIGHTED,
        "metrics": [
            {**ERROR_RATE, "compare": {"errors": {}, "warmup": "0s"}},
            {"name": "errors", "compare": {"errors": {}, "warmup": "0s"}},
        ],
    }
)
HARMFUL, SERVED = Mesh(), Mesh()
for mesh, bad in ((HARMFUL, 30), (SERVED, 0)):
    mesh.serve("backend", 100, bad)
    mesh.serve("backend-primary", 900, 9 if bad else 0)


def comparison(*meshes: Mesh) -> Comparison:
    """Of errors, after a look at each mesh but the first, which is the baseline."""
    readings = [read_samples(COMPARED, mesh.errors().samples) for mesh in meshes]
    metric = COMPARED.spec.analysis.metrics[1]
    assert metric.compare is not None
    compared = begin(COMPARED, metric, readings[0], NOW)
    for reading in readings[1:]:
        compared = compared.look(metric.compare, reading, NOW)
    return compared


def known(count: float, bad: float) -> Mesh:
    """A mesh whose primary has served."""
    mesh = Mesh()
    mesh.serve("backend-primary", count, bad)
    return mesh


def with_evidence(metrics: Metrics, **evidence: Evidence) -> None:
    metrics.observe_status(COMPARED, State(Phase.PROGRESSING), State(Phase.PROGRESSING, evidence=evidence))


def test_of_a_metric_with_threshold_and_comparison_the_measured_value_is_published_and_not_the_p_value():
    metrics = Metrics("1.2.3")
    checks = tuple(Check(name, True, number, "") for name, number in (("error-rate", 0.5), ("error-rate", 0.03)))
    checks = (*checks, Check("errors", True, 0.04, ""))
    metrics.observe_status(COMPARED, State(Phase.PROGRESSING), State(Phase.PROGRESSING, checks=checks))
    assert value(metrics, "flagger_canary_metric_analysis", **BACKEND, metric="error-rate") == 0.5
    assert value(metrics, "flagger_canary_metric_analysis", **BACKEND, metric="errors") is None
    missing = (Check("error-rate", False, None, ""), Check("error-rate", True, 0.03, ""))
    metrics.observe_status(COMPARED, State(Phase.PROGRESSING), State(Phase.PROGRESSING, checks=missing))
    assert value(metrics, "flagger_canary_metric_analysis", **BACKEND, metric="error-rate") == 0.5


def test_the_evidence_of_a_comparison_is_published():
    metrics, compared = Metrics("1.2.3"), comparison(known(0, 0), HARMFUL)
    with_evidence(metrics, errors=compared)
    labels = {**BACKEND, "metric": "errors"}
    assert value(metrics, "canary_comparison_p_value", **labels) == compared.test.p_value < 0.2
    assert value(metrics, "canary_comparison_evidence", **labels, direction="fail") == compared.test.evidence > 5
    assert value(metrics, "canary_comparison_evidence", **labels, direction="pass") == compared.test.pass_evidence < 1
    assert value(metrics, "canary_comparison_ratio", **labels) == pytest.approx(30)
    requests = {
        (side, result): value(metrics, "canary_comparison_requests", **labels, side=side, result=result)
        for side in ("canary", "primary")
        for result in ("total", "bad")
    }
    assert requests == {
        ("canary", "total"): 100,
        ("canary", "bad"): 30,
        ("primary", "total"): 900,
        ("primary", "bad"): 9,
    }


def test_numbers_of_each_side_have_evidence_and_no_requests():
    asked = {"name": "cpu", "compare": {"value": {"query": "cpu{{workload}}", "better": "lower"}, "warmup": "0s"}}
    canary = make_canary(analysis={**WEIGHTED, "metrics": [asked]})
    (metric,) = canary.spec.analysis.metrics
    assert metric.compare
    reading = Reading({VALUE: (3.0,)}, {VALUE: (2.0,)})
    compared = begin_values(canary, metric, NOW).look(metric.compare, reading, NOW)
    metrics = Metrics("1.2.3")
    with_evidence(metrics, cpu=compared)
    labels = {**BACKEND, "metric": "cpu"}
    assert value(metrics, "canary_comparison_p_value", **labels) == 1.0
    assert value(metrics, "canary_comparison_evidence", **labels, direction="fail") == compared.evidence
    assert value(metrics, "canary_comparison_evidence", **labels, direction="pass") == compared.pass_evidence
    assert value(metrics, "canary_comparison_ratio", **labels) == pytest.approx(1.5)
    assert value(metrics, "canary_comparison_requests", **labels, side="canary", result="total") is None


def test_without_errors_on_the_primary_there_is_no_ratio():
    metrics = Metrics("1.2.3")
    with_evidence(metrics, errors=comparison(known(0, 0), SERVED))
    labels = {**BACKEND, "metric": "errors"}
    assert value(metrics, "canary_comparison_requests", **labels, side="canary", result="total") == 100
    assert value(metrics, "canary_comparison_ratio", **labels) is None


def test_the_evidence_of_the_rollout_before_goes_with_it():
    metrics = Metrics("1.2.3")
    with_evidence(metrics, errors=comparison(known(0, 0), HARMFUL))
    metrics.observe_status(COMPARED, State(Phase.PROGRESSING), State(Phase.PROGRESSING))
    assert b"canary_comparison_p_value{" not in generate_latest(metrics.registry)


@pytest.mark.parametrize(
    ("canary", "name", "labels"),
    [
        ({"analysis": WEIGHTED}, "successes", {"deployment_strategy": "canary", "analysis_status": "completed"}),
        ({"analysis": AB_TESTING}, "successes", {"deployment_strategy": "ab-testing", "analysis_status": "completed"}),
        ({"skipAnalysis": True}, "successes", {"deployment_strategy": "canary", "analysis_status": "skipped"}),
    ],
)
def test_an_outcome_is_counted_once(canary, name, labels):
    metrics = after(Phase.FINALISING, Phase.SUCCEEDED, Phase.SUCCEEDED, **canary)
    assert value(metrics, f"flagger_canary_{name}_total", **BACKEND, **labels) == 1


STARTED, ENDED = NOW, NOW + timedelta(seconds=90)


def analysed(phase: Phase) -> State:
    """In a rollout whose canary has had traffic."""
    return State(phase, started_at=STARTED, begun_at=STARTED)


ENDS = {
    # what has ended: (the state before, the state after, the outcome)
    "a promotion": (analysed(Phase.FINALISING), State(Phase.SUCCEEDED, reason="Promoted"), "promoted"),
    "a promotion without a step": (
        State(Phase.FINALISING, started_at=STARTED),
        State(Phase.SUCCEEDED, reason="Promoted"),
        "skipped",
    ),
    "failed checks": (analysed(Phase.PROGRESSING), State(Phase.FAILED, reason="ChecksFailed"), "rolled_back"),
    "a deadline": (analysed(Phase.PROMOTING), State(Phase.FAILED, reason="DeadlineExceeded"), "rolled_back"),
    "an abort": (analysed(Phase.WAITING_PROMOTION), State(Phase.FAILED, reason="Aborted"), "aborted"),
    "a revert": (analysed(Phase.PROGRESSING), State(Phase.INITIALIZED, reason="Reverted"), "reverted"),
    "a primary that fails": (
        analysed(Phase.PROMOTING),
        State(Phase.FAILED, reason="PrimaryFailed"),
        "promotion_failed",
    ),
    "a newer revision": (
        analysed(Phase.PROGRESSING),
        State(Phase.PROGRESSING, reason="Restarted", started_at=ENDED),
        "superseded",
    ),
    "nothing yet": (analysed(Phase.PROGRESSING), State(Phase.PROMOTING, reason="PromotionStarted"), None),
    "an analysis that starts over": (
        analysed(Phase.PROGRESSING),
        State(Phase.PROGRESSING, reason="AnalysisChanged"),
        None,
    ),
    "another target": (analysed(Phase.PROGRESSING), State(Phase.INITIALIZING, reason="TargetChanged"), None),
    "a start": (analysed(Phase.FAILED), State(Phase.PROGRESSING, reason="Started", started_at=ENDED), None),
    "the first revision": (State(Phase.INITIALIZING), State(Phase.INITIALIZED, reason="Initialized"), None),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_duration_of_a_rollout_is_counted_by_its_outcome(name):
    before, after, outcome = ENDS[name]
    after = replace(after, started_at=after.started_at or before.started_at, transitioned_at=ENDED)
    metrics = Metrics("1.2.3")
    metrics.observe_status(make_canary(), before, after)
    counted = {
        (sample.labels["outcome"], sample.value)
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "canary_rollout_duration_seconds_sum"
    }
    assert counted == ({(outcome, 90.0)} if outcome else set())


async def test_nothing_is_left_of_a_canary_that_was_deleted():
    metrics = after(Phase.PROGRESSING, Phase.FAILED)
    metrics.observe_status(make_canary(), ENDS["an abort"][0], replace(ENDS["an abort"][1], transitioned_at=ENDED))
    with_evidence(metrics, errors=comparison(known(0, 0), HARMFUL))
    metrics.observe_tick("backend", "prod", seconds=0.1, at=5.0, result="ok")
    async with serve(metrics, CanaryTasks(), 0) as port:
        assert 'namespace="prod"' in await fetch(port, "/metrics")
        metrics.remove("backend", "prod", "backend")
        assert 'namespace="prod"' not in await fetch(port, "/metrics")
    assert value(metrics, "canary_last_reconcile_timestamp_seconds") == 5


async def test_health_is_lost_when_a_canary_is_not_reconciled(monkeypatch):
    tasks, overdue = CanaryTasks(), ["backend.prod"]
    monkeypatch.setattr(tasks, "overdue", lambda now: overdue)
    async with serve(Metrics("1.2.3"), tasks, 0) as port:
        assert await fetch(port, "/healthz", status=500) == "not reconciled for too long: backend.prod\n"
        overdue.clear()
        assert await fetch(port, "/healthz") == "OK\n"


async def test_a_port_that_is_taken_is_named():
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            StartError, match=f"Port {port} for /metrics and /healthz cannot be used: Address already in use"
        ):
            async with serve(Metrics("1"), CanaryTasks(), port):
                pass


async def fetch(port: int, path: str, status: int = 200) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        assert response.status == status
        return await response.text()


def test_where_a_canary_stands_is_one_series():
    metrics, canary = Metrics("1.2.3"), make_canary()
    states = (State(), State(Phase.PROGRESSING, reason="Started"), State(Phase.FAILED, reason="ChecksFailed"))
    for before, now in pairwise(states):
        metrics.observe_status(canary, before, now)
    found = [
        sample.labels
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "canary_state"
    ]
    assert found == [{**BACKEND, "phase": "Failed", "reason": "ChecksFailed"}]


def test_limits_are_published_while_a_rollout_is_under_way():
    metrics = Metrics("1.2.3")
    compared = {"name": "errors", "compare": {"errors": {}, "harmfulRatio": 3}}
    canary = make_canary(analysis={**WEIGHTED, "metrics": [ERROR_RATE, compared]})
    metrics.observe_status(canary, State(), State(Phase.PROGRESSING))
    limits = {
        (metric, bound): value(metrics, "canary_metric_limit", **BACKEND, metric=metric, bound=bound)
        for metric, bound in (("error-rate", "max"), ("error-rate", "min"), ("errors", "harmful"), ("errors", "max"))
    }
    assert limits == {
        ("error-rate", "max"): 1,
        ("error-rate", "min"): None,
        ("errors", "harmful"): 3,
        ("errors", "max"): None,
    }
    metrics.observe_status(canary, State(Phase.PROGRESSING), State(Phase.FAILED))
    assert value(metrics, "canary_metric_limit", **BACKEND, metric="errors", bound="harmful") is None


@pytest.mark.parametrize(
    ("after", "outcome", "reason"),
    [
        pytest.param(
            {"phase": Phase.FAILED, "reason": "CanaryHarmful"}, "rolled_back", "CanaryHarmful", id="rolled back"
        ),
        pytest.param({"phase": Phase.FAILED, "reason": "Aborted"}, "aborted", "Aborted", id="aborted"),
        pytest.param(
            {"phase": Phase.PROGRESSING, "reason": "Restarted", "started_at": NOW + timedelta(seconds=60)},
            "superseded",
            "Restarted",
            id="superseded",
        ),
    ],
)
def test_a_rollout_that_has_ended_is_counted_with_its_reason(after, outcome, reason):
    metrics = Metrics("1.2.3")
    before = State(Phase.PROGRESSING, started_at=NOW, begun_at=NOW)
    ended = {"started_at": NOW, "transitioned_at": NOW + timedelta(seconds=60), **after}
    metrics.observe_status(make_canary(), before, State(**ended))
    assert value(metrics, "canary_rollouts_total", **BACKEND, outcome=outcome, reason=reason) == 1
