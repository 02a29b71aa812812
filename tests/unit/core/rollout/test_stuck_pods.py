"""Pods that do not get ready: their own reason is in what is said, and they are asked only when they are stuck."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from controller.api.status import Phase
from controller.core.probes import Pods, ProbeResult
from tests.builders import canary_manifest, make_deployment
from tests.unit.core.cluster import Cluster, initialized, progressing
from tests.unit.core.objects.test_pods import containers, pod, waits

MISSING = containers(waits("CreateContainerConfigError", 'secret "token" not found'))
SAID = 'container app waits: CreateContainerConfigError: secret "token" not found'


def stuck(cluster: Cluster, name: str, *, seconds: float = 30) -> None:
    """The newest pods of a Deployment have been coming up for so long."""
    cluster.health[name] = "waiting"
    cluster.roll_out(name)
    status: dict[str, Any] = cluster.objects["Deployment", name]["status"]
    since = (cluster.now - timedelta(seconds=seconds)).isoformat()
    status["conditions"] = [{"type": "Progressing", "status": "True", "lastUpdateTime": since}]
    cluster.answers[f"pods/{name}"] = Pods((pod(f"{name}-6d9f-x", owner=f"{name}-6d9f", **MISSING),))


def test_a_canary_whose_pods_are_stuck_says_what_the_pods_say():
    cluster = progressing(0)
    stuck(cluster, "backend")
    cluster.tick(10)
    assert cluster.state.message.startswith("canary deployment backend.prod not ready: waiting for rollout to finish: ")
    assert cluster.state.message.endswith(f"; pod backend-6d9f-x {SAID}")


def test_a_rollback_at_the_deadline_says_it_too():
    cluster = progressing(0)
    stuck(cluster, "backend")
    for _ in range(100):
        cluster.tick(10)
        if cluster.phase is Phase.FAILED:
            break
    (event,) = (event for event in cluster.events if event.startswith("Rolling back backend.prod progress deadline"))
    assert SAID in event


def test_a_primary_that_is_stuck_before_a_rollout_and_during_it_says_it():
    for cluster in (initialized(), progressing(20)):
        cluster.set_image("podinfo:2") if cluster.phase is Phase.INITIALIZED else None
        stuck(cluster, "backend-primary")
        cluster.tick(10)
        assert cluster.state.message.endswith(f"; pod backend-primary-6d9f-x {SAID}")


def test_the_first_primary_says_it_and_is_looked_at_again():
    cluster = Cluster.of(canary_manifest(), make_deployment())
    cluster.health["backend-primary"] = "waiting"
    cluster.tick()
    assert cluster.phase is Phase.INITIALIZING
    stuck(cluster, "backend-primary")
    decision = cluster.tick(10)
    assert cluster.state.message.endswith(f"; pod backend-primary-6d9f-x {SAID}")
    assert decision.requeue_after == 10


@pytest.mark.parametrize("answer", [Pods(()), Pods((pod("backend-6d9f-x"),))], ids=["nothing", "no reason"])
def test_pods_that_say_nothing_change_nothing(answer: ProbeResult):
    cluster = progressing(0)
    stuck(cluster, "backend")
    cluster.answers["pods/backend"] = answer
    cluster.tick(10)
    assert ";" not in cluster.state.message


def test_pods_that_only_start_are_not_asked():
    cluster = progressing(0)
    stuck(cluster, "backend", seconds=-5)
    cluster.tick(10)
    assert "not ready" in cluster.state.message
    assert not [key for key in cluster.asked if key.startswith("pods/")]


def test_a_rollout_whose_pods_are_ready_asks_for_none():
    cluster = progressing(0)
    while cluster.phase is Phase.PROGRESSING:
        cluster.tick(10)
    assert not [key for key in cluster.asked if key.startswith("pods/")]
