"""What proves the revision that the primary runs: the whole receipt, after every way to a promotion."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from controller.api.names import OVERRIDE_ANNOTATION
from controller.api.receipt import Override, Receipt, Verdict
from controller.api.status import Phase
from controller.core.objects.workload import revision_facts
from controller.core.probes import Pods, Refused, Value
from controller.core.rollout.phases import Reason
from tests.builders import ERROR_RATE, WEIGHTED, canary_manifest, make_config, make_deployment
from tests.unit.cli.rollouts import rolling_out
from tests.unit.core.cluster import Cluster, initialized, progressing, rolled_out, with_state
from tests.unit.core.objects.test_pods import pod
from tests.unit.core.rollout.test_take_over import managed_by_flagger

ANALYSIS = {**WEIGHTED, "metrics": [ERROR_RATE]}
GATE = {"name": "go", "type": "confirm-promotion"}
PASSED = Verdict(name="error-rate", verdict="passed", detail="error-rate 0.00", value=0.0)
IMAGE_ID = "docker.io/podinfo@sha256:12"


def digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def running(image_id: str, name: str = "backend-6d9f-x", **metadata: Any) -> dict[str, Any]:
    """A pod that is ready, beside a sidecar that was injected."""
    conditions = [{"type": "Ready", "status": "True"}]
    statuses = [{"name": "backend", "imageID": image_id}, {"name": "istio-proxy", "imageID": "proxy@sha256:99"}]
    made = pod(name, conditions=conditions, containerStatuses=statuses)
    return {**made, "metadata": {**made["metadata"], **metadata}}


def start(**spec: Any) -> Cluster:
    target = make_deployment(replicas=2)
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "backend-config"}}]
    config = make_config("backend-config", {"level": "1"})
    cluster = initialized(canary_manifest(**{"analysis": ANALYSIS, **spec}), target, config)
    cluster.answers["pods/backend"] = Pods((running(IMAGE_ID),))
    return cluster


def annotated(text: str) -> Cluster:
    cluster = start()
    cluster.canary["metadata"]["annotations"] = {OVERRIDE_ANNOTATION: text}
    cluster.edit_canary()
    return cluster


def push(cluster: Cluster, *asked: str, image: str = "podinfo:2") -> Cluster:
    """A new version, and what is asked of it right after its start."""
    cluster.set_image(image)
    cluster.tick()
    for verb in asked:
        cluster.tick(10)
        cluster.ask(verb)
        cluster.tick()
    rolled_out(cluster)
    return cluster


def gated() -> Cluster:
    cluster = start(analysis={**ANALYSIS, "webhooks": [GATE]})
    cluster.answers["webhook/confirm-promotion/go"] = Refused("403 Forbidden")
    cluster.set_image("podinfo:2")
    for _ in range(9):
        cluster.tick(10)
    assert cluster.phase is Phase.WAITING_PROMOTION
    cluster.ask("approve")
    rolled_out(cluster)
    return cluster


def gone_back() -> Cluster:
    cluster = push(start(rollbackWindow="24h"))
    return push(cluster, image="podinfo:1")


def edited_while_it_promotes() -> Cluster:
    """Neither another analysis, nor the next version, changes what was promoted; whose pods are there is not known."""
    cluster = start()
    cluster.set_image("podinfo:2")
    rolled_out(cluster, ticks=6)
    assert cluster.phase is Phase.FINALISING
    cluster.edit_analysis(metrics=[])
    cluster.set_image("podinfo:3")
    rolled_out(cluster, ticks=2)
    return cluster


def cut_short(cluster: Cluster) -> Cluster:
    """Somebody gives the primary the revision that is tried, by hand."""
    revision = revision_facts(cluster.facts())[0]

    def change(item: dict[str, Any]) -> None:
        item["spec"]["template"]["metadata"]["annotations"]["flagger-id"] = revision

    cluster.edit("Deployment", "backend-primary", change)
    rolled_out(cluster)
    return cluster


def by(what: str) -> tuple[Override, ...]:
    return (Override(what=what, by="alice"),)


@dataclass(frozen=True)
class Case:
    name: str
    cluster: Callable[[], Cluster]
    overrides: tuple[Override, ...] = ()
    skipped: str = ""
    verdicts: tuple[Verdict, ...] = (PASSED,)
    image: str = "podinfo:2"
    pods_known: bool = True


CASES = (
    Case("an analysis", lambda: push(start())),
    Case(
        "no analysis, by the spec",
        lambda: push(start(skipAnalysis=True)),
        (Override(what="skipAnalysis"),),
        "skipAnalysis",
        (),
    ),
    Case(
        "no analysis, by a person's word",
        lambda: push(start(), "promote-fully"),
        by("promote-fully"),
        "promote-fully by alice",
        (),
    ),
    Case(
        "no analysis, since the primary has run it lately",
        gone_back,
        (Override(what="rollbackWindow"),),
        "rollbackWindow",
        (),
        "podinfo:1",
    ),
    Case(
        "a version that needed no proof",
        lambda: push(annotated('{"what": "approve", "by": "alice", "why": "outage"}')),
        (Override(what="promotion", by="alice", why="outage"),),
    ),
    Case("an annotation by hand", lambda: push(annotated("outage")), (Override(what="promotion", why="outage"),)),
    Case("a gate that a person opened", gated, by("approve")),
    Case(
        "steps that a person asked for",
        lambda: push(start(), "promote", "weight 40"),
        (*by("promote"), *by("weight 40")),
    ),
    Case("a step that was asked for twice is said once", lambda: push(start(), "promote", "promote"), by("promote")),
    Case("what is refused is no override", lambda: push(start(), "resume", "weight 90")),
    Case("an edit after the promotion has begun", edited_while_it_promotes, pods_known=False),
)


def progressing_in(cluster: Cluster) -> Cluster:
    cluster.set_image("podinfo:2")
    for _ in range(3):
        cluster.tick(10)
    assert cluster.phase is Phase.PROGRESSING
    return cluster


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_receipt_says_what_was_promoted_and_how(case):
    cluster = case.cluster()
    assert cluster.phase is Phase.SUCCEEDED
    template = cluster.objects["Deployment", "backend"]["spec"]["template"]
    template["spec"]["containers"][0]["image"] = case.image
    analysis = {**cluster.canary["spec"]["analysis"], "metrics": [ERROR_RATE]}
    assert cluster.state.receipt == Receipt(
        revision=cluster.state.promoted,
        images={"backend": case.image},
        image_ids={"backend": IMAGE_ID} if case.pods_known else {},
        pod_template=digest(template),
        configs=cluster.state.tracked_configs,
        analysis=digest(analysis),
        verdicts=case.verdicts,
        overrides=case.overrides,
        skipped=case.skipped,
        promoted_at=cluster.state.transitioned_at.replace(microsecond=0),
    )
    assert cluster.state.pending_receipt is None


def test_a_comparison_has_its_requests_and_its_p():
    cluster = rolling_out(bad=10, looks=10)
    evidence = cluster.state.evidence["errors"]
    rolled_out(cluster)
    errors = next(each for each in receipt_of(cluster).verdicts if each.name == "errors")
    assert (errors.verdict, errors.requests, errors.p_value) == ("PASS", 10_000, evidence.p_value)


PODS = {
    "of two images": [running("a@sha256:1"), running("a@sha256:2")],
    "one of which leaves": [running(IMAGE_ID), running("a@sha256:2", deletionTimestamp="2026-01-01T12:00:00Z")],
    "one of which is another's": [running(IMAGE_ID), running("a@sha256:2", ownerReferences=[])],
    "that do not say": [running("")],
    "that are not shown": [],
}
KNOWN = ("one of which leaves", "one of which is another's")


@pytest.mark.parametrize("pods", PODS)
def test_an_image_that_is_not_certain_is_not_said(pods):
    cluster = start()
    cluster.answers["pods/backend"] = Pods(tuple(PODS[pods]))
    push(cluster)
    assert receipt_of(cluster).image_ids == ({"backend": IMAGE_ID} if pods in KNOWN else {})


def rolled_back() -> Cluster:
    cluster = push(start())
    cluster.answers["metric/error-rate"] = Value(100.0)
    cluster.set_image("podinfo:3")
    rolled_out(cluster)
    assert cluster.phase is Phase.FAILED
    return cluster


def given_up() -> Cluster:
    cluster = push(start())
    cluster.health["backend-primary"] = "expired"
    cluster.set_image("podinfo:3")
    rolled_out(cluster)
    assert cluster.state.reason == Reason.PRIMARY_FAILED
    return cluster


def resumed() -> Cluster:
    cluster = given_up()
    cluster.roll_out("backend-primary", "ready")
    rolled_out(cluster)
    assert cluster.phase is Phase.SUCCEEDED
    return cluster


def reverted() -> Cluster:
    cluster = push(start())
    cluster.set_image("podinfo:3")
    cluster.tick()
    cluster.set_image("podinfo:2")
    rolled_out(cluster)
    return cluster


def begun_by_a_former_version() -> Cluster:
    cluster = start()
    cluster.set_image("podinfo:2")
    assert rolled_out(cluster, ticks=6)[-1] == ("Finalising", 0)
    rolled_out(with_state(cluster, pending_receipt=None))
    assert cluster.phase is Phase.SUCCEEDED
    return cluster


def receipt_of(cluster: Cluster) -> Receipt:
    assert cluster.state.receipt is not None
    return cluster.state.receipt


def given_again() -> Cluster:
    """The primary is lost while another revision is tried, and comes back once the target is what it ran."""
    cluster = push(start())
    cluster.refused = {"Deployment"}
    cluster.set_image("podinfo:3")
    cluster.tick()
    del cluster.objects["Deployment", "backend-primary"]
    cluster.set_image("podinfo:2")
    cluster.tick()
    cluster.refused = set()
    rolled_out(cluster)
    assert cluster.phase is Phase.SUCCEEDED
    return cluster


HELD: dict[str, tuple[Callable[[], Cluster], str]] = {
    # what the primary runs: the image that the receipt is for; none: there is no receipt
    "the first version, which nothing has judged": (start, ""),
    "what it ran before a rollback": (rolled_back, "podinfo:2"),
    "what it ran before a revert": (reverted, "podinfo:2"),
    "what it ran before a rollout that is under way": (
        lambda: progressing_in(push(start(), image="podinfo:1b")),
        "podinfo:1b",
    ),
    "a revision that it had before the analysis was done": (lambda: cut_short(progressing_in(start())), ""),
    "what it has been given again": (given_again, "podinfo:2"),
    "a revision that it could not take": (given_up, ""),
    "a revision that it took in the end": (resumed, "podinfo:3"),
    "a promotion that a former version of the controller began": (begun_by_a_former_version, ""),
}


@pytest.mark.parametrize("situation", HELD)
def test_a_receipt_is_for_what_the_primary_runs(situation):
    make, image = HELD[situation]
    state = make().state
    assert (state.receipt.images["backend"] if state.receipt else "") == image
    assert state.receipt is None or state.receipt.revision == state.promoted


def test_what_flagger_began_was_not_analysed_here():
    cluster = managed_by_flagger("Progressing", image="podinfo:2", weight=20)
    cluster.edit("Deployment", "backend", lambda item: item["spec"].update(replicas=2))
    rolled_out(cluster)
    assert cluster.phase is Phase.SUCCEEDED
    receipt = receipt_of(cluster)
    assert (receipt.overrides, receipt.skipped) == ((Override(what="takenOver"),), "takenOver")


def test_a_rollout_that_starts_again_forgets_what_was_asked_of_the_one_before():
    cluster = progressing(20)
    cluster.ask("weight 40")
    cluster.tick()
    assert cluster.state.pending_receipt is not None
    cluster.set_image("podinfo:3")
    rolled_out(cluster)
    assert receipt_of(cluster).overrides == ()
