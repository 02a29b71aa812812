"""What has to be right before anything is done; where it is not nothing moves, and one message says what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from controller.api.status import Phase
from controller.core.decision import ReturnTraffic
from controller.core.model import Options, Rival, Routes
from controller.core.probes import Value
from controller.core.rollout.decide import GUARDS
from controller.core.rollout.phases import Reason
from tests.builders import ERROR_RATE, NAMESPACE, WEIGHTED, canary_manifest, make_deployment
from tests.unit.core.cluster import Cluster, initialized, progressing, rolled_out
from tests.unit.core.decisions import Case, check, hands_off, nothing, table, warning

NOT_FOUND = "Deployment backend.prod not found; spec.targetRef must name a Deployment in this namespace"
CONTESTED = (
    "spec.targetRef leads to Deployment backend.prod, which Canary first.prod uses already; "
    "give each Canary a target, a service.name and an autoscaler of its own"
)
UNSELECTABLE = (
    "Deployment backend: spec.selector.matchLabels must have one of app, name, app.kubernetes.io/name, found tier"
)
SUSPENDED = "skipping canary run as object is suspended"
REFUSED = "not supported: spec.service.meshName: not used with Istio"


def message(text: str) -> Callable[[Cluster], dict[str, Any]]:
    return lambda _: {"message": text}


def suspended(cluster: Cluster) -> Cluster:
    cluster.edit_canary(suspend=True)
    return cluster


def reported_before() -> Cluster:
    cluster = suspended(progressing(0))
    cluster.tick()
    return cluster


def with_rival() -> Cluster:
    cluster = Cluster.of(canary_manifest(), make_deployment())
    cluster.rival = Rival("first", "Deployment", "backend", "spec.targetRef")
    return cluster


def delegated(cluster: Cluster) -> Cluster:
    cluster.edit_canary(service={"port": 9898, "meshName": "global"})
    return cluster


def without_target(cluster: Cluster) -> Cluster:
    del cluster.objects["Deployment", "backend"]
    return cluster


@table(
    Case(
        "a suspended canary without traffic is left alone in the middle of a rollout",
        lambda: suspended(progressing(0)),
        message(SUSPENDED),
        hands_off,
        (warning(SUSPENDED),),
        reason=Reason.SUSPENDED,
    ),
    Case("what holds it up is reported once", reported_before, nothing, hands_off),
    Case(
        "a suspended canary without target is suspended in the first place",
        lambda: suspended(Cluster.of(canary_manifest())),
        message(SUSPENDED),
        hands_off,
        (warning(SUSPENDED),),
        reason=Reason.SUSPENDED,
    ),
    Case(
        "a field that would be ignored is refused",
        lambda: delegated(progressing(0)),
        message(REFUSED),
        hands_off,
        (warning(REFUSED),),
        reason=Reason.NOT_SUPPORTED,
    ),
    Case(
        "the second of two canaries on one target does nothing",
        with_rival,
        message(CONTESTED),
        hands_off,
        (warning(CONTESTED),),
        reason=Reason.OBJECT_TAKEN,
    ),
    Case(
        "a selector without a known label is refused before anything is made",
        lambda: Cluster.of(canary_manifest(), make_deployment(labels={"tier": "web"})),
        message(UNSELECTABLE),
        hands_off,
        (warning(UNSELECTABLE),),
        reason=Reason.SELECTOR_UNUSABLE,
    ),
)
def test_guards_that_keep_their_hands_off(case):
    check(case)


@pytest.mark.parametrize(
    ("make", "phase"),
    [
        (lambda: Cluster.of(canary_manifest()), Phase.NEW),
        (lambda: without_target(initialized()), Phase.INITIALIZED),
        (lambda: without_target(progressing(0)), Phase.PROGRESSING),
    ],
)
def test_a_missing_target_without_traffic_is_only_reported(make, phase):
    cluster = make()
    decision = cluster.decide()
    assert (decision.state.phase, decision.state.message) == (phase, NOT_FOUND)
    assert decision.actions == ()
    assert decision.events == (warning(NOT_FOUND),)


def test_the_traffic_of_a_target_that_vanishes_goes_back_to_the_primary():
    cluster = without_target(progressing(40))
    decision = cluster.tick()
    assert decision.actions == (ReturnTraffic(),)
    assert decision.events == (warning(NOT_FOUND),)
    assert (cluster.phase, cluster.weights()) == (Phase.FAILED, (100, 0))
    assert cluster.tick().events == ()


def test_a_target_that_comes_back_with_another_revision_is_tried():
    cluster = without_target(progressing(40))
    cluster.tick()
    target = make_deployment(image="podinfo:3")
    cluster.objects["Deployment", "backend"] = target
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)
    assert cluster.image("backend-primary") == "podinfo:3"


def test_a_target_that_vanishes_in_promotion_and_returns_as_it_was_before_is_tested_again():
    """The primary runs the revision under promotion by then; going back is a change like any other."""
    cluster = progressing(50)
    cluster.tick(10)
    assert cluster.phase is Phase.PROMOTING
    without_target(cluster).tick()
    cluster.objects["Deployment", "backend"] = make_deployment(image="podinfo:1")
    rolled_out(cluster)
    assert (cluster.phase, cluster.image("backend-primary")) == (Phase.SUCCEEDED, "podinfo:1")


def test_a_canary_goes_on_where_it_was_once_it_is_not_suspended_any_more():
    cluster = suspended(progressing(20))
    cluster.tick(10)
    cluster.set_weights(0, 100)
    cluster.edit_canary(suspend=None)
    assert cluster.tick(10).state.routes == Routes(40)
    assert cluster.weights() == (60, 40)


def forbid(cluster: Cluster) -> None:
    cluster.options = Options(allowed_hosts=("*.example.com",))
    cluster.edit_canary(service={"port": 9898, "hosts": ["payments.bank"]})


def contest(cluster: Cluster) -> None:
    cluster.rival = Rival("first", "Deployment", "backend", "spec.targetRef")


def relabel(cluster: Cluster) -> None:
    """Somebody creates the target again, with labels that the controller cannot use."""
    cluster.objects["Deployment", "backend"] = make_deployment(image="podinfo:2", labels={"tier": "web"})


def take_name(cluster: Cluster) -> None:
    theirs = {"kind": "DestinationRule", "metadata": {"name": "backend-canary", "namespace": NAMESPACE}, "spec": {}}
    cluster.objects["DestinationRule", "backend-canary"] = theirs


def overlap(cluster: Cluster) -> None:
    cluster.objects["Deployment", "other"] = make_deployment("other", labels={"app": "backend", "tier": "web"})


def retarget(cluster: Cluster) -> None:
    cluster.objects["Deployment", "other"] = make_deployment("other")
    cluster.edit_canary(targetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"})


WRONG: Mapping[str, Callable[[Cluster], object]] = {
    "suspended": suspended,
    "unsupported": delegated,
    "forbidden": forbid,
    "contested": contest,
    "targetless": without_target,
    "unselectable": relabel,
    "foreign": take_name,
    "overlapping": overlap,
    "retargeted": retarget,
}


def test_every_guard_is_in_the_table_below():
    assert [guard.__name__ for guard in GUARDS] == list(WRONG)


@pytest.mark.parametrize("name", WRONG)
def test_whatever_is_wrong_a_bad_canary_loses_its_traffic(name):
    cluster = progressing(40, canary_manifest(analysis={**WEIGHTED, "metrics": [ERROR_RATE]}))
    cluster.answers["metric/error-rate"] = Value(100.0)
    WRONG[name](cluster)
    before = cluster.objects["VirtualService", "backend"]["spec"]
    for _ in range(3):
        cluster.tick(10)
    assert cluster.weights("backend") == (100, 0)
    after = cluster.objects["VirtualService", "backend"]["spec"]
    assert (after["hosts"], after["gateways"]) == (before["hosts"], before["gateways"])


@pytest.mark.parametrize("name", [name for name in WRONG if name != "targetless"])
def test_whatever_is_wrong_no_traffic_goes_to_a_primary_that_serves_nothing(name):
    cluster = progressing(40)
    cluster.roll_out("backend-primary", "down")
    WRONG[name](cluster)
    for _ in range(5):
        cluster.tick(10)
        routed = ("VirtualService", "backend") in cluster.objects  # another target's primary may serve by now
        assert cluster.weights("backend") == (60, 40) if routed else name == "retargeted"


@pytest.mark.parametrize("mirror", [True, False])
def test_what_is_not_allowed_gives_its_traffic_back_and_starts_over_when_it_is(mirror):
    cluster = progressing(0 if mirror else 40, canary_manifest(analysis={**WEIGHTED, "mirror": mirror}))
    cluster.tick(10)
    forbid(cluster)
    cluster.tick(10)
    assert (cluster.phase, cluster.state.reason) == (Phase.PROGRESSING, Reason.NOT_ALLOWED)
    assert "mirror" not in cluster.objects["VirtualService", "backend"]["spec"]["http"][0]
    cluster.options = Options()
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)
