"""When a rollout may begin: after those that it depends on, and when there is a place for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.api.status import Phase
from controller.core.model import Options, Peer
from controller.core.probes import Refused
from controller.core.rollout.phases import Reason
from controller.core.rollout.turns import crowd_problem
from tests.builders import NAMESPACE, NOW, WEIGHTED, canary_manifest, webhook
from tests.unit.core.cluster import Cluster, initialized, progressing, rolled_out, settled
from tests.unit.core.decisions import Case, check, kept, nothing, table, warning

ONE = Options(max_rollouts=1)
FULL = "waiting for its turn: 1 of 1 rollouts in progress: shop.prod"
DEPENDENT: dict[str, Any] = {"dependsOn": [{"name": "shop"}, {"name": "stock", "namespace": "store"}]}


def running(name: str, namespace: str = NAMESPACE, phase: Phase = Phase.PROGRESSING) -> Peer:
    return Peer(namespace, name, phase)


def queued(name: str, seconds: float, namespace: str = NAMESPACE, phase: Phase = Phase.SUCCEEDED) -> Peer:
    return Peer(namespace, name, phase, NOW + timedelta(seconds=seconds))


def settled_peer(name: str, namespace: str = NAMESPACE, phase: Phase = Phase.SUCCEEDED) -> Peer:
    return Peer(namespace, name, phase, settled=True)


def others(*peers: Peer) -> dict[str, Peer]:
    return {f"{peer.namespace}/{peer.name}": peer for peer in peers}


def pushed(*peers: Peer, options: Options = ONE, at: float = 0, **spec: Any) -> Cluster:
    """At rest, with a new revision, beside these Canaries."""
    cluster = initialized(canary_manifest(**spec))
    cluster.others = others(settled_peer("shop"), settled_peer("stock", "store"))
    settled(cluster)
    cluster.set_image("podinfo:2")
    cluster.options, cluster.now = options, NOW + timedelta(seconds=60 + at)
    cluster.peers = tuple(peer for peer in peers if not peer.settled)
    cluster.others = others(*peers)
    return cluster


def waiting(*peers: Peer, **parts: Any) -> Cluster:
    """`pushed`, and seen."""
    cluster = pushed(*peers, **parts)
    cluster.tick()
    assert cluster.state.queued_since == cluster.now
    return cluster


LIMITS: dict[str, tuple[Options, tuple[Peer, ...], str]] = {
    "without a limit there is a place": (Options(), (running("a"), running("b")), ""),
    "one rollout of two leaves a place": (Options(max_rollouts=2), (running("a"),), ""),
    "every phase from the start to the end takes a place": (
        Options(max_rollouts=4),
        (
            running("a"),
            running("b", phase=Phase.WAITING_PROMOTION),
            running("c", phase=Phase.PROMOTING),
            running("d", phase=Phase.FINALISING),
        ),
        "4 of 4 rollouts in progress: a.prod, b.prod, c.prod, d.prod",
    ),
    "more than the limit, after it was lowered": (
        ONE,
        (running("b"), running("a")),
        "2 of 1 rollouts in progress: a.prod, b.prod",
    ),
    "who has waited longer takes the place": (ONE, (queued("z", -1),), "1 of 1 rollouts in progress: z.prod"),
    "who has waited for as long takes it by name": (ONE, (queued("aa", 0),), "1 of 1 rollouts in progress: aa.prod"),
    "who has waited for as long and is named later does not": (ONE, (queued("c", 0),), ""),
    "who came later does not": (ONE, (queued("a", 1),), ""),
    "two places and one before": (Options(max_rollouts=2), (queued("z", -1),), ""),
    "a full namespace": (
        Options(max_rollouts=9, max_rollouts_per_namespace=1),
        (running("a"), running("z", "other")),
        "1 of 1 rollouts in progress in namespace prod: a.prod",
    ),
    "another namespace is full": (Options(max_rollouts_per_namespace=1), (running("a", "other"),), ""),
    "who waits for a full namespace keeps no place from others": (
        Options(max_rollouts=2, max_rollouts_per_namespace=1),
        (running("a", "other"), queued("z", -9, "other")),
        "",
    ),
    "who waits before in the own namespace takes its place": (
        Options(max_rollouts_per_namespace=1),
        (queued("z", -9),),
        "1 of 1 rollouts in progress in namespace prod: z.prod",
    ),
    "many names are cut": (
        Options(max_rollouts=7),
        tuple(running(name) for name in "abcdefg"),
        "7 of 7 rollouts in progress: a.prod, b.prod, c.prod, d.prod, e.prod and 2 more",
    ),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_place_is_free_or_those_who_have_it_are_named(name):
    options, peers, expected = LIMITS[name]
    for seen in (peers, peers[::-1]):
        problem = crowd_problem(queued("b", 0), seen, options)
        assert problem == (f"waiting for its turn: {expected}" if expected else "")


def start(_: Cluster) -> dict[str, Any]:
    return {}


def at_now(message: str, **changes: Any) -> Callable[[Cluster], dict[str, Any]]:
    return lambda cluster: {"queued_since": cluster.now, "message": message, **changes}


def message(text: str) -> Callable[[Cluster], dict[str, Any]]:
    return lambda _: {"message": text}


SHOP_IS = "waiting for Canary prod/shop ({}) of spec.dependsOn"
TOGETHER = "waiting 5s for new revisions of Canary prod/shop, store/stock of spec.dependsOn"
BOTH = (settled_peer("shop"), settled_peer("stock", "store", Phase.INITIALIZED))


@table(
    Case(
        "without a place a new revision waits in its phase, and is looked at again once others know",
        lambda: pushed(running("shop")),
        at_now(FULL),
        kept(),
        (FULL,),
        requeue_after=0.0,
        reason=Reason.WAITING_FOR_TURN,
    ),
    Case(
        "whoever waits keeps its time, and others wake it",
        lambda: waiting(running("shop")),
        nothing,
        kept(),
        reason=Reason.WAITING_FOR_TURN,
    ),
    Case(
        "who takes the place is said again when it changes, without an event",
        lambda: after(waiting(running("shop")), lambda cluster: setattr(cluster, "peers", (running("stock"),))),
        message("waiting for its turn: 1 of 1 rollouts in progress: stock.prod"),
        kept(),
        reason=Reason.WAITING_FOR_TURN,
    ),
    Case(
        "a Canary that it depends on has a rollout under way",
        lambda: pushed(running("shop"), BOTH[1], options=Options(), **DEPENDENT),
        at_now(SHOP_IS.format("Progressing")),
        kept(),
        (SHOP_IS.format("Progressing"),),
        reason=Reason.DEPENDENCY_NOT_READY,
    ),
    Case(
        "one whose last rollout has failed",
        lambda: pushed(running("shop", phase=Phase.FAILED), BOTH[1], options=Options(), **DEPENDENT),
        at_now(SHOP_IS.format("Failed")),
        kept(),
        (SHOP_IS.format("Failed"),),
        reason=Reason.DEPENDENCY_NOT_READY,
    ),
    Case(
        "one whose own loop has not seen its new revision yet",
        lambda: pushed(running("shop", phase=Phase.SUCCEEDED), BOTH[1], options=Options(), **DEPENDENT),
        at_now(SHOP_IS.format("has a new revision")),
        kept(),
        (SHOP_IS.format("has a new revision"),),
        reason=Reason.DEPENDENCY_NOT_READY,
    ),
    Case(
        "one that has no status yet, and one that does not exist",
        lambda: pushed(running("shop", phase=Phase.NEW), options=Options(), **DEPENDENT),
        at_now("Canary store/stock of spec.dependsOn not found"),
        kept(),
        ("Canary store/stock of spec.dependsOn not found",),
        reason=Reason.DEPENDENCY_NOT_READY,
    ),
    Case(
        "what is applied together may not arrive in order",
        lambda: pushed(*BOTH, options=Options(), **DEPENDENT),
        at_now(TOGETHER),
        kept(),
        (TOGETHER,),
        requeue_after=5.0,
        reason=Reason.DEPENDENCY_NOT_READY,
    ),
    Case(
        "the rest of that time",
        lambda: after(waiting(*BOTH, options=Options(), **DEPENDENT), later(3)),
        nothing,
        kept(),
        requeue_after=2.0,
        reason=Reason.DEPENDENCY_NOT_READY,
    ),
    Case(
        "after those that it depends on it waits for its place, from when it came",
        lambda: after(waiting(*BOTH, running("x"), **DEPENDENT), later(60)),
        message("waiting for its turn: 1 of 1 rollouts in progress: x.prod"),
        kept(),
        ("waiting for its turn: 1 of 1 rollouts in progress: x.prod",),
        requeue_after=0.0,
        reason=Reason.WAITING_FOR_TURN,
    ),
    Case(
        "a circle is told at rest too",
        lambda: after(initialized(canary_manifest(dependsOn=[{"name": "shop"}])), circular),
        message(
            CIRCLE := "spec.dependsOn leads in a circle: prod/backend -> prod/backend; remove one of these references"
        ),
        kept(),
        (warning(CIRCLE),),
        reason=Reason.DEPENDENCY_NOT_READY,
    ),
)
def test_a_start_that_waits(case):
    check(case)


def after(cluster: Cluster, *changes: Callable[[Cluster], object]) -> Cluster:
    for change in changes:
        change(cluster)
    return cluster


def later(seconds: float) -> Callable[[Cluster], object]:
    return lambda cluster: setattr(cluster, "now", cluster.now + timedelta(seconds=seconds))


def circular(cluster: Cluster) -> None:
    cluster.circle, cluster.others = ("prod/backend", "prod/backend"), others(settled_peer("shop"))


def begun(cluster: Cluster) -> tuple[Phase, str, datetime | None]:
    state = cluster.tick().state
    return state.phase, state.reason, state.queued_since


def back_within_the_window() -> Cluster:
    cluster = initialized(canary_manifest(rollbackWindow="1h"))
    cluster.set_image("podinfo:2")
    rolled_out(cluster)
    cluster.set_image("podinfo:1")
    return cluster


def with_a_primary_that_serves_nothing() -> Cluster:
    """A promotion has failed, and the canary has all the traffic."""
    cluster = progressing(40)
    cluster.health["backend-primary"] = "down"
    rolled_out(cluster, ticks=90)
    assert (cluster.phase, cluster.state.reason) == (Phase.FAILED, Reason.PRIMARY_FAILED)
    cluster.set_image("podinfo:3")
    return cluster


@pytest.mark.parametrize("make", [back_within_the_window, with_a_primary_that_serves_nothing])
def test_a_way_back_or_out_waits_for_nobody(make):
    cluster = make()
    cluster.options, cluster.peers, cluster.circle = ONE, (running("shop"),), ("prod/backend", "prod/backend")
    assert begun(cluster) == (Phase.PROGRESSING, Reason.STARTED, None)


def test_what_is_under_way_is_never_held_up():
    cluster = progressing(20)
    cluster.options, cluster.peers, cluster.circle = ONE, (running("shop"),), ("prod/backend", "prod/backend")
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)
    cluster = progressing(20)
    cluster.options, cluster.peers = ONE, (running("shop"),)
    cluster.set_image("podinfo:3")
    assert begun(cluster) == (Phase.PROGRESSING, Reason.RESTARTED, None)


def test_whoever_waited_begins_when_there_is_a_place():
    cluster = waiting(running("shop"))
    cluster.peers = (queued("stock", 3600),)
    assert begun(cluster) == (Phase.PROGRESSING, Reason.STARTED, None)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda cluster: cluster.set_image("podinfo:1"), id="the revision is taken back"),
        pytest.param(lambda cluster: cluster.edit_canary(suspend=True), id="the Canary is suspended"),
        pytest.param(lambda cluster: cluster.roll_out("backend-primary", "waiting"), id="the primary is not ready"),
        pytest.param(lambda cluster: cluster.write_status(replace(cluster.state, message="x")), id="nothing"),
    ],
)
def test_who_could_not_begin_keeps_no_place_in_the_order(change, request):
    cluster = waiting(running("shop"))
    change(cluster)
    settled(cluster)
    assert (cluster.state.queued_since is not None) == ("nothing" in request.node.callspec.id)
    assert (cluster.state.reason == Reason.WAITING_FOR_TURN) == ("nothing" in request.node.callspec.id)


def test_a_failure_whose_next_revision_was_taken_back_waits_for_nothing():
    cluster = progressing(20, canary_manifest(analysis={**WEIGHTED, "webhooks": [webhook("smoke", "rollback")]}))
    failed = cluster.image("backend")
    cluster.ask("abort")
    settled(cluster)
    assert cluster.phase is Phase.FAILED
    cluster.options, cluster.peers = ONE, (running("shop"),)
    cluster.set_image("podinfo:3")
    settled(cluster)
    assert cluster.state.reason == Reason.WAITING_FOR_TURN
    cluster.set_image(failed)
    settled(cluster, 10)
    settled(cluster, 10)
    assert (cluster.phase, cluster.state.reason, cluster.state.message) == (Phase.FAILED, "", "")


GATED = {**WEIGHTED, "webhooks": [webhook("approve", "confirm-rollout")]}
GATE = "webhook/confirm-rollout/approve"


def test_no_gate_is_asked_without_a_place_and_who_waits_for_a_gate_takes_none():
    cluster = waiting(running("shop"), analysis=GATED)
    cluster.answers[GATE] = Refused("403 Forbidden")
    assert GATE not in cluster.asked
    cluster.peers = ()
    settled(cluster)
    assert begun(cluster) == (Phase.WAITING, Reason.START_NOT_APPROVED, None)
    cluster.peers, cluster.asked = (running("shop"),), []
    cluster.tick(5)
    assert (cluster.state.reason, cluster.asked) == (Reason.START_NOT_APPROVED, [])
    cluster.tick(5)
    assert (cluster.phase, cluster.state.reason, cluster.asked) == (Phase.WAITING, Reason.WAITING_FOR_TURN, [])
    cluster.peers, cluster.answers = (), {}
    assert begun(cluster) == (Phase.PROGRESSING, Reason.STARTED, None)
