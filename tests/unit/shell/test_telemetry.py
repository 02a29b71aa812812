"""The controller's own metrics and its health, over HTTP as Prometheus and the kubelet ask for them."""

from __future__ import annotations

import socket

import aiohttp
import pytest

from controller.api.status import Phase
from controller.core.model import Check, Routes, State
from controller.shell.errors import StartError
from controller.shell.server import health_problem, serve
from controller.shell.tasks import CanaryTasks
from controller.shell.telemetry import DEAF_COMPARISONS, Telemetry
from tests.builders import AB_TESTING, WEIGHTED, make_canary

BACKEND = {"name": "backend", "namespace": "prod"}


def value(telemetry: Telemetry, metric: str, /, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(metric, labels)


def told(*phases: Phase, **canary) -> Telemetry:
    telemetry = Telemetry("1.2.3")
    for before, after in zip((Phase.NEW, *phases), phases, strict=False):
        telemetry.told(make_canary(**canary), State(before), State(after, Routes(30)))
    return telemetry


def test_version_and_mesh_are_told():
    assert value(Telemetry("1.2.3"), "flagger_info", version="1.2.3", mesh_provider="istio") == 1


@pytest.mark.parametrize(
    ("phase", "number"),
    [(Phase.PROGRESSING, 0), (Phase.FAILED, 2), (Phase.SUCCEEDED, 1), (Phase.INITIALIZED, 1), (Phase.WAITING, 1)],
)
def test_the_status_is_flagger_s_number(phase, number):
    assert value(told(phase), "flagger_canary_status", **BACKEND) == number


def test_weights_and_measured_values_are_told():
    telemetry = Telemetry("1.2.3")
    checks = (
        Check("error-rate", passed=True, value=0.5, detail=""),
        Check("latency", passed=False, value=None, detail=""),
    )
    telemetry.told(make_canary(), State(Phase.PROGRESSING), State(Phase.PROGRESSING, Routes(30), checks=checks))
    assert value(telemetry, "flagger_canary_weight", workload="backend", namespace="prod") == 30
    assert value(telemetry, "flagger_canary_weight", workload="backend-primary", namespace="prod") == 70
    assert value(telemetry, "flagger_canary_metric_analysis", **BACKEND, metric="error-rate") == 0.5
    assert value(telemetry, "flagger_canary_metric_analysis", **BACKEND, metric="latency") is None


@pytest.mark.parametrize(
    ("canary", "name", "labels"),
    [
        ({"analysis": WEIGHTED}, "successes", {"deployment_strategy": "canary", "analysis_status": "completed"}),
        ({"analysis": AB_TESTING}, "successes", {"deployment_strategy": "ab-testing", "analysis_status": "completed"}),
        ({"skipAnalysis": True}, "successes", {"deployment_strategy": "canary", "analysis_status": "skipped"}),
    ],
)
def test_an_outcome_is_counted_once(canary, name, labels):
    telemetry = told(Phase.FINALISING, Phase.SUCCEEDED, Phase.SUCCEEDED, **canary)
    assert value(telemetry, f"flagger_canary_{name}_total", **BACKEND, **labels) == 1


async def test_nothing_is_left_of_a_canary_that_is_gone():
    telemetry = told(Phase.PROGRESSING, Phase.FAILED)
    telemetry.ticked("backend", "prod", seconds=0.1, at=5.0, result="ok")
    async with serve(telemetry, CanaryTasks(), 0) as port:
        assert 'namespace="prod"' in await fetch(port, "/metrics")
        telemetry.gone("backend", "prod", "backend")
        assert 'namespace="prod"' not in await fetch(port, "/metrics")
    assert value(telemetry, "canary_last_reconcile_timestamp_seconds") == 5


async def test_health_is_lost_when_watches_are_deaf_and_comes_back():
    telemetry, tasks = Telemetry("1.2.3"), CanaryTasks()
    async with serve(telemetry, tasks, 0) as port:
        assert await fetch(port, "/healthz") == "OK\n"
        for _ in range(DEAF_COMPARISONS):
            telemetry.compared("Service", 1)
        assert await fetch(port, "/healthz", status=500) == "the watches miss changes of: Service\n"
        telemetry.compared("Service", 0)
        assert await fetch(port, "/healthz") == "OK\n"


async def test_health_is_lost_when_a_canary_is_not_looked_at(monkeypatch):
    tasks = CanaryTasks()
    monkeypatch.setattr(tasks, "overdue", lambda now: ["backend.prod"])
    assert health_problem(Telemetry("1"), tasks) == "not looked at for too long: backend.prod"


async def test_a_port_that_is_taken_is_told():
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            StartError, match=f"Port {port} for /metrics and /healthz cannot be used: Address already in use"
        ):
            async with serve(Telemetry("1"), CanaryTasks(), port):
                pass


async def fetch(port: int, path: str, status: int = 200) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        assert response.status == status
        return await response.text()
