"""How a rollout ends once it was good."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from controller.api.status import Phase
from controller.core.model import Routes
from controller.core.rollout.phases import Reason
from tests.builders import WEIGHTED, canary_manifest, webhook
from tests.unit.core.cluster import Cluster, initialized, progressing, rolled_out, settled
from tests.unit.core.decisions import Case, check, kept, nothing, promoted, table, warning

SLOWLY = {**WEIGHTED, "stepWeightPromotion": 20}
CALLED = [webhook("after", "post-rollout")]
PENDING = "backend-primary.prod not ready: waiting for rollout to finish: 1 old replicas are pending termination"
EXPIRED = 'backend-primary.prod not ready: deployment "backend-primary" exceeded its progress deadline'
GIVEN_UP = f"Promotion of backend.prod failed, primary not ready: {EXPIRED}"
MOVED_ON = "New revision detected during promotion, routing all traffic to backend-primary.prod"


def promoting(primary: Any = "ready", analysis: Mapping[str, Any] = WEIGHTED, seconds: float = 0) -> Cluster:
    """The spec was copied to the primary so many seconds ago; the canary has its share still."""
    cluster = progressing(50, canary_manifest(analysis={**analysis, "webhooks": CALLED}))
    cluster.health["backend-primary"] = primary
    cluster.tick(10)
    assert cluster.phase is Phase.PROMOTING
    return later(cluster, seconds)


def finalising(seconds: float) -> Cluster:
    cluster = promoting()
    cluster.tick()
    cluster.tick()
    assert (cluster.phase, cluster.state.quiet_since) == (Phase.FINALISING, cluster.now)
    return later(cluster, seconds)


def later(cluster: Cluster, seconds: float) -> Cluster:
    cluster.now += timedelta(seconds=seconds)
    return cluster


def pushed(cluster: Cluster, image: str = "podinfo:3") -> Cluster:
    cluster.set_image(image)
    return cluster


def shifted(cluster: Cluster) -> Cluster:
    cluster.tick(10)
    return cluster


def without_primary(cluster: Cluster) -> Cluster:
    del cluster.objects["Deployment", "backend-primary"]
    return cluster


def by_hand(cluster: Cluster) -> Cluster:
    def change(item: dict[str, Any]) -> None:
        item["spec"]["template"]["metadata"]["annotations"]["flagger-id"] = "48e6b134-d2f1-4f22-b53b-c7f2f6182119"

    cluster.edit("Deployment", "backend-primary", change)
    return cluster


@table(
    Case(
        "the canary keeps its share while the primary rolls",
        lambda: promoting("waiting"),
        lambda _: {"message": PENDING},
        kept(50, resync=True),
        requeue_after=10.0,
        reason=Reason.PRIMARY_NOT_READY,
    ),
    Case(
        "once the primary is ready it gets all the traffic",
        promoting,
        lambda cluster: {
            "phase": Phase.FINALISING,
            "routes": Routes(),
            "analysed_at": cluster.now,
            "transitioned_at": cluster.now,
        },
        kept(),
        ("Routing all traffic to primary",),
        requeue_after=0.0,
        reason=Reason.TRAFFIC_RETURNED,
    ),
    Case(
        "a primary that was created again by somebody else gets the spec again",
        lambda: by_hand(promoting("waiting")),
        nothing,
        promoted(50),
        requeue_after=10.0,
    ),
    Case(
        "a primary that was deleted is made again",
        lambda: without_primary(promoting()),
        nothing,
        promoted(50),
        requeue_after=10.0,
    ),
    Case(
        "a primary that cannot run the revision leaves all the traffic to the canary, which can",
        lambda: promoting("expired"),
        lambda cluster: {
            "phase": Phase.FAILED,
            "routes": Routes(100),
            "promoted": cluster.state.applied,
            "transitioned_at": cluster.now,
            "message": GIVEN_UP,
        },
        kept(100),
        (warning(GIVEN_UP),),
        asked=("pods/backend-primary",),
        called=("webhook/post-rollout/after/Failed",),
        reason=Reason.PRIMARY_FAILED,
    ),
    Case(
        "the pods of a newer revision lose the traffic, they have not been tried",
        lambda: pushed(promoting("waiting")),
        lambda _: {"routes": Routes()},
        kept(resync=True),
        (warning(MOVED_ON),),
        requeue_after=0.0,
        reason=Reason.SUPERSEDED,
    ),
    Case(
        "a promotion that fails while a newer revision is there leaves the traffic on the primary",
        lambda: settled_once(pushed(promoting("expired"))),
        lambda cluster: {
            "phase": Phase.FAILED,
            "promoted": cluster.state.applied,
            "transitioned_at": cluster.now,
            "message": GIVEN_UP,
        },
        kept(),
        (warning(GIVEN_UP),),
        asked=("pods/backend-primary",),
        called=("webhook/post-rollout/after/Failed",),
        reason=Reason.PRIMARY_FAILED,
    ),
)
def test_promoting(case):
    check(case)


def settled_once(cluster: Cluster) -> Cluster:
    cluster.tick()
    return cluster


@table(
    Case(
        "a gradual promotion waits an interval before its first shift",
        lambda: promoting(analysis=SLOWLY, seconds=4),
        nothing,
        kept(50, resync=True),
        requeue_after=6.0,
    ),
    Case(
        "a gradual promotion shifts a step an interval",
        lambda: promoting(analysis=SLOWLY, seconds=10),
        lambda cluster: {"routes": Routes(30), "analysed_at": cluster.now},
        kept(30, resync=True),
        ("Advance backend.prod primary weight 70",),
        requeue_after=10.0,
        reason=Reason.TRAFFIC_RETURNING,
    ),
    Case(
        "the last shift of a gradual promotion ends it",
        lambda: later(shifted(shifted(promoting(analysis=SLOWLY))), 10),
        lambda cluster: {
            "phase": Phase.FINALISING,
            "routes": Routes(),
            "analysed_at": cluster.now,
            "transitioned_at": cluster.now,
        },
        kept(),
        ("Routing all traffic to primary",),
        requeue_after=0.0,
        reason=Reason.TRAFFIC_RETURNED,
    ),
)
def test_promoting_gradually(case):
    check(case)


@table(
    Case(
        "requests under way have an interval to end",
        lambda: finalising(4),
        nothing,
        kept(),
        requeue_after=6.0,
    ),
    Case(
        "then the canary is scaled to zero, and the rollout has succeeded",
        lambda: finalising(10),
        lambda cluster: {
            "phase": Phase.SUCCEEDED,
            "promoted": cluster.state.applied,
            "quiet_since": None,
            "transitioned_at": cluster.now,
        },
        kept(scale=0),
        ("Promotion completed! Scaling down backend.prod",),
        asked=("pods/backend",),
        called=("webhook/post-rollout/after/Succeeded",),
        reason=Reason.PROMOTED,
    ),
    Case(
        "a newer revision is looked at right after",
        lambda: pushed(finalising(10)),
        lambda cluster: {
            "phase": Phase.SUCCEEDED,
            "promoted": cluster.state.applied,
            "quiet_since": None,
            "transitioned_at": cluster.now,
        },
        kept(scale=0),
        ("Promotion completed! Scaling down backend.prod",),
        called=("webhook/post-rollout/after/Succeeded",),
        requeue_after=0.0,
        reason=Reason.PROMOTED,
    ),
    Case(
        "a rollout without analysis says so",
        lambda: skipping(finalising(10)),
        lambda cluster: {
            "phase": Phase.SUCCEEDED,
            "promoted": cluster.state.applied,
            "quiet_since": None,
            "transitioned_at": cluster.now,
        },
        kept(scale=0),
        ("Promotion completed! Canary analysis was skipped for backend.prod",),
        asked=("pods/backend",),
        called=("webhook/post-rollout/after/Succeeded",),
        reason=Reason.PROMOTED,
    ),
)
def test_finalising(case):
    check(case)


def skipping(cluster: Cluster) -> Cluster:
    cluster.edit_canary(skipAnalysis=True)
    return cluster


def test_a_hand_that_moves_the_weights_during_a_gradual_promotion_does_not_hold_it_up():
    cluster = promoting(analysis=SLOWLY)
    cluster.set_weights(0, 100)
    for _ in range(4):
        settled(cluster, 10)
    assert (cluster.phase, cluster.weights()) == (Phase.SUCCEEDED, (100, 0))


def going_back(window: str | None, hours: float) -> list[tuple[str, int]]:
    """The way of podinfo:1, so long after podinfo:2 has taken its place."""
    cluster = initialized(canary_manifest(rollbackWindow=window) if window else canary_manifest())
    cluster.set_image("podinfo:2")
    rolled_out(cluster)
    assert cluster.phase is Phase.SUCCEEDED
    cluster.now += timedelta(hours=hours)
    cluster.set_image("podinfo:1")
    way = rolled_out(cluster)
    assert cluster.image("backend-primary") == "podinfo:1"
    return [step for step in way if step[0] == "Progressing"]


ANALYSED = [("Progressing", 0), ("Progressing", 20), ("Progressing", 40), ("Progressing", 50)]


@pytest.mark.parametrize(
    ("window", "hours", "way"),
    [("24h", 23, [("Progressing", 0)]), ("24h", 25, ANALYSED), (None, 1, ANALYSED)],
)
def test_going_back_to_what_the_primary_has_run_lately_skips_the_analysis(window, hours, way):
    assert going_back(window, hours) == way


def test_a_revision_that_failed_meanwhile_was_never_run_by_the_primary_and_is_analysed():
    cluster = initialized(canary_manifest(rollbackWindow="24h"))
    cluster.set_image("podinfo:2")
    cluster.tick()
    cluster.ask("abort")
    rolled_out(cluster)
    assert (cluster.phase, cluster.state.former) == (Phase.FAILED, ())


def test_a_revision_whose_promotion_was_given_up_is_analysed_again():
    cluster = initialized(canary_manifest(rollbackWindow="24h"))
    cluster.health["backend-primary"] = "expired"
    cluster.set_image("podinfo:2")
    rolled_out(cluster)
    assert (cluster.phase, cluster.state.reason) == (Phase.FAILED, Reason.PRIMARY_FAILED)
    given_up = cluster.state.promoted
    cluster.set_image("podinfo:3")
    cluster.health["backend-primary"] = "ready"
    rolled_out(cluster)
    assert cluster.image("backend-primary") == "podinfo:3"
    assert given_up not in [each.revision for each in cluster.state.former]


def test_what_the_primary_has_run_is_kept_once_each_as_long_as_the_window_and_bounded():
    cluster = initialized(canary_manifest(rollbackWindow="24h", skipAnalysis=True))
    first = cluster.state.promoted
    for number in (2, 3, 1, *range(4, 18)):
        cluster.set_image(f"podinfo:{number}")
        rolled_out(cluster)
        if number == 1:
            assert [each.revision for each in cluster.state.former].index(first) == 0
    kept = cluster.state.former
    assert len(kept) == len({each.revision for each in kept}) == 10
    assert [each.until for each in kept] == sorted((each.until for each in kept), reverse=True)
    assert kept[0].revision == cluster.state.promoted
