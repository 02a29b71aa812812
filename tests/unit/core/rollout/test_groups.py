"""Groups: what the others say, and that rollouts which are in analysis at the same time end alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import Phase as Work
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from controller.api.status import Phase
from controller.core.model import Member, State
from controller.core.probes import Passed, Refused, Value
from controller.core.rollout.groups import Say, judge_group, member_of
from controller.core.rollout.phases import ANALYSIS, Reason
from tests.builders import ERROR_RATE, NOW, WEIGHTED, canary_manifest, make_deployment, webhook
from tests.unit.core.cluster import END_PHASES, Cluster, initialized, progressing, with_state

BEFORE, SINCE = NOW - timedelta(seconds=1), NOW + timedelta(seconds=60)
DONE = Reason.WAITING_FOR_GROUP
PROMOTED_PHASES = (Phase.PROMOTING, Phase.FINALISING, Phase.SUCCEEDED)


def member(phase: Phase, moved_at: datetime | None = SINCE, *, done: bool = False, promoted: bool = False) -> Member:
    return Member("cart", phase, done=done, moved_at=moved_at, promoted=promoted)


STEPPING, READY = member(Phase.PROGRESSING), member(Phase.WAITING_PROMOTION, done=True)
SAID: dict[str, tuple[str, tuple[Member, ...], Say]] = {
    # name: (own reason, the others, what they say)
    "alone": (DONE, (), Say.NOTHING),
    "others at rest": (DONE, (member(Phase.INITIALIZED, BEFORE), member(Phase.SUCCEEDED, BEFORE)), Say.NOTHING),
    "one has steps left": (DONE, (READY, STEPPING), Say.WAIT),
    "all have done their steps": (DONE, (READY, READY), Say.NOTHING),
    "one is being promoted": (DONE, (READY, member(Phase.PROMOTING)), Say.PROMOTE),
    "one is promoted already": (DONE, (member(Phase.SUCCEEDED),), Say.PROMOTE),
    "one is promoted, and the own steps are not done": ("Advanced", (member(Phase.PROMOTING),), Say.NOTHING),
    "one was promoted before": (DONE, (STEPPING, member(Phase.SUCCEEDED, BEFORE)), Say.WAIT),
    "one is rolled back": ("Advanced", (READY, member(Phase.FAILED)), Say.ROLL_BACK),
    "one is rolled back in the second of the start": ("Started", (member(Phase.FAILED, NOW),), Say.ROLL_BACK),
    "one was rolled back before": ("Advanced", (member(Phase.FAILED, BEFORE),), Say.NOTHING),
    "one is rolled back and one promoted": (DONE, (member(Phase.PROMOTING), member(Phase.FAILED)), Say.ROLL_BACK),
    "one was promoted, and its primary fails": (DONE, (member(Phase.FAILED, promoted=True),), Say.NOTHING),
    "one went back to what its primary runs": (DONE, (member(Phase.INITIALIZED),), Say.NOTHING),
    "one has no status": (DONE, (member(Phase.NEW, None),), Say.NOTHING),
}


@pytest.mark.parametrize("name", SAID)
def test_what_a_group_says_to_a_rollout_in_analysis(name):
    reason, members, say = SAID[name]
    for phase in Phase:
        state = State(phase=phase, reason=reason, started_at=NOW + timedelta(milliseconds=700))
        assert judge_group(state, members).say is (say if phase in ANALYSIS else Say.NOTHING)


GATED = {**WEIGHTED, "webhooks": [{"name": "ok", "type": "confirm-promotion"}]}
GATE = "webhook/confirm-promotion/ok"


def done(*members: Member, analysis: dict[str, object] | None = None) -> Cluster:
    """At its last step, which is over."""
    cluster = progressing(50, canary_manifest(group="shop", analysis=analysis or dict(WEIGHTED)))
    cluster.members = {"shop": members}
    cluster.now += timedelta(seconds=10)
    return cluster


def later(cluster: Cluster, make: Callable[[Phase, datetime], Member], phase: Phase) -> None:
    cluster.now += timedelta(seconds=3)
    cluster.members = {"shop": (make(phase, cluster.now),)}


def test_whoever_has_done_its_steps_waits_is_judged_and_follows_at_once():
    cluster = done(STEPPING, analysis={**GATED, "metrics": [ERROR_RATE]})
    cluster.tick()
    said = "Waiting for cart.prod of group shop"
    assert (cluster.phase, cluster.state.reason, cluster.state.message) == (Phase.PROGRESSING, DONE, said)
    assert cluster.events[-1] == said
    cluster.asked, events = [], len(cluster.events)
    cluster.tick(10)
    asked = ["metric/error-rate", "traffic/requests"]
    assert (cluster.state.reason, cluster.asked) == (DONE, asked), "the gate has opened once"
    assert len(cluster.events) == events
    later(cluster, member, Phase.PROMOTING)
    decision = cluster.tick()
    assert (decision.state.phase, decision.state.reason) == (Phase.PROMOTING, Reason.PROMOTION_STARTED)
    assert "Promoting backend.prod with cart.prod of group shop" in cluster.events


def test_a_closed_gate_is_a_step_that_is_not_done():
    cluster = done(READY, analysis=GATED)
    cluster.answers[GATE] = Refused("403 Forbidden")
    cluster.tick()
    assert cluster.state.reason == Reason.PROMOTION_NOT_APPROVED
    cluster.answers[GATE] = Passed()
    cluster.tick(10)
    assert cluster.phase is Phase.PROMOTING


def test_a_canary_is_rolled_back_with_one_of_its_group_at_once():
    cluster = done(STEPPING)
    later(cluster, member, Phase.FAILED)
    cluster.tick()
    said = "Rolling back backend.prod with cart.prod of group shop"
    assert (cluster.phase, cluster.state.reason, cluster.state.message) == (Phase.FAILED, Reason.GROUP_FAILED, said)
    assert cluster.weights() == (100, 0)


def test_a_newer_revision_has_nothing_to_do_with_what_has_failed():
    cluster = done(STEPPING)
    later(cluster, member, Phase.FAILED)
    cluster.set_image("podinfo:3")
    cluster.tick()
    assert (cluster.phase, cluster.state.reason) == (Phase.PROGRESSING, Reason.RESTARTED)


def test_pods_that_are_not_ready_are_waited_for_before_the_promotion():
    cluster = with_state(done(READY), reason=DONE, message="Waiting")
    later(cluster, member, Phase.PROMOTING)
    cluster.roll_out("backend", "waiting")
    cluster.tick()
    assert (cluster.phase, cluster.state.reason) == (Phase.PROGRESSING, Reason.CANARY_NOT_READY)


NAMES = ("a", "b", "c")
ANALYSIS_OF_ALL = {**WEIGHTED, "threshold": 2, "metrics": [ERROR_RATE], "webhooks": [webhook("abort", "rollback")]}


class GroupMachine(RuleBasedStateMachine):
    """Three Canaries of a group.

    Attributes:
        beside: for each promotion or rollback, those that were in analysis then, by their start.
    """

    clusters: dict[str, Cluster]
    beside: list[tuple[str, Phase, dict[str, datetime | None]]]

    @initialize()
    def begin(self) -> None:
        self.clusters, self.beside = {}, []
        for name in NAMES:
            canary = canary_manifest(name=name, analysis=ANALYSIS_OF_ALL, group="g")
            self.clusters[name] = initialized(canary, make_deployment(name))

    @rule(
        names=st.sets(st.sampled_from(NAMES), min_size=1),
        image=st.sampled_from(["podinfo:1", "podinfo:2", "podinfo:3"]),
    )
    def push(self, names: set[str], image: str) -> None:
        for name in names:
            self.clusters[name].set_image(image, name)

    @rule(name=st.sampled_from(NAMES), value=st.sampled_from([0.0, 0.0, 100.0]))
    def measure(self, name: str, value: float) -> None:
        self.clusters[name].answers["metric/error-rate"] = Value(value)

    @rule(name=st.sampled_from(NAMES), paused=st.booleans())
    def pause(self, name: str, *, paused: bool) -> None:
        self.clusters[name].ask("pause" if paused else "resume")

    @rule(seconds=st.sampled_from([0, 3, 10, 10, 10]), names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=6))
    def tick(self, seconds: int, names: list[str]) -> None:
        for cluster in self.clusters.values():
            cluster.now += timedelta(seconds=seconds)
        for name in names:
            self.look_at(name)

    def look_at(self, name: str) -> None:
        cluster, others = self.clusters[name], {other: self.clusters[other].state for other in NAMES if other != name}
        cluster.members = {"g": tuple(member_of(other, state) for other, state in others.items())}
        before = cluster.state
        cluster.tick()
        state = cluster.state
        if before.phase not in ANALYSIS or state.phase in ANALYSIS or state.phase is Phase.INITIALIZED:
            return
        if state.phase is Phase.PROMOTING and before.reason != DONE:
            waited = [other for other, each in others.items() if each.phase in ANALYSIS and each.reason != DONE]
            assert not waited, "promoted before all have done their steps"
        for other, phase, started in self.beside:
            if name in started and started[name] == before.started_at:
                assert (phase in PROMOTED_PHASES) == (state.phase in PROMOTED_PHASES), f"{name} ends unlike {other}"
        started = {other: each.started_at for other, each in others.items() if each.phase in ANALYSIS}
        self.beside.append((name, state.phase, started))

    def teardown(self) -> None:
        """Nobody waits for ever."""
        for cluster in self.clusters.values():
            cluster.answers = {}
        self.tick(10, list(NAMES))  # a pause that nobody has answered yet
        for cluster in self.clusters.values():
            if cluster.state.paused:
                cluster.ask("resume")
        for _ in range(30):
            self.tick(10, list(NAMES))
        for cluster in self.clusters.values():
            assert cluster.phase in END_PHASES, replace(cluster.state, record=None)


TestGroupMachine = GroupMachine.TestCase
TestGroupMachine.settings = settings(
    max_examples=settings().max_examples // 3,
    stateful_step_count=30,
    phases=(Work.generate, Work.shrink),
)
