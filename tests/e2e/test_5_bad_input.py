"""What is wrong is said where the user looks, no traffic moves, and nothing is lost."""

from __future__ import annotations

import copy

import pytest

from sandbox.running import SandboxError
from tests.e2e.apps import NAMESPACE, canary, deployment, metric, template
from tests.e2e.world import World


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
    assert "which Canary shared.trials uses already" in seen.message
    assert seen.phase == ""


UNREACHABLE = {"chartPath": None, "repository": "http://127.0.0.1:9/charts", "version": "1.31.3"}
ROLLOUTS = {
    "down": ([metric("unreachable")], "Halt advancement Metric query failed for unreachable: "),
    "broken": ([metric("nonsense")], "Halt advancement Metric query failed for nonsense: "),
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
    mark, routes, heard = trials.mark(), len(trials.routes), len(trials.events)
    trials.apply(deployment(name, "2"))
    trials.wait_for_phase(name, "Failed", after=mark, seconds=90)
    trials.wait_for_event(name, said, after=heard)
    assert set(trials.weights_since(name, routes)) <= {0, 10}


def test_a_prometheus_that_goes_away_holds_the_canary_where_it_is_until_it_comes_back(trials: World):
    patient = canary("patient", metrics=[metric("quiet")], threshold=40)
    trials.apply(template("quiet", "vector(0)"), deployment("patient"), patient)
    trials.wait_for_phase("patient", "Initialized", seconds=60)
    mark = trials.mark()
    trials.apply(deployment("patient", "2"))
    trials.wait_for("patient", "at 20%", lambda sight: sight.weight == 20, after=mark)
    prometheus = ("-n", "istio-system", "deployment/prometheus")
    trials.kubectl("scale", "--replicas=0", *prometheus)
    try:
        trials.kubectl("wait", "--for=delete", "pod", "-l", "app=prometheus", "-n", "istio-system", "--timeout=60s")
        heard = len(trials.events)
        trials.wait_for_event("patient", "Halt advancement Metric query failed for quiet: ", after=heard)
        held, routes = trials.mark(), len(trials.routes)
        still = trials.wait_for("patient", "held", lambda sight: sight.failed_checks >= 3, after=held)
        assert trials.weights_since("patient", routes) == []
        assert still.phase == "Progressing"
        assert still.weight in {20, 30}
    finally:
        trials.kubectl("scale", "--replicas=1", *prometheus)
        trials.kubectl("rollout", "status", "--timeout=60s", *prometheus)
    trials.wait_for_phase("patient", "Succeeded", after=held, seconds=90)
    assert trials.weights_since("patient", routes) == [weight for weight in (30, 40, 50) if weight > still.weight] + [0]


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
    mark, routes, heard = trials.mark(), len(trials.routes), len(trials.events)
    trials.apply(deployment("stuck", "2"))
    trials.wait_for_phase("stuck", "Failed", after=mark, seconds=90)
    halted = trials.wait_for_event("stuck", "Halt stuck.trials advancement pre-rollout check acceptance", after=heard)
    assert halted.endswith(" gave no answer within 1s")
    assert set(trials.weights_since("stuck", routes)) <= {0}


def test_the_api_refuses_an_impossible_canary_in_words(trials: World):
    bad = copy.deepcopy(canary("impossible"))
    bad["spec"]["analysis"]["stepWeight"] = 0
    with pytest.raises(SandboxError, match="must be 1 to 100"):
        trials.apply(bad)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"canary-on-istio:apps": {"backend": {"analisis": {}}}}, "analisis"),
        ({"canary-on-istio:apps": {"backend": {"analysis": {"maxWeight": 120}}}}, "maxWeight"),
        ({"canary-on-istio:istio": UNREACHABLE}, "127.0.0.1:9"),
    ],
    ids=["a misspelt key", "a value out of range", "a chart repository out of reach"],
)
def test_a_bad_stack_is_refused_at_preview(world: World, extra, said):
    preview = world.preview(extra=extra)
    assert preview.returncode != 0
    assert said in preview.stdout + preview.stderr, preview.stdout + preview.stderr
