"""Whatever people, pods and crashes do, in any order: what has to be true after every tick, and at the end."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

from hypothesis import Phase as Work
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from controller.api.analysis import Strategy
from controller.api.instruction import Verb
from controller.api.names import ACTION_ANNOTATION, Names
from controller.api.status import Phase
from controller.core.decision import Decision, Put, Write
from controller.core.model import Routes, State
from controller.core.objects.affinity import STICKY_ROUTE, has_cookie
from controller.core.objects.kinds import WORKLOADS
from controller.core.objects.leftovers import leftovers
from controller.core.objects.workload import primary_revision, revision_facts, serves
from controller.core.objects.writes import plan_writes
from controller.core.probes import NoValues, Passed, Pending, ProbeResult, QueryFailed, Refused, Value
from controller.core.rollout.phases import Reason
from tests.builders import (
    AB_TESTING,
    BLUE_GREEN,
    ERROR_RATE,
    NAMESPACE,
    WEIGHTED,
    canary_manifest,
    make_autoscaler,
    make_config,
    make_scaled_object,
    make_target,
    webhook,
)
from tests.unit.core.cluster import END_PHASES, Cluster, CrashError, Health, by_weight, settled

WEBHOOKS = [
    {"name": "start", "type": "confirm-rollout"},
    webhook("smoke", "pre-rollout"),
    webhook("load", "rollout"),
    webhook("more", "confirm-traffic-increase"),
    {"name": "promote", "type": "confirm-promotion"},
]
GATES = [f"webhook/{hook['type']}/{hook['name']}" for hook in WEBHOOKS]
GATES_BEFORE_TRAFFIC = GATES[:2]
ROLLBACK = webhook("abort", "rollback")
ALERTS = [{"name": "chat", "providerRef": {"name": "chat"}}]
ANALYSES: Mapping[str, Mapping[str, Any]] = {
    "weighted": WEIGHTED,
    "to a lower limit": {**WEIGHTED, "maxWeight": 30},
    "by listed weights": {"interval": "10s", "threshold": 2, "stepWeights": [5, 45]},
    "mirrored first": {**WEIGHTED, "mirror": True, "mirrorWeight": 30},
    "with cookies": {**WEIGHTED, "sessionAffinity": {"cookieName": "c", "primaryCookieName": "p"}},
    "promoted by steps": {**WEIGHTED, "stepWeightPromotion": 30},
    "kept for a look": {**WEIGHTED, "onFailure": "freeze"},
    "A/B": AB_TESTING,
    "blue/green": BLUE_GREEN,
    "blue/green, mirrored": {**BLUE_GREEN, "mirror": True},
}
ASKED = (*(verb for verb in Verb if verb is not Verb.WEIGHT), "weight 7", "weight 40")
METRIC = "metric/error-rate"
GOOD = Value(0.0)
ANSWERS: tuple[ProbeResult, ...] = (GOOD, GOOD, Value(100.0), NoValues(), QueryFailed("connection refused"))
HEALTHS: tuple[Health, ...] = ("ready", "waiting", "expired", "down")
AUTOSCALER_REF = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "backend"}
KEDA_REF = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "backend"}
ROUTED = ("Service", "DestinationRule", "VirtualService")
IN_ANALYSIS = (Phase.PROGRESSING, Phase.WAITING_PROMOTION)


def analysis_of(name: str) -> dict[str, Any]:
    base = ANALYSES[name]
    hooks = [hook for hook in WEBHOOKS if "iterations" not in base or hook["type"] != "confirm-traffic-increase"]
    return {**base, "metrics": [ERROR_RATE], "webhooks": [*hooks, ROLLBACK], "alerts": ALERTS}


def target(kind: str) -> dict[str, Any]:
    made = make_target(kind)
    made["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "backend-config"}}]
    return made


def is_ours(item: Mapping[str, Any]) -> bool:
    return "ownerReferences" in item["metadata"]


@dataclass(frozen=True)
class Situation:
    """Before a tick: the live weights, the target's replicas, and which side has a pod that answers."""

    weights: tuple[int, int]
    replicas: int
    canary_serves: bool
    primary_serves: bool


class RolloutMachine(RuleBasedStateMachine):
    """One Canary, driven by everything that may happen to it.

    Attributes:
        pods: image and config that the canary's pods have; None while there are none.
        ran: what the primary was last seen to run.
        tried: what had traffic, or rounds, as a canary; and what the primary began with.
        tried_ports: the ports of the pods that had.
        said: every text that asked for an action.
        answered: those that were obeyed or refused.
        promoted: what a person has promoted, fully or past a gate.
        aborted: the revision that a person has aborted, until it is retried or another is applied.
        fully: the revision that a person has promoted fully, until a rollout starts over.
        gone: the cookies of rollouts that are over.
    """

    cluster: Cluster
    pods: tuple[str, str] | None
    tried: set[tuple[str, str]]
    ran: tuple[str, str]
    tried_ports: set[int | str]
    said: list[str]
    answered: set[str]
    promoted: set[tuple[str, str]]
    aborted: str
    fully: str
    gone: set[str]

    @initialize(analysis=st.sampled_from(sorted(ANALYSES)), kind=st.sampled_from(["Deployment", "DaemonSet"]))
    def begin(self, analysis: str, kind: str) -> None:
        canary = canary_manifest(kind=kind, analysis=analysis_of(analysis))
        config, scalers = make_config("backend-config", {"level": "1"}), (make_autoscaler(), make_scaled_object())
        self.cluster = Cluster.of(canary, target(kind), *scalers, config)
        settled(self.cluster)
        assert self.cluster.phase is Phase.INITIALIZED
        self.cluster.alerts = []
        self.pods, self.tried, self.tried_ports, self.gone = None, {self.wanted}, {9898}, set()
        self.said, self.answered, self.promoted, self.aborted, self.fully = [], set(), set(), "", ""

    # --- what happens ---

    @rule(image=st.sampled_from(["podinfo:1", "podinfo:2", "podinfo:3"]))
    def push(self, image: str) -> None:
        if image != self.cluster.image("backend"):
            self.cluster.set_image(image)
            self.pods = self.wanted if self.cluster.replicas("backend") else None

    @rule(level=st.sampled_from(["1", "2"]))
    def change_config(self, level: str) -> None:
        self.cluster.set_config({"level": level})

    @rule(answer=st.sampled_from(ANSWERS))
    def measure(self, answer: ProbeResult) -> None:
        self.cluster.answers[METRIC] = answer

    @rule(gate=st.sampled_from(GATES), answer=st.sampled_from([Passed(), Refused("403 Forbidden"), Pending()]))
    def turn_gate(self, gate: str, answer: ProbeResult) -> None:
        if answer == Pending() and gate in GATES_BEFORE_TRAFFIC:
            answer = Refused("no answer within 10s")  # these are waited for
        self.cluster.answers[gate] = answer

    @rule(asked=st.booleans())
    def ask_for_rollback(self, *, asked: bool) -> None:
        self.cluster.answers["webhook/rollback/abort"] = Passed() if asked else Refused("403 Forbidden")

    @rule(name=st.sampled_from(["backend", "backend-primary"]), health=st.sampled_from(HEALTHS))
    def turn_health(self, name: str, health: Health) -> None:
        self.cluster.roll_out(name, health)

    @rule(copied=st.booleans())
    def delete_by_hand(self, *, copied: bool) -> None:
        assert self.primary_runs
        self.cluster.objects.pop(("ConfigMap", "backend-config-primary") if copied else self.primary_key, None)

    @rule(weight=st.integers(0, 100))
    def edit_routes_by_hand(self, weight: int) -> None:
        assume(("VirtualService", self.names.virtual_service) in self.cluster.objects)
        self.cluster.set_weights(100 - weight, weight)

    @rule(replicas=st.integers(0, 2))
    def scale_target_by_hand(self, replicas: int) -> None:
        self.cluster.scale(replicas)
        self.note_pods()

    @rule(analysis=st.sampled_from(sorted(ANALYSES)))
    def edit_analysis(self, analysis: str) -> None:
        self.cluster.edit_canary(analysis=analysis_of(analysis))

    @rule(name=st.sampled_from(["backend", "shop"]), port=st.sampled_from([9898, 9899]))
    def edit_service(self, name: str, port: int) -> None:
        moved = port != self.cluster.parsed.spec.service.target_port
        self.cluster.edit_canary(service={"name": name, "port": 80, "targetPort": port})
        if moved:
            self.pods = self.wanted if self.cluster.replicas("backend") else None

    @rule(reference=st.sampled_from([None, AUTOSCALER_REF, KEDA_REF]))
    def edit_autoscaler(self, reference: dict[str, str] | None) -> None:
        assume(self.cluster.kind == "Deployment")
        self.cluster.edit_canary(autoscalerRef=reference)

    @rule(kind=st.sampled_from(["DestinationRule", "Service"]))
    def take_name(self, kind: str) -> None:
        """Somebody else makes an object under a name that the controller generates."""
        theirs = {"kind": kind, "metadata": {"name": self.names.canary_service, "namespace": NAMESPACE}, "spec": {}}
        self.cluster.objects[kind, self.names.canary_service] = theirs

    @rule()
    def give_names_back(self) -> None:
        theirs = [key for key, item in self.cluster.objects.items() if key[0] in ROUTED and not is_ours(item)]
        for key in theirs:
            del self.cluster.objects[key]

    @rule(kinds=st.sets(st.sampled_from(["ConfigMap", *WORKLOADS, "DestinationRule", "HorizontalPodAutoscaler"])))
    def refuse(self, kinds: set[str]) -> None:
        """From now on the API server refuses writes of these kinds: a quota, an admission webhook."""
        self.cluster.refused = kinds

    @rule(suspend=st.booleans())
    def suspend(self, *, suspend: bool) -> None:
        self.cluster.edit_canary(suspend=suspend)

    @rule(verb=st.sampled_from(ASKED))
    def steer(self, verb: str) -> None:
        """Somebody asks in the middle of a rollout, and the controller sees it at once."""
        self.tick_on(3)
        self.ask_by_hand(verb, stale=False)
        self.tick(1)

    @rule(verb=st.sampled_from(ASKED), stale=st.sampled_from([False, False, False, True]))
    def ask_by_hand(self, verb: str, *, stale: bool) -> None:
        self.cluster.ask(verb, revision=self.cluster.state.promoted if stale else "")
        self.said.append(self.annotation)

    @rule(index=st.integers(0, 9))
    def ask_again(self, index: int) -> None:
        """The same text comes back: a pipeline applies an old manifest."""
        assume(index < len(self.said))
        self.cluster.annotate(self.said[index])

    @rule(seconds=st.sampled_from([0, 4, 10, 60, 700]))
    def tick(self, seconds: int) -> None:
        before, ran = self.cluster.state, self.primary_runs
        self.cluster.now += timedelta(seconds=seconds)
        objects = copy.deepcopy(self.cluster.objects)
        assert self.cluster.decide() == self.cluster.decide(), "the same input gives the same answer"
        assert self.cluster.objects == objects, "deciding changes nothing"
        had = self.situation
        self.cluster.asked, writes = [], len(self.cluster.writes)
        decision = self.cluster.tick()
        self.look_at_rest(decision, self.cluster.writes[writes:])
        self.look_at_answer(before, had)
        self.look(before, ran, had)
        self.look_at_judgement(before, had)

    @rule(steps=st.integers(2, 5))
    def tick_on(self, steps: int) -> None:
        for _ in range(steps):
            self.tick(10)

    @rule(requests=st.integers(0, 9), seconds=st.sampled_from([0, 10]))
    def crash(self, requests: int, seconds: int) -> None:
        """The controller dies before its n-th request, the status included: in the end nobody can tell."""
        unharmed = copy.deepcopy(self.cluster)
        before, ran, had = self.cluster.state, self.primary_runs, self.situation
        try:
            self.cluster.tick(seconds, crash=lambda done: done >= requests)
        except CrashError:
            remembered = self.cluster.phase is Phase.PROMOTING
            assert self.was_tried(self.primary_runs) or remembered, "a promotion is half done, and nobody knows"
            self.note_pods()
            self.cluster.alerts = []
            unharmed.tick(seconds)
            assert end_of(copy.deepcopy(self.cluster)) == end_of(unharmed)
        else:
            self.look(before, ran, had)

    @rule(seconds=st.sampled_from([0, 10]))
    def delete(self, seconds: int) -> None:
        """Whenever the Canary is deleted, the target has pods and the Canary can go, within the deadline."""
        doomed = copy.deepcopy(self.cluster)
        doomed.tick(seconds)
        doomed.delete()
        objects, since = set(doomed.objects), doomed.now
        while doomed.phase is not Phase.TERMINATED:
            assert (doomed.now - since).total_seconds() <= 600, "a deletion that hangs"
            doomed.tick(60)
        assert doomed.replicas("backend") > 0
        assert set(doomed.objects) == objects, "nothing is made for a Canary that goes"

    @rule()
    def rest(self) -> None:
        """Ticks without a reason settle, take no more than one step, and then change nothing at all."""
        assume(not self.suspended)
        steps = [self.progress]
        for _ in range(12):
            before, writes = self.cluster.state, len(self.cluster.writes)
            self.tick(0)
            steps.append(self.progress)
            if (self.cluster.state, len(self.cluster.writes)) == (before, writes):
                break
        else:
            raise AssertionError(f"no rest: {self.cluster.state}")
        assert sum(after > earlier for earlier, after in pairwise(steps)) <= 1, steps
        status, writes = self.cluster.canary["status"], len(self.cluster.writes)
        self.cluster.tick()
        assert (self.cluster.canary["status"], len(self.cluster.writes)) == (status, writes)

    def teardown(self) -> None:
        """Once all is well every rollout ends, with the traffic on a primary that is what was promoted."""
        cluster = self.cluster
        cluster.answers, cluster.refused = {}, set()
        for name in ("backend", "backend-primary"):
            cluster.roll_out(name, "ready")
        cluster.edit_canary(suspend=False)
        self.give_names_back()
        self.tick(10)
        if cluster.state.paused:
            cluster.ask("resume")
        for _ in range(60):
            self.tick(10)
        state = cluster.state
        assert leftovers(cluster.facts()) == (), "what is not generated any more is removed"
        assert state.phase in END_PHASES, state
        assert cluster.weights() == (100, 0)
        assert state.applied == revision_facts(cluster.facts())[0]
        if state.phase is not Phase.FAILED:
            assert self.primary_runs == self.wanted
            assert state.applied == state.promoted == primary_revision(cluster.objects[self.primary_key])

    # --- what has to be true ---

    def look(self, before: State, ran: tuple[str, str], had: Situation) -> None:
        """After a whole tick from the state ``before`` in a situation, when the primary ran ``ran``."""
        state, runs = self.cluster.state, self.primary_runs
        self.look_at_alerts(before, state)
        self.look_at_receipt(before, state)
        self.note_pods()
        if ("ConfigMap", "backend-config-primary") not in self.cluster.objects:
            assert state.message, "a lost copy is never silent"
        assert self.was_tried(runs), f"the primary got {runs}, tried: {self.tried}"
        if self.cluster.refusal:
            return
        if self.suspended and before.phase not in (Phase.PROMOTING, Phase.FAILED):
            assert state.routes.canary_weight <= before.routes.canary_weight
            assert runs == ran
        if (self.suspended or state.reason == Reason.OBJECT_TAKEN) and before.routes == Routes():
            assert (state.routes, runs) == (before.routes, ran)
            return
        self.look_at_routes(state, had)
        if is_ours(service := self.cluster.objects["Service", self.names.primary_service]):
            assert service["spec"]["ports"][0]["targetPort"] in self.tried_ports
        if runs != ran and runs not in self.promoted:
            assert self.cluster.answers.get(METRIC, GOOD) == GOOD
            assert self.cluster.answers.get("webhook/confirm-promotion/promote", Passed()) == Passed()
        measured = before.phase in IN_ANALYSIS and (before.routes != Routes() or before.iterations > 0)
        if measured and state.phase in IN_ANALYSIS and self.cluster.answers.get(METRIC, GOOD) != GOOD:
            assert state.routes.canary_weight <= before.routes.canary_weight

    def look_at_rest(self, decision: Decision, written: Sequence[Write]) -> None:
        """What the controller writes does not wake it, but for the workloads, whose status moves then."""
        kinds = {write.manifest["kind"] if isinstance(write, Put) else write.kind for write in written}
        if decision.requeue_after is not None or kinds & {*WORKLOADS} or self.cluster.refusal:
            return
        again = self.cluster.decide()
        assert again.state == self.cluster.state, "something follows at once, and no time for it is named"
        missing = [write for each in again.actions for write in plan_writes(each, self.cluster.facts())]
        assert not missing, "something is left to be written, and no time for it is named"

    def look_at_alerts(self, before: State, state: State) -> None:
        """One for what has changed, which the status remembers; none for what stays as it is."""
        moved = (before.phase, before.reason, before.applied) != (state.phase, state.reason, state.applied)
        told, self.cluster.alerts = self.cluster.alerts, []
        assert len(told) <= int(moved or before.alerted != state.alerted), (told, before, state)
        if moved and state.phase in (Phase.FAILED, Phase.SUCCEEDED) and before.phase not in END_PHASES:
            assert told or state.reason in (Reason.BACK_TO_FAILED, Reason.BACK_TO_PROMOTED)

    def look_at_receipt(self, before: State, state: State) -> None:
        """One for what a rollout has promoted and the primary runs; it says whether there was an analysis."""
        receipt, promoted = state.receipt, (state.phase, state.reason) == (Phase.SUCCEEDED, Reason.PROMOTED)
        assert receipt is None or (receipt.revision == state.promoted and receipt.promoted_at is not None)
        if receipt is not None and state.phase in END_PHASES:
            assert list(receipt.images.values()) == [self.primary_runs[0]]
        if state.reason in (Reason.STARTED, Reason.RESTARTED, Reason.ANALYSIS_CHANGED):
            self.fully = ""
        said = state.answered
        if said is not None and said != before.answered and said.text.startswith("promote-fully") and not said.refused:
            self.fully = state.applied
        assert receipt is not None or not promoted or before.promoted == state.promoted
        if receipt is not None and receipt != before.receipt:
            assert promoted
            assert bool(receipt.skipped) == (self.fully == receipt.revision), receipt

    def look_at_answer(self, before: State, had: Situation) -> None:
        """An action acts once or never; an abort ends with all traffic on the primary; a pause lets nothing advance."""
        state, answered = self.cluster.state, self.cluster.state.answered
        new = answered is not None and answered != before.answered
        if answered is not None and new:
            assert answered.text == self.annotation
            assert answered.refused or answered.text not in self.answered, "an action acted twice"
            assert answered.nonce >= (before.answered.nonce if before.answered else 0)
            self.answered.add(answered.text)
            verb = "" if answered.refused else answered.text.split()[0]
            if verb.startswith("promote") or verb == "approve":
                self.promoted.add(self.wanted)
            if verb == "promote-fully" and self.pods:
                self.tried.add(self.pods)
            if verb in ("abort", "retry"):
                self.aborted = state.applied if verb == "abort" else ""
        elif self.cluster.refusal == "":
            assert self.annotation in ("", answered.text if answered else ""), "an action that nobody answered"
        if self.aborted != state.applied:
            self.aborted = ""
        if self.aborted:
            assert state.phase in (*IN_ANALYSIS, Phase.FAILED, Phase.WAITING)
            assert not state.frozen
            assert state.routes == Routes() or not had.primary_serves or self.cluster.refusal
        if before.frozen and state.frozen:
            assert self.cluster.replicas("backend") == had.replicas
        if before.paused and state.paused and not new and had.primary_serves:
            assert state.routes.canary_weight <= before.routes.canary_weight

    def look_at_routes(self, state: State, had: Situation) -> None:
        primary, canary = self.cluster.weights()
        assert primary + canary == 100
        assert canary == state.routes.canary_weight
        routed = self.cluster.objects["VirtualService", self.names.virtual_service]
        assert ("mirror" in by_weight(routed)) == state.routes.mirrored
        self.look_at_cookies(state, routed["spec"]["http"])
        failed_promotion = state.phase is Phase.FAILED and state.applied == state.promoted
        if state.phase in END_PHASES and not failed_promotion:
            assert state.routes == Routes()
        analysis = self.cluster.parsed.spec.analysis
        if state.phase in IN_ANALYSIS and analysis.strategy is Strategy.WEIGHTED and had.primary_serves:
            assert canary <= analysis.weight_limit
        if state.phase in IN_ANALYSIS and canary:
            assert self.cluster.replicas("backend") > 0, "traffic for a canary without pods"

    def look_at_cookies(self, state: State, routes: list[dict[str, Any]]) -> None:
        """A cookie leads to the canary of its own rollout, and only while that has traffic."""
        if state.begun_at is None or state.phase not in IN_ANALYSIS:
            self.gone |= {state.cookies.previous} - {""}
        kept = [route for route in routes if route.get("name") == STICKY_ROUTE]
        leading = [route for route in kept if route["route"][1]["weight"]]
        assert [route["match"] for route in leading] == (
            [[has_cookie(state.cookies.canary)]] if state.cookies.canary else []
        )
        assert not state.cookies.canary or state.routes.canary_weight
        assert state.cookies.canary not in self.gone

    def look_at_judgement(self, before: State, had: Situation) -> None:
        """What may never happen, whatever is waited for."""
        state, cluster = self.cluster.state, self.cluster
        if had.replicas and not cluster.replicas("backend"):
            assert had.weights == (100, 0), "routes and scale in one tick"
            assert state.routes == Routes()
        if before.routes.canary_weight and had.canary_serves and not had.primary_serves:
            assert state.routes.canary_weight >= before.routes.canary_weight, "traffic to a primary that serves nothing"
        copying = state.reason == Reason.PROMOTION_STARTED  # what the next tick sees is another situation
        if had.primary_serves and not had.canary_serves and not cluster.refusal and not copying:
            assert not state.routes.canary_weight, "traffic to a canary that serves nothing"
        due = before.analysed_at is not None and (cluster.now - before.analysed_at).total_seconds() >= 10
        if before.phase in IN_ANALYSIS and before.routes.canary_weight and due and state.phase in IN_ANALYSIS:
            refused = "webhook/rollout/load" in cluster.asked and isinstance(
                cluster.answers.get("webhook/rollout/load"), Refused
            )
            judged = METRIC in cluster.asked or refused
            blocked = state.reason in (Reason.ROLLBACK_BLOCKED, Reason.RESTARTED, Reason.ANALYSIS_CHANGED)
            assert judged or blocked or state.routes == Routes(), "traffic that nobody judges"

    @property
    def situation(self) -> Situation:
        routed = self.cluster.parsed.names.virtual_service
        known = ("VirtualService", routed) in self.cluster.objects
        return Situation(
            weights=self.cluster.weights(routed) if known else (100, 0),
            replicas=self.cluster.replicas("backend"),
            canary_serves=serves(self.cluster.objects[self.cluster.kind, "backend"]),
            primary_serves=serves(self.cluster.objects.get(self.primary_key)),
        )

    def note_pods(self) -> None:
        """Pods take image and config when they start, and what they do with traffic is a trial of both."""
        state = self.cluster.state
        if self.cluster.replicas("backend") == 0:
            self.pods = None
        elif self.pods is None:
            self.pods = self.wanted
        if self.pods and state.phase in IN_ANALYSIS and (state.routes != Routes() or state.iterations):
            self.tried.add(self.pods)
            self.tried_ports.add(self.cluster.parsed.spec.service.target_port or 9898)

    # --- short names ---

    @property
    def names(self) -> Names:
        return self.cluster.parsed.names

    @property
    def primary_key(self) -> tuple[str, str]:
        return self.cluster.kind, "backend-primary"

    @property
    def annotation(self) -> str:
        return str(self.cluster.canary["metadata"].get("annotations", {}).get(ACTION_ANNOTATION, ""))

    @property
    def suspended(self) -> bool:
        return bool(self.cluster.canary["spec"].get("suspend"))

    @property
    def wanted(self) -> tuple[str, str]:
        """Image and config of the target."""
        return self.cluster.image("backend"), self.cluster.objects["ConfigMap", "backend-config"]["data"]["level"]

    @property
    def primary_runs(self) -> tuple[str, str]:
        """Image and config of the primary; while it or its copy is deleted, those that it had."""
        copied = self.cluster.objects.get(("ConfigMap", "backend-config-primary"))
        if copied is not None and self.primary_key in self.cluster.objects:
            self.ran = self.cluster.image("backend-primary"), copied["data"]["level"]
        return self.ran

    def was_tried(self, runs: tuple[str, str]) -> bool:
        """Or else it was said that the primary's config is lost: after a crash in a promotion the target moved on."""
        return runs in self.tried or any("the content that was promoted" in event for event in self.cluster.events)

    @property
    def progress(self) -> tuple[int, int]:
        state = self.cluster.state
        return (state.iterations, state.routes.canary_weight) if state.phase in IN_ANALYSIS else (0, 0)


def end_of(cluster: Cluster) -> tuple[Any, ...]:
    """Where things stand when nothing more happens but time."""
    for _ in range(40):
        cluster.tick(10)
    state = cluster.state
    routed = ("VirtualService", cluster.parsed.names.virtual_service) in cluster.objects
    return (
        state.phase,
        state.routes,
        state.applied,
        state.promoted,
        routed and cluster.weights(),
        cluster.image("backend-primary") if (cluster.kind, "backend-primary") in cluster.objects else "",
        cluster.objects.get(("ConfigMap", "backend-config-primary"), {}).get("data"),
        cluster.replicas("backend"),
    )


TestRolloutMachine = RolloutMachine.TestCase
TestRolloutMachine.settings = settings(
    max_examples=settings().max_examples // 3,
    stateful_step_count=30,
    phases=(Work.generate, Work.shrink),  # why it failed is for the reader; explaining takes minutes
)
