"""Waiting is safe: while the canary has traffic it is judged, and traffic only goes to pods that serve."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from controller.api.status import Phase
from controller.core.decision import Put, SetRoutes
from controller.core.probes import Passed, Pending, ProbeResult, Refused, Value
from controller.core.rollout.drive import deciding
from tests.builders import ERROR_RATE, WEIGHTED, canary_manifest, make_config, make_deployment, webhook
from tests.unit.core.cluster import Cluster, forget, initialized, progressing, rolled_out

METRIC, STOP = "metric/error-rate", "webhook/rollback/stop"
ANALYSIS = {**WEIGHTED, "metrics": [ERROR_RATE], "webhooks": [webhook("stop", "rollback")]}


def serving(weight: int = 40, **spec: Any) -> Cluster:
    """A canary of four pods with traffic."""
    target = make_deployment(replicas=4)
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "backend-config"}}]
    return progressing(
        weight, canary_manifest(analysis=ANALYSIS, **spec), target, make_config("backend-config", {"level": "1"})
    )


def one_unready(cluster: Cluster) -> None:
    cluster.objects["Deployment", "backend"]["status"]["availableReplicas"] = 3


def config_missing(cluster: Cluster) -> None:
    del cluster.objects["ConfigMap", "backend-config"]


WAITS: Mapping[str, Callable[[Cluster], None]] = {
    "one of four pods is not ready": one_unready,
    "a ConfigMap is missing": config_missing,
    "the primary is not ready": lambda cluster: cluster.roll_out("backend-primary", "waiting"),
    "the Canary is suspended": lambda cluster: cluster.edit_canary(suspend=True),
    "a field is not supported": lambda cluster: cluster.edit_canary(service={"port": 9898, "meshName": "global"}),
}


@pytest.mark.parametrize("name", WAITS)
def test_a_canary_that_waits_is_judged_by_its_metrics(name):
    cluster = serving()
    WAITS[name](cluster)
    cluster.answers[METRIC] = Value(100.0)
    for _ in range(3):
        cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.FAILED, (100, 0))


@pytest.mark.parametrize("name", WAITS)
def test_a_canary_that_waits_is_rolled_back_by_hooks(name):
    cluster = serving()
    WAITS[name](cluster)
    cluster.answers[STOP] = Passed()
    cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.FAILED, (100, 0))


@pytest.mark.parametrize("name", WAITS)
def test_a_canary_that_waits_takes_no_step_and_goes_on_when_the_wait_is_over(name):
    cluster = serving()
    WAITS[name](cluster)
    for _ in range(5):
        cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.PROGRESSING, (60, 40))
    assert cluster.state.message
    cluster.roll_out("backend", "ready")
    cluster.roll_out("backend-primary", "ready")
    cluster.edit_canary(suspend=None, service={"port": 9898})
    cluster.objects["ConfigMap", "backend-config"] = make_config("backend-config", {"level": "1"})
    cluster.tick(10)
    assert (cluster.weights(), cluster.state.message) == ((50, 50), "")


@pytest.mark.parametrize("name", [name for name in WAITS if "suspended" not in name])
@pytest.mark.parametrize("weight", [0, 40])
def test_what_makes_no_progress_is_rolled_back_after_the_deadline(name, weight):
    if not weight and "supported" in name:
        return  # without traffic a spec that is refused is left alone
    cluster = serving(weight, progressDeadlineSeconds=60)
    WAITS[name](cluster)
    for _ in range(8):
        cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.FAILED, (100, 0))
    assert "progress deadline exceeded" in cluster.state.message


HOOKS = ("rollback", "rollout", "confirm-traffic-increase", "confirm-promotion")


@pytest.mark.parametrize("type_", HOOKS)
@pytest.mark.parametrize("weight", [40, 50])
def test_a_webhook_that_hangs_holds_up_the_step_and_no_judgement(type_, weight):
    hooks = [webhook(name, name) for name in HOOKS]
    cluster = progressing(weight, canary_manifest(analysis={**WEIGHTED, "metrics": [ERROR_RATE], "webhooks": hooks}))
    if (type_, weight) in (("confirm-promotion", 40), ("confirm-traffic-increase", 50)):
        return  # it is not asked for this step
    cluster.answers[f"webhook/{type_}/{type_}"] = Pending()
    for _ in range(5):
        forget(cluster)
        cluster.tick(10)
        assert (cluster.weights(), cluster.state.failed_checks) == ((100 - weight, weight), 0)
        assert METRIC in cluster.asked
    assert type_ in cluster.state.message
    cluster.answers[METRIC] = Value(100.0)
    for _ in range(3):
        cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.FAILED, (100, 0))


def test_only_a_webhook_that_may_delay_metrics_is_waited_for_a_limited_time():
    hooks = [webhook(name, name) for name in ("confirm-rollout", "pre-rollout", "rollback", "rollout")]
    cluster = initialized(canary_manifest(analysis={**WEIGHTED, "webhooks": hooks}))
    seen: dict[str, float | None] = {}
    cluster.set_image("podinfo:2")
    for _ in range(4):
        cluster.now += timedelta(seconds=10)
        steps, answers = deciding(cluster.state, cluster.facts()), dict[str, ProbeResult]()
        with contextlib.suppress(StopIteration):
            measure = next(steps)
            while True:
                seen |= {probe.key: measure.patience for probe in measure.probes}
                asked = {probe.key for probe in measure.probes}
                answers = {key: Refused("no") if "rollback" in key else Passed() for key in asked}
                measure = steps.send(answers)
        cluster.tick()
    waited = {key.split("/")[1]: patience for key, patience in seen.items() if key.startswith("webhook/")}
    assert waited == {"confirm-rollout": None, "pre-rollout": None, "rollback": 10.0, "rollout": 10.0}


def test_pods_that_come_up_one_by_one_are_progress():
    cluster = serving(0, progressDeadlineSeconds=60)
    one_unready(cluster)
    for _ in range(20):
        cluster.objects["Deployment", "backend"]["status"]["conditions"] = [
            {"type": "Progressing", "reason": "ReplicaSetUpdated", "lastUpdateTime": cluster.now.isoformat()}
        ]
        cluster.tick(10)
    assert cluster.phase is Phase.PROGRESSING


def test_pods_that_start_slowly_are_no_warning():
    cluster = initialized(canary_manifest(analysis=ANALYSIS))
    cluster.health["backend"] = cluster.health["backend-primary"] = "waiting"
    cluster.set_image("podinfo:2")
    for _ in range(5):
        cluster.tick(10)
    cluster.roll_out("backend", "ready")
    cluster.roll_out("backend-primary", "ready")
    rolled_out(cluster)
    assert cluster.phase is Phase.SUCCEEDED
    assert [event for event in cluster.events if "not ready" in event] == []


def test_a_suspended_canary_whose_target_moves_on_loses_its_traffic():
    cluster = serving()
    cluster.edit_canary(suspend=True)
    cluster.set_image("podinfo:untried")
    cluster.tick(1)
    assert (cluster.phase, cluster.weights()) == (Phase.PROGRESSING, (100, 0))
    cluster.tick(10)
    assert cluster.state.message == "skipping canary run as object is suspended"
    cluster.edit_canary(suspend=None)
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)


# --- objects that cannot be written ---


@pytest.mark.parametrize("kind", ["Service", "HorizontalPodAutoscaler", "DestinationRule", "ConfigMap", "Deployment"])
def test_what_cannot_be_written_keeps_no_traffic_on_a_bad_canary(monkeypatch, kind):
    cluster = serving()
    put = cluster.apply

    def refusing(write: Any) -> None:
        if isinstance(write, Put) and write.manifest["kind"] == kind:
            raise PermissionError(kind)
        put(write)

    monkeypatch.setattr(cluster, "apply", refusing)
    for key in [key for key in cluster.objects if key[0] == kind and "primary" in key[1]]:
        if kind not in ("Deployment", "ConfigMap"):
            del cluster.objects[key]
    cluster.answers[METRIC] = Value(100.0)
    for _ in range(3):
        try:
            cluster.tick(10)
        except PermissionError:
            continue
    assert (cluster.phase, cluster.weights()) == (Phase.FAILED, (100, 0))


def test_routes_come_first_when_traffic_leaves():
    cluster = serving()
    cluster.answers[STOP] = Passed()
    decision = cluster.tick(10)
    assert [type(action) for action in decision.actions] == [SetRoutes]
    assert decision.upkeep


def test_objects_come_first_when_traffic_comes():
    decision = serving().tick(10)
    assert isinstance(decision.actions[-1], SetRoutes)
    assert (len(decision.actions), decision.upkeep) == (5, ())


# --- routes and pods ---


ENDINGS: Mapping[str, Callable[[Cluster], object]] = {
    "a rollback": lambda cluster: cluster.answers.update({STOP: Passed()}),
    "a revert": lambda cluster: cluster.set_image("podinfo:1"),
    "another config": lambda cluster: cluster.set_config({"level": "2"}),
    "a promotion": lambda _: None,
}


@pytest.mark.parametrize("name", ENDINGS)
def test_the_pods_go_an_interval_after_the_routes(name):
    cluster = serving(50)
    ENDINGS[name](cluster)
    quiet = None
    for _ in range(60):
        cluster.tick(1)
        if cluster.weights() != (100, 0):
            quiet = None
        elif quiet is None:
            quiet = cluster.now
        if not cluster.replicas("backend"):
            break
    assert quiet is not None
    assert not cluster.replicas("backend")
    assert (cluster.now - quiet).total_seconds() >= 10


def test_the_pods_of_a_target_serve_until_an_interval_after_its_primary_has_the_traffic():
    cluster = Cluster.of(canary_manifest(), make_deployment())
    while cluster.phase is not Phase.INITIALIZED:
        cluster.tick(1)
    begun = cluster.now
    while cluster.replicas("backend"):
        cluster.tick(1)
    assert (cluster.now - begun).total_seconds() >= 10


def test_a_hand_on_the_routes_starts_the_interval_again():
    cluster = serving()
    cluster.answers[STOP] = Passed()
    for seconds in (10, 0, 8):
        cluster.tick(seconds)
    cluster.set_weights(60, 40)
    cluster.tick(8)
    assert (cluster.weights(), cluster.replicas("backend")) == ((100, 0), 4)
    for seconds in (0, 10):
        cluster.tick(seconds)
    assert cluster.replicas("backend") == 0


# --- a primary that serves nothing ---


def test_a_bad_canary_is_not_rolled_back_to_a_primary_that_serves_nothing():
    cluster = serving()
    cluster.roll_out("backend-primary", "down")
    cluster.answers[METRIC] = Value(100.0)
    for _ in range(6):
        cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.PROGRESSING, (60, 40))
    assert "backend-primary.prod serves nothing" in cluster.state.message
    cluster.answers.clear()
    cluster.roll_out("backend-primary", "ready")
    cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.FAILED, (100, 0))


def test_a_good_canary_goes_on_beside_a_primary_that_serves_nothing_after_the_deadline():
    cluster = serving(progressDeadlineSeconds=60)
    cluster.health["backend-primary"] = "down"
    cluster.roll_out("backend-primary")
    for _ in range(6):
        cluster.tick(10)
        assert cluster.weights() == (60, 40)
    for _ in range(4):
        cluster.tick(10)
    assert cluster.image("backend-primary") == "podinfo:2"
    cluster.roll_out("backend-primary", "ready")
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)


def test_a_promotion_whose_primary_goes_down_leaves_the_traffic_with_the_canary():
    cluster = serving(50)
    cluster.health["backend-primary"] = "down"
    for _ in range(3):
        cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.PROMOTING, (0, 100))
    cluster.roll_out("backend-primary", "ready")
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)


@pytest.mark.parametrize("image", ["podinfo:1", "podinfo:3"])
def test_after_a_failed_promotion_a_fix_or_the_old_version_is_the_way_out(image):
    cluster = serving(50, progressDeadlineSeconds=60)
    cluster.health["backend-primary"] = "down"
    for _ in range(10):
        cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.FAILED, (0, 100))
    cluster.health["backend-primary"] = "ready"
    cluster.set_image(image)
    for _ in range(15):
        cluster.tick(10)
        assert cluster.weights() == (0, 100) or cluster.image("backend-primary") == image
    assert (cluster.phase, cluster.image("backend-primary")) == (Phase.SUCCEEDED, image)


def test_a_primary_at_zero_replicas_is_not_ready():
    cluster = initialized(canary_manifest(analysis=ANALYSIS))
    cluster.edit("Deployment", "backend-primary", lambda item: item["spec"].update(replicas=0))
    cluster.tick(10)
    assert cluster.state.message == "backend-primary.prod serves nothing: it is scaled to zero; scale it up"
    cluster.set_image("podinfo:2")
    for _ in range(5):
        cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.INITIALIZED, (100, 0))
    cluster.edit("Deployment", "backend-primary", lambda item: item["spec"].update(replicas=1))
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)


def test_the_pods_of_a_canary_stay_while_the_primary_serves_nothing():
    cluster = serving()
    cluster.answers[STOP] = Passed()
    cluster.tick(10)
    cluster.roll_out("backend-primary", "down")
    forget(cluster)
    for _ in range(5):
        cluster.tick(10)
    assert cluster.replicas("backend") == 4


# --- a promotion that the API server refuses ---


def by_hand(cluster: Cluster) -> None:
    cluster.ask("promote-fully")


SKIPPED: Mapping[str, Callable[[Cluster], None]] = {
    "a person promotes it fully": by_hand,
    "the spec skips the analysis": lambda cluster: cluster.edit_canary(skipAnalysis=True),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_a_canary_whose_promotion_without_an_analysis_is_refused_is_judged(name):
    cluster = serving()
    cluster.refused, cluster.answers[METRIC] = {"Deployment"}, Value(100.0)
    SKIPPED[name](cluster)
    for _ in range(6):
        cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.FAILED, (100, 0))


@pytest.mark.parametrize("name", SKIPPED)
def test_a_promotion_without_an_analysis_that_was_refused_is_tried_again(name):
    cluster = serving()
    cluster.refused = {"Deployment"}
    SKIPPED[name](cluster)
    for _ in range(3):
        cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.PROGRESSING, (60, 40))
    cluster.refused = set()
    cluster.tick(10)
    assert cluster.phase is Phase.PROMOTING
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)
