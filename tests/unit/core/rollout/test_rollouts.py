"""Whole rollouts through the core, from the push to the end."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from controller.api.status import Phase
from controller.core.model import Rival
from controller.core.objects.workload import primary_revision
from controller.core.probes import NoValues, Passed, ProbeResult, QueryFailed, Refused, Value
from tests.builders import (
    AB_TESTING,
    BLUE_GREEN,
    ERROR_RATE,
    WEIGHTED,
    canary_manifest,
    make_autoscaler,
    make_config,
    make_deployment,
    webhook,
)
from tests.unit.core.cluster import Cluster, forget, initialized, progressing, rolled_out, settled

AUTOSCALER_REF = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "backend"}
STARTED = ["New revision detected! Scaling up backend.prod", "Starting canary analysis for backend.prod"]
FINISHED = [
    "Copying backend.prod template spec to backend-primary.prod",
    "Routing all traffic to primary",
    "Promotion completed! Scaling down backend.prod",
]
FAILED = "Canary failed! Scaling down backend.prod"
ROLLED_BACK = "Rolling back backend.prod failed checks threshold reached 3"


def advance(*weights: int) -> list[str]:
    return [f"Advance backend.prod canary weight {weight}" for weight in weights]


def iterations(count: int) -> list[str]:
    return [f"Advance backend.prod canary iteration {number}/{count}" for number in range(1, count + 1)]


ENDED = [("Promoting", 0), ("Finalising", 0), ("Succeeded", 0)]

SUCCESSES: Mapping[str, tuple[Mapping[str, Any], list[tuple[str, int]], list[str]]] = {
    # name: (spec of the Canary, phases and weights, events)
    "weights rise to the limit": (
        {"analysis": WEIGHTED},
        [
            *[("Progressing", weight) for weight in (0, 20, 40, 50)],
            ("Promoting", 50),
            ("Finalising", 0),
            ("Succeeded", 0),
        ],
        [*STARTED, *advance(20, 40, 50), *FINISHED],
    ),
    "listed weights are taken one by one": (
        {"analysis": {"interval": "10s", "threshold": 1, "stepWeights": [1, 10, 80]}},
        [
            *[("Progressing", weight) for weight in (0, 1, 10, 80)],
            ("Promoting", 80),
            ("Finalising", 0),
            ("Succeeded", 0),
        ],
        [*STARTED, *advance(1, 10, 80), *FINISHED],
    ),
    "a single step goes straight to the limit": (
        {"analysis": {"interval": "10s", "threshold": 1, "stepWeight": 100}},
        [("Progressing", 0), ("Progressing", 100), ("Promoting", 100), ("Finalising", 0), ("Succeeded", 0)],
        [*STARTED, *advance(100), *FINISHED],
    ),
    "a gradual promotion gives the traffic back by steps": (
        {"analysis": {**WEIGHTED, "stepWeightPromotion": 20}},
        [
            *[("Progressing", weight) for weight in (0, 20, 40, 50)],
            *[("Promoting", weight) for weight in (50, 30, 10)],
            ("Finalising", 0),
            ("Succeeded", 0),
        ],
        [
            *STARTED,
            *advance(20, 40, 50),
            FINISHED[0],
            "Advance backend.prod primary weight 70",
            "Advance backend.prod primary weight 90",
            *FINISHED[1:],
        ],
    ),
    "traffic is mirrored once before any is moved": (
        {"analysis": {**WEIGHTED, "mirror": True}},
        [
            *[("Progressing", weight) for weight in (0, 20, 40, 50)],
            ("Promoting", 50),
            ("Finalising", 0),
            ("Succeeded", 0),
        ],
        [*STARTED, "Mirroring traffic to backend.prod", *advance(20, 40, 50), *FINISHED],
    ),
    "A/B rounds send all matched requests to the canary": (
        {"analysis": AB_TESTING},
        [("Progressing", 0), ("Progressing", 100), ("Promoting", 100), ("Finalising", 0), ("Succeeded", 0)],
        [*STARTED, *iterations(2), *FINISHED],
    ),
    "blue/green rounds send nobody, then everybody": (
        {"analysis": BLUE_GREEN},
        [("Progressing", 0), ("Progressing", 100), ("Promoting", 100), ("Finalising", 0), ("Succeeded", 0)],
        [*STARTED, *iterations(2), "Routing all traffic to canary", *FINISHED],
    ),
    "mirrored blue/green rounds copy the traffic": (
        {"analysis": {**BLUE_GREEN, "mirror": True}},
        [("Progressing", 0), ("Progressing", 100), ("Promoting", 100), ("Finalising", 0), ("Succeeded", 0)],
        [*STARTED, *iterations(2), "Stop traffic mirroring and route all traffic to canary", *FINISHED],
    ),
    "without analysis there is no traffic for the canary": (
        {"analysis": WEIGHTED, "skipAnalysis": True},
        [("Progressing", 0), *ENDED],
        [STARTED[0], *FINISHED[:2], "Promotion completed! Canary analysis was skipped for backend.prod"],
    ),
}


@pytest.mark.parametrize("name", SUCCESSES)
def test_a_good_revision_is_promoted(name):
    spec, steps, events = SUCCESSES[name]
    cluster = initialized(canary_manifest(**spec))
    cluster.set_image("podinfo:2")
    assert rolled_out(cluster) == steps
    assert cluster.events == events
    assert (cluster.weights(), cluster.image("backend-primary"), cluster.replicas("backend")) == (
        (100, 0),
        "podinfo:2",
        0,
    )
    state = cluster.state
    assert state.applied == state.promoted == primary_revision(cluster.objects["Deployment", "backend-primary"])


NO_TRAFFIC = "no values found for istio metric request-success-rate probably backend.prod is not receiving traffic"
NO_VALUES = (
    "Halt advancement no values found for custom metric: error-rate: its query returns nothing; if backend.prod has no "
    "traffic, add a load test (a webhook of type rollout)"
)
FAILURES: Mapping[str, tuple[Mapping[str, Any], ProbeResult, str]] = {
    "a value out of range": (ERROR_RATE, Value(100.0), "Halt backend.prod advancement error-rate 100.00 > 1"),
    "no values": (
        ERROR_RATE,
        NoValues(),
        NO_VALUES,
    ),
    "a query that fails": (
        ERROR_RATE,
        QueryFailed("connection refused"),
        "Halt advancement Metric query failed for error-rate: connection refused",
    ),
    "no traffic": (
        {"name": "request-success-rate", "thresholdRange": {"min": 99}},
        NoValues(),
        f"Halt advancement {NO_TRAFFIC}",
    ),
    "too few successes": (
        {"name": "request-success-rate", "thresholdRange": {"min": 99}},
        Value(98.0),
        "Halt backend.prod advancement success rate 98.00% < 99%",
    ),
    "answers that are too slow": (
        {"name": "request-duration", "thresholdRange": {"max": 500}},
        Value(1500.7),
        "Halt backend.prod advancement request duration 1.5s > 500ms",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_bad_revision_is_rolled_back_and_the_primary_runs_what_it_ran(name):
    metric, answer, halt = FAILURES[name]
    cluster = initialized(canary_manifest(analysis={**WEIGHTED, "metrics": [metric]}))
    cluster.answers[f"metric/{metric['name']}"] = answer
    cluster.set_image("podinfo:2")
    assert rolled_out(cluster) == [("Progressing", 0), ("Progressing", 20), ("Failed", 0)]
    awaited = [event for event in cluster.events if event.startswith("Waiting for the first values of")]
    assert cluster.events == [*STARTED, *advance(20), *awaited, *[halt] * 3, ROLLED_BACK, FAILED]
    assert len(awaited) == (1 if isinstance(answer, NoValues) else 0)
    assert (cluster.weights(), cluster.image("backend-primary"), cluster.replicas("backend")) == (
        (100, 0),
        "podinfo:1",
        0,
    )
    assert cluster.state.message == f"{ROLLED_BACK}: {halt}"
    assert cluster.state.checks[0].passed is False


def test_a_rollback_follows_when_the_canary_misses_its_progress_deadline():
    cluster = initialized()
    cluster.health["backend"] = "waiting"
    cluster.set_image("podinfo:2")
    assert settled(cluster, 10).phase is Phase.PROGRESSING
    cluster.roll_out("backend", "expired")
    rolled_out(cluster)
    assert (cluster.phase, cluster.weights(), cluster.replicas("backend")) == (Phase.FAILED, (100, 0), 0)
    assert 'deployment "backend" exceeded its progress deadline' in cluster.state.message


def configured_target(kind: str = "configMapRef") -> dict[str, Any]:
    target = make_deployment()
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{kind: {"name": "backend-config"}}]
    return target


def secret(text: str) -> dict[str, Any]:
    return make_config(
        "backend-config", {"key": base64.b64encode(text.encode()).decode()}, kind="Secret", type="Opaque"
    )


def test_a_change_of_a_config_map_alone_is_tried_and_promoted():
    cluster = initialized(None, configured_target(), make_config("backend-config", {"greeting": "hello"}))
    cluster.set_config({"greeting": "good day"})
    cluster.tick(10)
    assert cluster.objects["ConfigMap", "backend-config-primary"]["data"] == {"greeting": "hello"}
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)
    assert cluster.objects["ConfigMap", "backend-config-primary"]["data"] == {"greeting": "good day"}


def test_binary_data_of_a_config_map_is_part_of_the_revision():
    config = make_config("backend-config", {}, binaryData={"logo": "aGVsbG8="})
    cluster = initialized(None, configured_target(), config)
    cluster.edit("ConfigMap", "backend-config", lambda item: item.update(binaryData={"logo": "Ynll"}))
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)
    assert cluster.objects["ConfigMap", "backend-config-primary"]["binaryData"] == {"logo": "Ynll"}


def test_a_change_of_a_secret_alone_is_tried_and_promoted():
    cluster = initialized(None, configured_target("secretRef"), secret("old"))
    changed = secret("new")["data"]
    cluster.set_config(changed, kind="Secret")
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)
    assert cluster.objects["Secret", "backend-config-primary"]["data"] == changed


def test_a_change_of_a_config_map_on_the_way_restarts_the_pods_that_have_the_old_one():
    cluster = progressing(40, None, configured_target(), make_config("backend-config", {"greeting": "hello"}))
    cluster.set_config({"greeting": "good day"})
    cluster.tick()
    assert (cluster.weights(), cluster.replicas("backend")) == ((100, 0), 1)
    for replicas in (1, 0, 1):
        cluster.tick(10)
        assert cluster.replicas("backend") == replicas
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)


def test_a_config_map_that_is_replaced_by_deleting_and_creating_is_one_revision():
    cluster = initialized(None, configured_target(), make_config("backend-config", {"greeting": "hello"}))
    away = cluster.objects.pop(("ConfigMap", "backend-config"))
    settled(cluster, 10)
    assert cluster.phase is Phase.INITIALIZED
    assert "configmap/backend-config" in cluster.state.message
    cluster.objects["ConfigMap", "backend-config"] = away
    settled(cluster, 10)
    assert (cluster.phase, cluster.state.message) == (Phase.INITIALIZED, "")


def test_a_newer_revision_on_the_way_starts_over_and_only_it_is_promoted():
    cluster = progressing(40)
    cluster.set_image("podinfo:3")
    assert rolled_out(cluster)[0:2] == [("Progressing", 0), ("Progressing", 20)]
    assert cluster.events[0] == "New revision detected! Restarting analysis for backend.prod"
    assert (cluster.phase, cluster.image("backend-primary")) == (Phase.SUCCEEDED, "podinfo:3")


def test_a_revision_taken_back_on_the_way_is_not_promoted_and_may_come_again():
    cluster = progressing(40)
    cluster.set_image("podinfo:1")
    assert rolled_out(cluster) == [("Initialized", 0)]
    assert (cluster.weights(), cluster.replicas("backend")) == ((100, 0), 0)
    cluster.set_image("podinfo:2")
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)
    assert cluster.image("backend-primary") == "podinfo:2"


def test_a_failed_revision_that_is_pushed_again_after_another_is_tried_again():
    cluster = progressing(20, canary_manifest(analysis={**WEIGHTED, "threshold": 1, "metrics": [ERROR_RATE]}))
    cluster.answers["metric/error-rate"] = Value(100.0)
    assert rolled_out(cluster) == [("Failed", 0)]
    cluster.answers = {}
    cluster.set_image("podinfo:1")
    assert rolled_out(cluster) == [("Initialized", 0)]
    cluster.set_image("podinfo:2")
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)


def test_a_new_revision_while_failed_and_the_primary_not_ready_is_not_lost():
    cluster = progressing(20, canary_manifest(analysis={**WEIGHTED, "threshold": 1, "metrics": [ERROR_RATE]}))
    cluster.answers["metric/error-rate"] = Value(100.0)
    rolled_out(cluster)
    cluster.answers = {}
    cluster.roll_out("backend-primary", "waiting")
    cluster.set_image("podinfo:3")
    settled(cluster, 10)
    assert cluster.phase is Phase.FAILED
    cluster.roll_out("backend-primary", "ready")
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)
    assert cluster.image("backend-primary") == "podinfo:3"


def test_a_promotion_that_fails_leaves_the_traffic_with_the_canary_and_goes_on_once_the_primary_is_ready():
    cluster = progressing(50)
    cluster.health["backend-primary"] = "expired"
    assert rolled_out(cluster) == [("Promoting", 50), ("Failed", 100)]
    assert (cluster.weights(), cluster.replicas("backend")) == ((0, 100), 1)
    forget(cluster)
    cluster.roll_out("backend-primary", "ready")
    assert rolled_out(cluster) == [("Finalising", 0), ("Succeeded", 0)]
    assert cluster.events == FINISHED[1:]
    assert (cluster.weights(), cluster.replicas("backend")) == ((100, 0), 0)


def test_a_copied_spec_that_the_status_does_not_know_of_is_not_rolled_back_to():
    """The controller died after the copy, and the primary cannot run it: the canary is all that works."""
    cluster = progressing(50)
    before = cluster.canary["status"]
    cluster.health["backend-primary"] = "expired"
    cluster.tick(10)
    cluster.canary["status"] = before
    assert rolled_out(cluster)[-1] == ("Failed", 100)
    assert cluster.weights() == (0, 100)


def test_waiting_for_a_promotion_keeps_weight_and_counts_no_failure():
    hooks = [webhook("promote", "confirm-promotion")]
    cluster = progressing(50, canary_manifest(analysis={**WEIGHTED, "webhooks": hooks}))
    cluster.answers["webhook/confirm-promotion/promote"] = Refused("403 Forbidden")
    for _ in range(5):
        cluster.tick(10)
    state = cluster.state
    assert (state.phase, state.routes.canary_weight, state.iterations, state.failed_checks) == (
        Phase.WAITING_PROMOTION,
        50,
        0,
        0,
    )
    assert cluster.weights() == (50, 50)
    cluster.answers = {}
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)


def test_every_gate_and_hook_is_asked_in_its_turn():
    types = (
        "confirm-rollout",
        "pre-rollout",
        "rollout",
        "confirm-traffic-increase",
        "confirm-promotion",
        "post-rollout",
        "rollback",
    )
    analysis = {**WEIGHTED, "stepWeight": 50, "webhooks": [webhook("hook", type_) for type_ in types]}
    cluster = initialized(canary_manifest(analysis=analysis))
    cluster.set_image("podinfo:2")
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)
    assert [key.split("/")[1] for key in cluster.asked if key.startswith("webhook/")] == [
        *("confirm-rollout",),
        *("rollback", "pre-rollout", "confirm-traffic-increase"),
        *("rollback", "rollout", "confirm-promotion"),
    ]
    assert cluster.called == ["webhook/post-rollout/hook/Succeeded"]


@pytest.mark.parametrize(
    ("gate", "phase", "weight"),
    [
        ("confirm-rollout", Phase.WAITING, 0),
        ("confirm-traffic-increase", Phase.PROGRESSING, 0),
        ("confirm-promotion", Phase.WAITING_PROMOTION, 50),
    ],
)
def test_a_gate_holds_the_rollout_until_it_opens(gate, phase, weight):
    cluster = initialized(canary_manifest(analysis={**WEIGHTED, "webhooks": [webhook("gate", gate)]}))
    cluster.answers[f"webhook/{gate}/gate"] = Refused("403 Forbidden")
    cluster.set_image("podinfo:2")
    for _ in range(20):
        cluster.tick(10)
    assert (cluster.phase, cluster.weights(), cluster.state.failed_checks) == (phase, (100 - weight, weight), 0)
    cluster.answers = {}
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)


@pytest.mark.parametrize("check", ["pre-rollout", "rollout"])
def test_a_check_by_webhook_that_fails_ends_in_a_rollback(check):
    cluster = initialized(canary_manifest(analysis={**WEIGHTED, "webhooks": [webhook("check", check)]}))
    cluster.answers[f"webhook/{check}/check"] = Refused("500 boom")
    cluster.set_image("podinfo:2")
    assert rolled_out(cluster)[-1] == ("Failed", 0)
    assert cluster.image("backend-primary") == "podinfo:1"


def test_a_rollback_hook_ends_a_rollout_that_waits_for_its_promotion():
    hooks = [webhook("promote", "confirm-promotion"), webhook("abort", "rollback")]
    cluster = progressing(50, canary_manifest(analysis={**WEIGHTED, "webhooks": hooks}))
    cluster.answers["webhook/confirm-promotion/promote"] = Refused("403 Forbidden")
    cluster.tick(10)
    cluster.answers["webhook/rollback/abort"] = Passed()
    assert rolled_out(cluster) == [("Failed", 0)]
    assert cluster.weights() == (100, 0)


def test_the_autoscaler_of_the_primary_follows_that_of_the_target_in_a_promotion_only():
    cluster = initialized(canary_manifest(autoscalerRef=AUTOSCALER_REF), make_deployment(), make_autoscaler(high=4))
    cluster.edit("HorizontalPodAutoscaler", "backend", lambda item: item["spec"].update(maxReplicas=9))
    copy = ("HorizontalPodAutoscaler", "backend-primary")
    settled(cluster, 10)
    assert cluster.objects[copy]["spec"]["maxReplicas"] == 4
    cluster.set_image("podinfo:2")
    rolled_out(cluster)
    assert cluster.objects[copy]["spec"]["maxReplicas"] == 9
    assert cluster.objects[copy]["spec"]["scaleTargetRef"]["name"] == "backend-primary"


def test_two_canaries_on_one_target_do_not_fight():
    cluster = Cluster.of(canary_manifest(), make_deployment())
    cluster.rival = Rival("first", "Deployment", "backend", "spec.targetRef")
    for _ in range(5):
        cluster.tick(10)
    assert cluster.writes == []
    assert cluster.phase is Phase.NEW
    assert len(cluster.events) == 1


def test_a_config_copy_that_somebody_deleted_is_made_again():
    cluster = initialized(None, configured_target(), make_config("backend-config", {"greeting": "hello"}))
    lost = cluster.objects.pop(("ConfigMap", "backend-config-primary"))
    cluster.tick()
    assert cluster.objects["ConfigMap", "backend-config-primary"]["data"] == lost["data"]


def test_a_config_copy_that_somebody_deleted_is_not_made_from_what_was_not_tried():
    cluster = initialized(None, configured_target(), make_config("backend-config", {"greeting": "hello"}))
    del cluster.objects["ConfigMap", "backend-config-primary"]
    cluster.set_config({"greeting": "untried"})
    cluster.tick(10)
    assert ("ConfigMap", "backend-config-primary") not in cluster.objects
