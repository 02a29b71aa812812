"""The primary runs what was promoted, or the first, whatever is deleted and whenever."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from controller.api.status import Phase
from controller.core.probes import Value
from tests.builders import ERROR_RATE, WEIGHTED, canary_manifest, make_config, make_deployment
from tests.unit.core.cluster import Cluster, CrashError, forget, initialized, progressing, rolled_out, with_state

METRIC = "metric/error-rate"
ANALYSIS = {**WEIGHTED, "metrics": [ERROR_RATE]}
PRIMARY, COPY = ("Deployment", "backend-primary"), ("ConfigMap", "backend-config-primary")


def parts() -> tuple[dict[str, Any], ...]:
    target = make_deployment(replicas=2)
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "backend-config"}}]
    return canary_manifest(analysis=ANALYSIS), target, make_config("backend-config", {"level": "1"})


def rejected() -> Cluster:
    """``podinfo:2`` was rolled back; the target has it still."""
    cluster = initialized(*parts())
    cluster.answers[METRIC] = Value(100.0)
    cluster.set_image("podinfo:2")
    rolled_out(cluster)
    assert cluster.phase is Phase.FAILED
    return cluster


def bad() -> Cluster:
    cluster = progressing(40, *parts())
    cluster.answers[METRIC] = Value(100.0)
    return cluster


SITUATIONS: Mapping[str, tuple[Callable[[], Cluster], str]] = {
    "between rollouts": (lambda: initialized(*parts()), "podinfo:1"),
    "after a rollback": (rejected, "podinfo:1"),
    "in the middle of a bad rollout": (bad, "podinfo:1"),
    "in the middle of a good rollout": (lambda: progressing(20, *parts()), "podinfo:1"),
    "before the first step": (lambda: progressing(0, *parts()), "podinfo:1"),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_primary_that_is_deleted_comes_back_as_it_was(name):
    make, image = SITUATIONS[name]
    cluster = make()
    before = cluster.objects.pop(PRIMARY)
    cluster.tick(1)
    after = cluster.objects[PRIMARY]
    assert after["spec"]["template"] == before["spec"]["template"]
    assert (cluster.image("backend-primary"), after["spec"]["replicas"]) == (image, 2)


def test_a_rejected_revision_never_gets_the_users_of_a_deleted_primary():
    cluster = rejected()
    del cluster.objects[PRIMARY]
    for _ in range(20):
        cluster.tick(10)
    assert (cluster.phase, cluster.image("backend-primary"), cluster.weights()) == (
        Phase.FAILED,
        "podinfo:1",
        (100, 0),
    )


def test_a_bad_revision_is_not_promoted_by_deleting_the_primary():
    cluster = bad()
    del cluster.objects[PRIMARY]
    for _ in range(6):
        cluster.tick(10)
    assert (cluster.phase, cluster.image("backend-primary")) == (Phase.FAILED, "podinfo:1")


def test_a_primary_that_nobody_remembers_is_not_made_from_what_was_not_judged():
    cluster = with_state(rejected(), record=None)
    del cluster.objects[PRIMARY]
    for _ in range(5):
        cluster.tick(10)
    assert PRIMARY not in cluster.objects
    cluster.set_image("podinfo:3")
    cluster.tick(10)
    assert "set backend.prod back to the version that was promoted" in cluster.state.message
    cluster.set_image("podinfo:1")
    for _ in range(5):
        cluster.tick(10)
    assert cluster.image("backend-primary") == "podinfo:1"


def test_without_analysis_a_primary_that_nobody_remembers_is_made_from_the_target():
    cluster = with_state(rejected(), record=None)
    del cluster.objects[PRIMARY]
    cluster.edit_canary(skipAnalysis=True)
    cluster.set_image("podinfo:3")
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)
    assert cluster.image("backend-primary") == "podinfo:3"


@pytest.mark.parametrize("change", ["deleted", "edited"])
def test_a_config_copy_is_restored_while_its_source_is_what_was_promoted(change):
    cluster = progressing(20, *parts())
    if change == "deleted":
        del cluster.objects[COPY]
    else:
        cluster.set_config({"level": "by hand"}, COPY[1])
    cluster.tick(1)
    assert cluster.objects[COPY]["data"] == {"level": "1"}


LOST = (
    "ConfigMap backend-config-primary.prod of backend-primary was {done}, and ConfigMap backend-config does not have "
    "the content that was promoted; restore that content in backend-config, or promote a new version"
)


def failed_by_config() -> Cluster:
    """A new config was rolled back; the ConfigMap has it still."""
    cluster = initialized(*parts())
    cluster.answers[METRIC] = Value(100.0)
    cluster.set_config({"level": "2"})
    rolled_out(cluster)
    assert cluster.phase is Phase.FAILED
    return cluster


def new_config() -> Cluster:
    """A new config is under analysis."""
    cluster = initialized(*parts())
    cluster.set_config({"level": "2"})
    while not cluster.state.routes.canary_weight:
        cluster.tick(10)
    return cluster


@pytest.mark.parametrize("make", [failed_by_config, new_config])
@pytest.mark.parametrize("done", ["deleted", "changed"])
def test_a_config_copy_whose_content_is_nowhere_else_is_reported_once_and_restored_when_it_can_be(make, done):
    cluster = make()
    forget(cluster)
    if done == "deleted":
        del cluster.objects[COPY]
    else:
        cluster.set_config({"level": "by hand"}, COPY[1])
    for _ in range(3):
        cluster.tick(1)
    lost = LOST.format(done=done)
    assert (cluster.state.message, cluster.events.count(lost)) == (lost, 1)
    cluster.set_config({"level": "1"})
    for _ in range(10):
        cluster.tick(10)
    assert cluster.objects[COPY]["data"] == {"level": "1"}
    assert (cluster.state.message, cluster.events.count(lost)) == ("", 1)


def test_a_lost_config_copy_keeps_no_new_version_from_being_promoted():
    cluster = failed_by_config()
    del cluster.objects[COPY]
    cluster.tick(1)
    cluster.answers.clear()
    cluster.set_image("podinfo:2")
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)
    assert (runs(cluster), cluster.state.message) == (("podinfo:2", "2"), "")


def test_a_config_that_the_target_does_not_use_any_more_still_restores_its_copy():
    cluster = initialized(*parts())
    cluster.answers[METRIC] = Value(100.0)
    cluster.edit("Deployment", "backend", lambda item: item["spec"]["template"]["spec"]["containers"][0].pop("envFrom"))
    rolled_out(cluster)
    assert cluster.phase is Phase.FAILED
    del cluster.objects[COPY]
    cluster.tick(1)
    assert cluster.objects[COPY]["data"] == {"level": "1"}
    del cluster.objects[COPY], cluster.objects["ConfigMap", "backend-config"]
    cluster.tick(1)
    assert cluster.state.message == LOST.format(done="deleted")


@pytest.mark.parametrize("revert", [True, False])
def test_after_a_failure_or_a_revert_the_copy_is_that_of_the_promoted_revision(revert):
    cluster = initialized(*parts())
    cluster.answers[METRIC] = Value(100.0)
    cluster.set_config({"level": "2"})
    cluster.tick(10)
    if revert:
        cluster.set_config({"level": "1"})
    rolled_out(cluster)
    assert cluster.objects[COPY]["data"] == {"level": "1"}


def runs(cluster: Cluster) -> tuple[str, str]:
    return cluster.image("backend-primary"), cluster.objects[COPY]["data"]["level"]


def about_to_promote() -> Cluster:
    """Image and config are new, and the next tick promotes them."""
    cluster = initialized(*parts())
    cluster.set_config({"level": "2"})
    cluster.set_image("podinfo:2")
    while cluster.state.routes.canary_weight < 50:
        cluster.tick(10)
    return cluster


@pytest.mark.parametrize("kind", ["Deployment", "ConfigMap", "Service", "HorizontalPodAutoscaler", "DestinationRule"])
def test_copies_are_promoted_with_the_primary_or_not_at_all_whatever_is_refused(kind):
    cluster = about_to_promote()
    cluster.edit_canary(service={"port": 9898, "trafficPolicy": {"tls": {"mode": "DISABLE"}}, "portDiscovery": True})
    cluster.refused = {kind}
    for _ in range(100):
        cluster.tick(10)
        assert runs(cluster) in (("podinfo:1", "1"), ("podinfo:2", "2"))
    if kind in ("Deployment", "ConfigMap"):
        assert (cluster.phase, runs(cluster)) == (Phase.FAILED, ("podinfo:1", "1"))
        assert f"{kind} backend-" in cluster.state.message


@pytest.mark.parametrize("kind", ["Deployment", "ConfigMap"])
def test_a_canary_whose_promotion_is_refused_is_judged(kind):
    cluster = about_to_promote()
    cluster.refused = {kind}
    cluster.tick(10)
    assert (cluster.phase, cluster.weights()) == (Phase.PROGRESSING, (50, 50))
    cluster.answers[METRIC] = Value(100.0)
    for _ in range(3):
        cluster.tick(10)
    assert (cluster.phase, cluster.weights(), runs(cluster)) == (Phase.FAILED, (100, 0), ("podinfo:1", "1"))


@pytest.mark.parametrize("requests", range(8))
@pytest.mark.parametrize("then", ["nothing", "the metric is bad", "the Deployment is refused"])
def test_a_promotion_that_was_cut_short_is_not_left_half_done(requests, then):
    cluster = about_to_promote()
    with contextlib.suppress(CrashError):
        cluster.tick(10, crash=lambda done: done >= requests)
    half_done = runs(cluster) == ("podinfo:1", "2")
    if then == "the metric is bad":
        cluster.answers[METRIC] = Value(100.0)
    if then == "the Deployment is refused":
        cluster.refused = {"Deployment"}
    for _ in range(5):
        cluster.tick(10)
    if then == "the Deployment is refused" and half_done:
        assert "Deployment backend-primary: exceeded quota" in cluster.state.message
    else:
        assert runs(cluster) in (("podinfo:1", "1"), ("podinfo:2", "2"))


def test_what_is_promoted_is_what_comes_back_from_then_on():
    cluster = progressing(20, *parts())
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)
    cluster.set_image("podinfo:3")
    cluster.tick(10)
    del cluster.objects[PRIMARY]
    cluster.tick(10)
    assert cluster.image("backend-primary") == "podinfo:2"
