"""Several Canaries with a limit and an order, whatever is pushed and judged: never too many, nobody is forgotten."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import Phase as Work
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from controller.api.status import Phase
from controller.core.model import Options, Peer
from controller.core.objects.workload import revision_facts
from controller.core.probes import Passed, Refused, Value
from controller.core.rollout.phases import UNDER_WAY, Reason
from controller.core.rollout.turns import in_line, is_settled
from tests.builders import ERROR_RATE, NAMESPACE, WEIGHTED, canary_manifest, make_deployment, webhook
from tests.unit.core.cluster import END_PHASES, Cluster, initialized

NAMES = ("a", "b", "c", "d")
NEEDS = {"d": "a"}
"""``d`` depends on ``a``."""
ANALYSIS = {**WEIGHTED, "threshold": 1, "metrics": [ERROR_RATE], "webhooks": [webhook("go", "confirm-rollout")]}
GATE, METRIC = "webhook/confirm-rollout/go", "metric/error-rate"


class TrainMachine(RuleBasedStateMachine):
    """All that a Canary knows of the others is their statuses, so every tick is one of another replica too."""

    clusters: dict[str, Cluster]
    limit: int

    @initialize(limit=st.integers(1, 2))
    def begin(self, limit: int) -> None:
        self.limit = limit
        self.clusters = {}
        for name in NAMES:
            depends_on = [{"name": NEEDS[name]}] if name in NEEDS else []
            canary = canary_manifest(name=name, analysis=ANALYSIS, dependsOn=depends_on)
            cluster = initialized(canary, make_deployment(name))
            cluster.options = Options(max_rollouts=limit)
            self.clusters[name] = cluster

    @rule(name=st.sampled_from(NAMES), image=st.sampled_from(["podinfo:1", "podinfo:2", "podinfo:3"]))
    def push(self, name: str, image: str) -> None:
        self.clusters[name].set_image(image, name)

    @rule(name=st.sampled_from(NAMES), good=st.booleans())
    def measure(self, name: str, *, good: bool) -> None:
        self.clusters[name].answers[METRIC] = Value(0.0 if good else 100.0)

    @rule(name=st.sampled_from(NAMES), opened=st.booleans())
    def turn_gate(self, name: str, *, opened: bool) -> None:
        self.clusters[name].answers[GATE] = Passed() if opened else Refused("403 Forbidden")

    @rule(name=st.sampled_from(NAMES), suspend=st.booleans())
    def suspend(self, name: str, *, suspend: bool) -> None:
        self.clusters[name].edit_canary(suspend=suspend)

    @rule(seconds=st.sampled_from([0, 1, 10]))
    def pass_time(self, seconds: int) -> None:
        for cluster in self.clusters.values():
            cluster.now += timedelta(seconds=seconds)

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=6))
    def tick(self, names: list[str]) -> None:
        for name in names:
            self.look_at(name)

    def look_at(self, name: str) -> None:
        cluster = self.clusters[name]
        cluster.peers = tuple(self.peer(other) for other in NAMES if other != name)
        cluster.others = {f"{NAMESPACE}/{need}": self.peer(need) for need in filter(None, [NEEDS.get(name)])}
        before = cluster.state
        before_me = [peer for peer in cluster.peers if self.is_before(peer, name)]
        taken = sum(peer.phase in UNDER_WAY for peer in cluster.peers)
        cluster.tick()
        if before.phase not in UNDER_WAY and cluster.phase is Phase.PROGRESSING:
            assert taken + len(before_me) < self.limit, "it was not its turn"
            assert all(peer is not None and peer.settled for peer in cluster.others.values())
        assert sum(each.phase in UNDER_WAY for each in self.clusters.values()) <= self.limit
        waits = cluster.state.queued_since is not None
        assert waits == (cluster.state.reason in (Reason.WAITING_FOR_TURN, Reason.DEPENDENCY_NOT_READY))
        assert not (before.queued_since and waits) or cluster.state.queued_since == before.queued_since

    def is_before(self, peer: Peer, name: str) -> bool:
        own = self.clusters[name].state.queued_since or self.clusters[name].now
        return peer.queued_since is not None and (peer.queued_since, peer.name) < (own, name)

    def peer(self, name: str) -> Peer:
        cluster = self.clusters[name]
        status, (revision, _) = cluster.parsed.status, revision_facts(cluster.facts())
        since = status.queued_since if in_line(status) else None
        return Peer(NAMESPACE, name, status.phase, since, is_settled(status, revision))

    def teardown(self) -> None:
        """Once all is well every new revision has its turn."""
        for name in NAMES:
            self.clusters[name].answers = {}
            self.suspend(name, suspend=False)
        self.push("a", "podinfo:4")  # if the last one has failed, `d` waits for the next
        for _ in range(60):
            self.pass_time(10)
            self.tick(list(NAMES))
        for cluster in self.clusters.values():
            assert cluster.phase in END_PHASES, cluster.state
            assert cluster.state.applied == revision_facts(cluster.facts())[0], cluster.state


TestTrainMachine = TrainMachine.TestCase
TestTrainMachine.settings = settings(
    max_examples=settings().max_examples // 3,
    stateful_step_count=30,
    phases=(Work.generate, Work.shrink),
)
