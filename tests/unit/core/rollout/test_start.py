"""Before and between rollouts."""

from __future__ import annotations

import copy
from typing import Any

from controller.api.status import Phase
from controller.core.model import Routes, State
from controller.core.objects.workload import UNKNOWN_REVISION
from controller.core.probes import Refused, Value
from controller.core.rollout.phases import Reason
from tests.builders import (
    ERROR_RATE,
    NOW,
    WEIGHTED,
    canary_manifest,
    make_autoscaler,
    make_config,
    make_deployment,
    webhook,
)
from tests.unit.core.cluster import Cluster, initialized, progressing, rolled_out, settled, with_state
from tests.unit.core.decisions import Case, check, hands_off, kept, nothing, revision_of, table, warning

AUTOSCALER_REF = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "backend"}
MISSING_CONFIG = "backend.prod references missing objects: configmap/backend-config"
MISSING_SCALER = "HorizontalPodAutoscaler backend.prod of spec.autoscalerRef not found"
MISSING_TEMPLATE = "MetricTemplate istio-system/error-rate of spec.analysis.metrics not found"
NOT_READY = "backend-primary.prod not ready: waiting for rollout to finish: 1 old replicas are pending termination"
FAILED = "Promotion of backend.prod failed, primary not ready: because"
GATED = {**WEIGHTED, "webhooks": [webhook("approve", "confirm-rollout"), webhook("second", "confirm-rollout")]}
WAITING = "Halt backend.prod advancement waiting for approval approve"


def configured_target() -> dict[str, Any]:
    target = make_deployment()
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "backend-config"}}]
    return target


def made(health: str = "ready", **canary: Any) -> Cluster:
    """Initialising: the primary was made."""
    cluster = Cluster.of(canary_manifest(**canary), make_deployment())
    cluster.health["backend-primary"] = health  # type: ignore[assignment]  # named by the table
    cluster.tick()
    return cluster


def changed_meanwhile() -> Cluster:
    cluster = made()
    cluster.set_image("podinfo:2")
    return cluster


def initialised_as(cluster: Cluster, revision: str) -> dict[str, Any]:
    return {
        "phase": Phase.INITIALIZED,
        "applied": revision,
        "promoted": revision,
        "scale_down": True,
        "transitioned_at": cluster.now,
        "message": "",
    }


@table(
    Case(
        "the first tick makes the primary and has nothing to tell",
        lambda: Cluster.of(canary_manifest(), make_deployment()),
        lambda _: {"phase": Phase.INITIALIZING, "transitioned_at": NOW},
        kept(apex=False),
        reason=Reason.PRIMARY_NOT_READY,
    ),
    Case(
        "the primary is waited for, and no traffic is led to it",
        lambda: made("waiting"),
        lambda _: {"message": NOT_READY},
        kept(apex=False),
        requeue_after=10.0,
    ),
    Case(
        "once the primary is ready it gets the traffic, and the target is to be scaled to zero",
        made,
        lambda cluster: initialised_as(cluster, revision_of(cluster)),
        kept(),
        ("Initialization done! backend.prod",),
        requeue_after=0.0,
        reason=Reason.INITIALIZED,
    ),
    Case(
        "once the primary is ready a missing template is reported, for the rollouts to come",
        lambda: without_templates(made("ready", analysis={**WEIGHTED, "metrics": [ERROR_RATE]})),
        lambda cluster: {**initialised_as(cluster, revision_of(cluster)), "message": MISSING_TEMPLATE},
        kept(),
        ("Initialization done! backend.prod", warning(MISSING_TEMPLATE)),
        requeue_after=0.0,
        reason=Reason.INITIALIZED,
    ),
    Case(
        "a revision pushed meanwhile is not taken for what the primary runs, and is looked at next",
        changed_meanwhile,
        lambda cluster: initialised_as(cluster, revision_of(made())),
        kept(),
        ("Initialization done! backend.prod",),
        requeue_after=0.0,
        reason=Reason.INITIALIZED,
    ),
    Case(
        "a primary whose ConfigMap does not exist is not made",
        lambda: Cluster.of(canary_manifest(), configured_target()),
        lambda _: {"message": MISSING_CONFIG},
        hands_off,
        (warning(MISSING_CONFIG),),
        reason=Reason.REFERENCES_MISSING,
    ),
    Case(
        "a primary whose autoscaler does not exist is not made",
        lambda: Cluster.of(canary_manifest(autoscalerRef=AUTOSCALER_REF), make_deployment()),
        lambda _: {"message": MISSING_SCALER},
        hands_off,
        (warning(MISSING_SCALER),),
        reason=Reason.REFERENCES_MISSING,
    ),
)
def test_initialisation(case):
    check(case)


def waiting() -> Cluster:
    cluster = initialized(canary_manifest(analysis=GATED))
    cluster.answers["webhook/confirm-rollout/approve"] = Refused("403 Forbidden")
    cluster.set_image("podinfo:2")
    cluster.tick(10)
    assert cluster.phase is Phase.WAITING
    return cluster


def pushed(cluster: Cluster, image: str = "podinfo:2") -> Cluster:
    cluster.set_image(image)
    return cluster


def with_broken_template(cluster: Cluster) -> Cluster:
    cluster.templates = {"istio-system/error-rate": "spec.query is missing"}
    return cluster


def without_templates(cluster: Cluster) -> Cluster:
    cluster.templates = {}
    return cluster


def measured(**spec: Any) -> Cluster:
    return initialized(canary_manifest(analysis={**WEIGHTED, "metrics": [ERROR_RATE]}, **spec))


def failed() -> Cluster:
    cluster = progressing(20, canary_manifest(analysis={**WEIGHTED, "threshold": 1, "metrics": [ERROR_RATE]}))
    cluster.answers["metric/error-rate"] = Value(100.0)
    cluster.tick(10)
    assert cluster.phase is Phase.FAILED
    return settled(settled(cluster), 10)


def unready(cluster: Cluster) -> Cluster:
    cluster.roll_out("backend-primary", "waiting")
    return cluster


def failed_promotion(primary: str = "expired") -> Cluster:
    """The primary cannot run ``podinfo:2``; the canary does, and has all the traffic."""
    cluster = progressing(50)
    cluster.health["backend-primary"] = "expired"
    settled(cluster, 10)
    assert (cluster.phase, cluster.weights()) == (Phase.FAILED, (0, 100))
    cluster.roll_out("backend-primary", primary)  # type: ignore[arg-type]  # named by the table
    return cluster


def reverted_while_waiting() -> Cluster:
    cluster = waiting()
    cluster.set_image("podinfo:1")
    return cluster


def due(cluster: Cluster, seconds: float = 10) -> Cluster:
    cluster.now = cluster.now.fromtimestamp(cluster.now.timestamp() + seconds, tz=cluster.now.tzinfo)
    return cluster


def opened(cluster: Cluster) -> Cluster:
    cluster.answers = {}
    return cluster


def begun(cluster: Cluster) -> dict[str, Any]:
    return {
        "phase": Phase.PROGRESSING,
        "applied": revision_of(cluster),
        "transitioned_at": cluster.now,
        "started_at": cluster.now,
        "analysed_at": None,
        "checks": (),
        "message": "",
    }


@table(
    Case("an idle canary is left as it is", initialized, nothing, kept()),
    Case("a failed canary keeps its reason", failed, nothing, kept()),
    Case(
        "a missing template is reported before it is needed",
        lambda: without_templates(measured()),
        lambda _: {"message": MISSING_TEMPLATE},
        kept(),
        (warning(MISSING_TEMPLATE),),
        reason=Reason.REFERENCES_MISSING,
    ),
    Case(
        "a new revision starts at once, without traffic",
        lambda: pushed(initialized()),
        begun,
        kept(scale=1),
        ("New revision detected! Scaling up backend.prod",),
        requeue_after=10.0,
        reason=Reason.STARTED,
    ),
    Case(
        "a target that has pods is not scaled",
        lambda: pushed(scaled(initialized(), 3)),
        begun,
        kept(),
        ("New revision detected! Scaling up backend.prod",),
        requeue_after=0.0,
        reason=Reason.STARTED,
    ),
    Case(
        "pods that may have another ConfigMap than the one to be tried go first",
        lambda: pushed(scaled(initialized(None, configured_target(), make_config("backend-config", {"a": "1"})), 3)),
        lambda cluster: {**begun(cluster), "scale_down": True},
        kept(),
        ("New revision detected! Scaling up backend.prod",),
        requeue_after=0.0,
        reason=Reason.STARTED,
    ),
    Case(
        "an autoscaler says with how many pods the canary starts",
        lambda: pushed(
            initialized(canary_manifest(autoscalerRef=AUTOSCALER_REF), make_deployment(), make_autoscaler(low=2))
        ),
        lambda cluster: {**begun(cluster), "capacity": 1},
        kept(scale=2, floor=1),
        ("New revision detected! Scaling up backend.prod",),
        requeue_after=10.0,
        reason=Reason.STARTED,
    ),
    Case(
        "without an autoscaler the canary starts as large as the primary",
        lambda: pushed(initialized(None, make_deployment(replicas=3))),
        begun,
        kept(scale=3),
        ("New revision detected! Scaling up backend.prod",),
        requeue_after=10.0,
        reason=Reason.STARTED,
    ),
    Case(
        "a rollout that could not be judged is not begun",
        lambda: pushed(without_templates(measured())),
        lambda _: {"message": MISSING_TEMPLATE},
        kept(),
        (warning(MISSING_TEMPLATE),),
        reason=Reason.REFERENCES_MISSING,
    ),
    Case(
        "nor one whose template is broken",
        lambda: pushed(with_broken_template(measured())),
        lambda _: {"message": "spec.query is missing"},
        kept(),
        (warning("spec.query is missing"),),
        reason=Reason.REFERENCES_MISSING,
    ),
    Case(
        "a rollout without analysis needs no template",
        lambda: pushed(without_templates(measured(skipAnalysis=True))),
        begun,
        kept(scale=1),
        ("New revision detected! Scaling up backend.prod",),
        requeue_after=10.0,
        reason=Reason.STARTED,
    ),
    Case(
        "a new revision waits for the primary and is not lost",
        lambda: unready(pushed(initialized())),
        lambda cluster: {"message": NOT_READY, "stalled_since": cluster.now},
        kept(),
        (NOT_READY,),
        requeue_after=10,
        reason=Reason.PRIMARY_NOT_READY,
    ),
    Case(
        "a new revision while failed and the primary not ready waits and is not lost",
        lambda: unready(pushed(failed(), "podinfo:3")),
        lambda cluster: {"message": NOT_READY, "stalled_since": cluster.now},
        kept(),
        (NOT_READY,),
        requeue_after=10,
        reason=Reason.PRIMARY_NOT_READY,
    ),
    Case(
        "a target that goes back to what the primary runs has nothing to try",
        lambda: pushed(failed(), "podinfo:1"),
        lambda cluster: {
            "scale_down": True,
            "phase": Phase.INITIALIZED,
            "applied": cluster.state.promoted,
            "transitioned_at": cluster.now,
            "checks": (),
            "message": "",
        },
        kept(),
        ("Revision of backend.prod is the one that the primary runs! Scaling down backend.prod",),
        requeue_after=0.0,
        reason=Reason.REVERTED,
    ),
    Case(
        "a ConfigMap that is away is no new revision",
        lambda: without_config(initialized(None, configured_target(), make_config("backend-config", {"a": "1"}))),
        lambda _: {"message": MISSING_CONFIG},
        kept(),
        (warning(MISSING_CONFIG),),
        requeue_after=10.0,
        reason=Reason.REFERENCES_MISSING,
    ),
)
def test_idle(case):
    check(case)


def scaled(cluster: Cluster, replicas: int) -> Cluster:
    cluster.edit("Deployment", "backend", lambda item: item["spec"].update(replicas=replicas))
    return cluster


def without_config(cluster: Cluster) -> Cluster:
    del cluster.objects["ConfigMap", "backend-config"]
    return cluster


@table(
    Case(
        "a closed gate keeps a new revision waiting, and the gates behind it are not asked",
        lambda: due(refusing(pushed(initialized(canary_manifest(analysis=GATED))))),
        lambda cluster: {
            "phase": Phase.WAITING,
            "transitioned_at": cluster.now,
            "analysed_at": cluster.now,
            "message": WAITING,
        },
        kept(),
        (warning(WAITING),),
        asked=("webhook/confirm-rollout/approve",),
        requeue_after=10.0,
        reason=Reason.START_NOT_APPROVED,
    ),
    Case("the gate is asked once an interval", waiting, nothing, kept(), requeue_after=10.0),
    Case(
        "a gate that stays closed is reported each time it is asked",
        lambda: due(waiting()),
        lambda cluster: {"analysed_at": cluster.now},
        kept(),
        (warning(WAITING),),
        asked=("webhook/confirm-rollout/approve",),
        requeue_after=10.0,
    ),
    Case(
        "once all gates are open the rollout begins",
        lambda: due(opened(waiting())),
        begun,
        kept(scale=1),
        (
            "Confirm-rollout check approve passed",
            "Confirm-rollout check second passed",
            "New revision detected! Scaling up backend.prod",
        ),
        asked=("webhook/confirm-rollout/approve", "webhook/confirm-rollout/second"),
        requeue_after=10.0,
        reason=Reason.STARTED,
    ),
    Case(
        "a revision taken back while it waited leaves the canary as it was",
        reverted_while_waiting,
        lambda cluster: {"scale_down": True, "phase": Phase.SUCCEEDED, "transitioned_at": cluster.now, "message": ""},
        kept(),
        requeue_after=0.0,
        reason=Reason.BACK_TO_PROMOTED,
    ),
)
def test_waiting_for_approval(case):
    check(case)


def refusing(cluster: Cluster) -> Cluster:
    cluster.answers["webhook/confirm-rollout/approve"] = Refused("403 Forbidden")
    return cluster


MOVED_ON = "New revision detected during promotion, routing all traffic to backend-primary.prod"


@table(
    Case("a canary that took over from its primary keeps the traffic", failed_promotion, nothing, kept(100)),
    Case(
        "once the primary is ready the promotion goes on",
        lambda: failed_promotion("ready"),
        lambda cluster: {
            "phase": Phase.FINALISING,
            "routes": Routes(),
            "transitioned_at": cluster.now,
            "analysed_at": cluster.now,
            "message": "",
        },
        kept(),
        ("Routing all traffic to primary",),
        requeue_after=10.0,
        reason=Reason.PROMOTION_RESUMED,
    ),
    Case(
        "a newer revision gets none of the traffic that its predecessor had",
        lambda: pushed(failed_promotion(), "podinfo:3"),
        lambda _: {"routes": Routes()},
        kept(),
        (warning(MOVED_ON),),
        requeue_after=0.0,
        reason=Reason.SUPERSEDED,
    ),
)
def test_a_failed_promotion(case):
    check(case)


def test_a_newer_revision_after_a_failed_promotion_begins_at_once_it_may_be_what_repairs_the_primary():
    cluster = pushed(failed_promotion(), "podinfo:3")
    settled(cluster, 10)
    assert (cluster.phase, cluster.image("backend-primary")) == (Phase.PROGRESSING, "podinfo:2")
    cluster.roll_out("backend-primary", "ready")
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)
    assert cluster.image("backend-primary") == "podinfo:3"


def test_a_failed_promotion_is_over_once_its_revision_is_back_and_the_primary_runs_it():
    cluster = pushed(failed_promotion(), "podinfo:3")
    settled(cluster, 10)
    cluster.set_image("podinfo:2")
    cluster.roll_out("backend-primary", "ready")
    assert rolled_out(cluster) == [("Initialized", 0)]
    assert (cluster.weights(), cluster.image("backend-primary")) == ((100, 0), "podinfo:2")


def flagger(phase: Phase, image: str = "podinfo:2", **changes: Any) -> Cluster:
    """A cluster whose status was written by Flagger: its hashes tell nothing about the target, which has ``image``."""
    cluster = initialized()
    if image != cluster.image("backend"):
        cluster.set_image(image)
    state = State(phase=phase, applied="7554554c66", promoted="9dccb99c5", transitioned_at=NOW)
    cluster.write_status(state)
    return with_state(cluster, **changes)


def taken_over(applied: str = "", promoted: str = "", **changes: Any) -> Any:
    return lambda cluster: {
        "applied": applied or revision_of(cluster),
        "promoted": promoted or revision_of(cluster),
        **changes,
    }


def takes(cluster: Cluster, now: str = "") -> tuple[str, ...]:
    return (f"Taking over backend.prod, revision 7554554c66 is now {now or revision_of(cluster)}",)


@table(
    Case(
        "what Flagger left at rest is what the target has now",
        lambda: flagger(Phase.SUCCEEDED, "podinfo:1"),
        taken_over(),
        kept(),
        takes(flagger(Phase.SUCCEEDED, "podinfo:1")),
        requeue_after=0.0,
        reason=Reason.TAKEN_OVER,
    ),
    Case(
        "a revision pushed while no controller ran is new",
        lambda: flagger(Phase.SUCCEEDED),
        taken_over(applied=UNKNOWN_REVISION, promoted=UNKNOWN_REVISION),
        kept(),
        takes(flagger(Phase.SUCCEEDED), UNKNOWN_REVISION),
        requeue_after=0.0,
        reason=Reason.TAKEN_OVER,
    ),
    Case(
        "a revision taken back while no controller ran is what the primary runs",
        lambda: flagger(Phase.PROGRESSING, "podinfo:1", routes=Routes(20)),
        taken_over(),
        kept(20),
        takes(flagger(Phase.PROGRESSING, "podinfo:1")),
        requeue_after=0.0,
        reason=Reason.TAKEN_OVER,
    ),
    Case(
        "what failed under Flagger stays failed, and what its primary runs is not known",
        lambda: flagger(Phase.FAILED),
        taken_over(promoted=UNKNOWN_REVISION),
        kept(),
        takes(flagger(Phase.FAILED)),
        requeue_after=0.0,
        reason=Reason.TAKEN_OVER,
    ),
    Case(
        "what waited for approval under Flagger goes on waiting",
        lambda: flagger(Phase.WAITING),
        taken_over(applied=UNKNOWN_REVISION, promoted=UNKNOWN_REVISION),
        kept(),
        takes(flagger(Phase.WAITING), UNKNOWN_REVISION),
        requeue_after=0.0,
        reason=Reason.TAKEN_OVER,
    ),
    Case(
        "a rollout under way keeps its weight",
        lambda: flagger(Phase.PROGRESSING, routes=Routes(20), failed_checks=1),
        taken_over(promoted=UNKNOWN_REVISION),
        kept(20),
        takes(flagger(Phase.PROGRESSING)),
        requeue_after=0.0,
        reason=Reason.TAKEN_OVER,
    ),
    Case(
        "the iterations that Flagger reports while it waits for a promotion are not believed",
        lambda: flagger(Phase.WAITING_PROMOTION, iterations=-1),
        taken_over(promoted=UNKNOWN_REVISION, iterations=0),
        kept(),
        takes(flagger(Phase.WAITING_PROMOTION)),
        requeue_after=0.0,
        reason=Reason.TAKEN_OVER,
    ),
)
def test_take_over(case):
    check(case)


def test_an_idle_tick_of_a_failed_canary_writes_nothing_and_keeps_its_time():
    cluster = failed()
    settled(cluster)
    status, writes = copy.deepcopy(cluster.canary["status"]), len(cluster.writes)
    for _ in range(5):
        cluster.tick(60)
    assert (cluster.canary["status"], len(cluster.writes)) == (status, writes)
