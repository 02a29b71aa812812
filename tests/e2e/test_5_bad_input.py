"""What is wrong is said where the user looks, no traffic moves, and nothing is lost."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.e2e.world import World

NAMESPACE = "trials"


def deployment(name: str, revision: str = "1") -> dict[str, Any]:
    labels = {"app": name}
    container = {
        "name": "podinfo",
        "image": "ghcr.io/stefanprodan/podinfo:6.1.0",
        "imagePullPolicy": "IfNotPresent",
        "command": ["./podinfo", "--port=9898"],
        "env": [{"name": "REVISION", "value": revision}],
        "ports": [{"name": "http", "containerPort": 9898}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 9898}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def canary(name: str, target: str | None = None, **analysis: Any) -> dict[str, Any]:
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target or name},
            "service": {"port": 9898},
            "analysis": {"interval": "3s", "threshold": 2, "stepWeight": 10, "maxWeight": 50, **analysis},
        },
    }


def template(name: str, query: str, address: str = "http://prometheus.istio-system:9090") -> dict[str, Any]:
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"provider": {"type": "prometheus", "address": address}, "query": query},
    }


def metric(name: str) -> dict[str, Any]:
    return {"name": name, "templateRef": {"name": name}, "thresholdRange": {"max": 1}, "interval": "10s"}


@pytest.fixture(scope="module")
def trials(world: World) -> World:
    world.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    return world


def test_a_target_that_does_not_exist_is_named_in_the_status(trials: World):
    trials.apply(canary("ghost"))
    seen = trials.wait_for("ghost", "held up", lambda sight: bool(sight.message), seconds=30)
    assert "Deployment ghost.trials not found" in seen.message
    assert "Deployment ghost.trials not found" in trials.kubectl("describe", "canary", "ghost", "-n", NAMESPACE)


def test_of_two_canaries_on_one_target_the_later_one_touches_nothing(trials: World):
    trials.apply(deployment("shared"), canary("shared"))
    trials.wait_for_phase("shared", "Initialized", seconds=60)
    trials.apply(canary("second", "shared"))
    seen = trials.wait_for("second", "held up", lambda sight: bool(sight.message), seconds=30)
    assert "is the target of Canary shared.trials already" in seen.message
    assert seen.phase == ""


UNREACHABLE = {"chartPath": None, "repository": "http://127.0.0.1:9/charts", "version": "1.31.3"}
ROLLOUTS = {
    "down": ([metric("unreachable")], "Metric query failed for unreachable: "),
    "broken": ([metric("nonsense")], "Metric query failed for nonsense: "),
}


@pytest.mark.parametrize("name", ROLLOUTS)
def test_a_metric_that_cannot_be_had_moves_no_traffic_and_ends_in_a_rollback(trials: World, name):
    metrics, said = ROLLOUTS[name]
    trials.apply(
        template("unreachable", "vector(0)", "http://prometheus.nowhere:9090"),
        template("nonsense", "sum(rate("),
        deployment(name),
        canary(name, metrics=metrics),
    )
    trials.wait_for_phase(name, "Initialized", seconds=60)
    mark, routes = trials.mark(), len(trials.routes)
    trials.apply(deployment(name, "2"))
    trials.wait_for_phase(name, "Failed", after=mark, seconds=90)
    assert any(said in message for message in trials.events(name, NAMESPACE)), trials.events(name, NAMESPACE)
    assert set(trials.weights_since(name, routes)) <= {0, 10}


def test_a_template_that_is_missing_keeps_a_rollout_from_starting(trials: World):
    trials.apply(deployment("untold"), canary("untold", metrics=[metric("absent")]))
    trials.wait_for_phase("untold", "Initialized", seconds=60)
    mark = trials.mark()
    trials.apply(deployment("untold", "2"))
    seen = trials.wait_for("untold", "held up", lambda sight: "MetricTemplate" in sight.message, seconds=30)
    assert "trials/absent" in seen.message
    trials.apply(template("absent", "vector(0)"))
    trials.wait_for_phase("untold", "Succeeded", after=mark, seconds=90)


def test_a_webhook_that_times_out_halts_the_rollout_before_any_traffic(trials: World):
    hook = {
        "name": "acceptance",
        "type": "pre-rollout",
        "url": "http://flagger-loadtester.prod/",
        "timeout": "1s",
        "metadata": {"type": "bash", "cmd": "sleep 20"},
    }
    trials.apply(deployment("stuck"), canary("stuck", webhooks=[hook]))
    trials.wait_for_phase("stuck", "Initialized", seconds=60)
    mark, routes = trials.mark(), len(trials.routes)
    trials.apply(deployment("stuck", "2"))
    trials.wait_for_phase("stuck", "Failed", after=mark, seconds=90)
    halts = [text for text in trials.events("stuck", NAMESPACE) if "pre-rollout check acceptance failed" in text]
    assert any(text.endswith("gave no answer within 1s") for text in halts), trials.events("stuck", NAMESPACE)
    assert set(trials.weights_since("stuck", routes)) <= {0}


def test_the_api_refuses_an_impossible_canary_in_words(trials: World):
    bad = copy.deepcopy(canary("impossible"))
    bad["spec"]["analysis"]["stepWeight"] = 0
    with pytest.raises(Exception, match="must be 1 to 100"):
        trials.apply(bad)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"canary-on-istio:apps": {"backend": {"analisis": {}}}}, "analisis"),
        ({"canary-on-istio:apps": {"backend": {"analysis": {"maxWeight": 120}}}}, "maxWeight"),
        (
            {"canary-on-istio:istio": UNREACHABLE},
            "127.0.0.1:9",
        ),
    ],
    ids=["a misspelt key", "a value out of range", "a chart repository out of reach"],
)
def test_a_bad_stack_is_refused_at_preview(world: World, extra, said):
    preview = world.preview(extra=extra)
    assert preview.returncode != 0
    assert said in preview.stdout + preview.stderr, preview.stdout + preview.stderr
