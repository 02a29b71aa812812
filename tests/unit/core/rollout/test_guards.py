"""What has to be right before anything is done; where it is not nothing moves, and one message says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controller.api.status import Phase
from controller.core.model import Rival, Routes, SetRoutes
from controller.core.rollout.phases import Reason
from tests.builders import canary_manifest, make_deployment
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
REFUSED = "not supported: spec.service.delegation: delegated VirtualServices are not supported yet"


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
    cluster.edit_canary(service={"port": 9898, "delegation": True})
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
    assert decision.actions == (SetRoutes(Routes()),)
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
