"""Steering by hand: what each action does in each situation, and that it does it once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from controller.api.instruction import Verb
from controller.api.status import Phase
from controller.core.model import Answered
from controller.core.probes import Refused, Value
from controller.core.rollout.phases import ACTIONS, Reason
from tests.builders import AB_TESTING, BLUE_GREEN, ERROR_RATE, WEIGHTED, canary_manifest, webhook
from tests.unit.core.cluster import Cluster, forget, initialized, progressing, rolled_out, settled, with_state

CLOSED = Refused("a person has not approved yet")
GATES = ("confirm-rollout", "confirm-traffic-increase", "confirm-promotion")
ANALYSIS = {**WEIGHTED, "metrics": [ERROR_RATE]}


def person(type_: str) -> dict[str, str]:
    """A gate that a person opens."""
    return {"name": "lead", "type": type_}


def at(weight: int, **analysis: object) -> Cluster:
    return progressing(weight, canary_manifest(analysis={**ANALYSIS, **analysis}))


def bad(cluster: Cluster) -> Cluster:
    cluster.answers["metric/error-rate"] = Value(100.0)
    return cluster


def paused(cluster: Cluster) -> Cluster:
    cluster.ask("pause")
    cluster.tick(10)
    forget(cluster)
    return cluster


def waiting_for(type_: str, weight: int) -> Cluster:
    """The rollout waits for a person at this gate."""
    canary = canary_manifest(analysis={**ANALYSIS, "webhooks": [person(type_)]})
    if type_ == "confirm-rollout":
        cluster = initialized(canary)
        cluster.set_image("podinfo:2")
    elif type_ == "confirm-promotion":
        cluster = progressing(weight, canary)
    else:
        cluster = progressing(0, canary)
    cluster.answers[f"webhook/{type_}/lead"] = CLOSED
    cluster.tick(10)
    forget(cluster)
    return cluster


def frozen() -> Cluster:
    return failed(onFailure="freeze")


def failed(**analysis: object) -> Cluster:
    cluster = bad(at(20, **analysis))
    rolled_out(cluster)
    settled(cluster, 10)
    assert cluster.phase is Phase.FAILED
    cluster.answers.clear()
    forget(cluster)
    return cluster


def down(cluster: Cluster) -> Cluster:
    cluster.roll_out("backend-primary", "down")
    return cluster


def answered(cluster: Cluster) -> Answered:
    assert cluster.state.answered is not None
    return cluster.state.answered


def suspended(cluster: Cluster) -> Cluster:
    cluster.edit_canary(suspend=True)
    return cluster


NOT_READY = "canary deployment backend.prod not ready"


@dataclass(frozen=True)
class Case:
    """What is asked for in a situation; phase, weight and reason after the tick that sees it; why it was refused."""

    name: str
    cluster: Callable[[], Cluster]
    ask: str
    phase: Phase
    weight: int
    reason: str
    refused: str = ""


CASES = (
    Case("promote takes the next step at once", lambda: at(20), "promote", Phase.PROGRESSING, 40, Reason.ADVANCED),
    Case("promote takes the first step", lambda: at(0), "promote", Phase.PROGRESSING, 20, Reason.ADVANCED),
    Case(
        "promote after the last step promotes", lambda: at(50), "promote", Phase.PROMOTING, 50, Reason.PROMOTION_STARTED
    ),
    Case(
        "promote does not step over a failed check",
        lambda: bad(at(20)),
        "promote",
        Phase.PROGRESSING,
        20,
        Reason.CHECK_FAILED,
        "Halt backend.prod advancement error-rate 100.00 > 1",
    ),
    Case(
        "promote opens the gate of the step",
        lambda: waiting_for("confirm-traffic-increase", 0),
        "promote",
        Phase.PROGRESSING,
        20,
        Reason.ADVANCED,
    ),
    Case("promote steps while paused", lambda: paused(at(20)), "promote", Phase.PROGRESSING, 40, Reason.ADVANCED),
    Case(
        "promote-fully skips the rest",
        lambda: bad(at(20)),
        "promote-fully",
        Phase.PROMOTING,
        20,
        Reason.PROMOTION_STARTED,
    ),
    Case(
        "promote-fully waits for no pods",
        lambda: waits(at(20)),
        "promote-fully",
        Phase.PROGRESSING,
        20,
        Reason.CANARY_NOT_READY,
        f"{NOT_READY}: waiting for rollout to finish: 1 old replicas are pending termination",
    ),
    Case("pause holds the next step", lambda: at(20), "pause", Phase.PROGRESSING, 20, Reason.PAUSED),
    Case(
        "a pause does not hide that pods are not ready",
        lambda: waits(at(20)),
        "pause",
        Phase.PROGRESSING,
        20,
        Reason.CANARY_NOT_READY,
    ),
    Case("resume goes on", lambda: paused(at(20)), "resume", Phase.PROGRESSING, 20, ""),
    Case("resume needs a pause", lambda: at(20), "resume", Phase.PROGRESSING, 20, Reason.ADVANCED, "it is not paused"),
    Case("abort returns the traffic", lambda: at(20), "abort", Phase.FAILED, 0, Reason.ABORTED),
    Case("abort ends a pause", lambda: paused(at(20)), "abort", Phase.FAILED, 0, Reason.ABORTED),
    Case(
        "abort waits for a primary that serves",
        lambda: down(at(20)),
        "abort",
        Phase.PROGRESSING,
        20,
        Reason.ROLLBACK_BLOCKED,
    ),
    Case(
        "abort refuses a revision that waits",
        lambda: waiting_for("confirm-rollout", 0),
        "abort",
        Phase.FAILED,
        0,
        Reason.ABORTED,
    ),
    Case("abort lets the pods of a frozen canary go", frozen, "abort", Phase.FAILED, 0, Reason.CHECKS_FAILED),
    Case(
        "abort ends nothing that is over", failed, "abort", Phase.FAILED, 0, Reason.CHECKS_FAILED, "the rollout is over"
    ),
    Case("retry takes the pods of a frozen canary", frozen, "retry", Phase.PROGRESSING, 0, Reason.STARTED),
    Case("retry begins again", failed, "retry", Phase.PROGRESSING, 0, Reason.STARTED),
    Case(
        "approve opens the gate before the rollout",
        lambda: waiting_for("confirm-rollout", 0),
        "approve",
        Phase.PROGRESSING,
        0,
        Reason.STARTED,
    ),
    Case(
        "approve opens the gate before a step",
        lambda: waiting_for("confirm-traffic-increase", 0),
        "approve",
        Phase.PROGRESSING,
        20,
        Reason.ADVANCED,
    ),
    Case(
        "approve opens the gate before the promotion",
        lambda: waiting_for("confirm-promotion", 50),
        "approve",
        Phase.PROMOTING,
        50,
        Reason.PROMOTION_STARTED,
    ),
    Case(
        "approve opens nothing for a bad canary",
        lambda: bad(waiting_for("confirm-promotion", 50)),
        "approve",
        Phase.WAITING_PROMOTION,
        50,
        Reason.CHECK_FAILED,
        "Halt backend.prod advancement error-rate 100.00 > 1",
    ),
    Case(
        "approve needs a gate that waits",
        lambda: at(20),
        "approve",
        Phase.PROGRESSING,
        20,
        Reason.ADVANCED,
        "no gate without a URL is waited for",
    ),
    Case("weight gives more", lambda: at(20), "weight 33", Phase.PROGRESSING, 33, Reason.ADVANCED),
    Case("weight gives less", lambda: at(40), "weight 5", Phase.PROGRESSING, 5, Reason.ADVANCED),
    Case(
        "less weight waits for no check",
        lambda: bad(at(40)),
        "weight 5",
        Phase.PROGRESSING,
        5,
        Reason.CHECK_FAILED,
    ),
    Case(
        "more weight needs the checks",
        lambda: bad(at(20)),
        "weight 40",
        Phase.PROGRESSING,
        20,
        Reason.CHECK_FAILED,
        "Halt backend.prod advancement error-rate 100.00 > 1",
    ),
    Case(
        "weight stays below the limit",
        lambda: at(20),
        "weight 51",
        Phase.PROGRESSING,
        20,
        Reason.ADVANCED,
        "weight 51 is above 50, the highest that spec.analysis allows",
    ),
    Case(
        "weight takes nothing from the only side that serves",
        lambda: down(at(20)),
        "weight 5",
        Phase.PROGRESSING,
        20,
        Reason.PRIMARY_NOT_READY,
        "backend-primary.prod serves nothing, so the canary keeps its traffic",
    ),
    Case(
        "suspended, nothing is promoted",
        lambda: suspended(at(20)),
        "promote-fully",
        Phase.PROGRESSING,
        20,
        Reason.SUSPENDED,
        "skipping canary run as object is suspended",
    ),
)


def waits(cluster: Cluster) -> Cluster:
    cluster.roll_out("backend", "waiting")
    return cluster


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_an_action_is_done_or_refused_in_the_tick_that_sees_it(case):
    cluster = case.cluster()
    cluster.ask(case.ask)
    text = cluster.canary["metadata"]["annotations"]["flagger.app/action"]
    nonce = (answered(cluster).nonce if cluster.state.answered else 0) + 1
    cluster.tick(1)
    state = cluster.state
    assert (state.phase, state.routes.canary_weight, state.reason) == (case.phase, case.weight, case.reason)
    assert state.answered == Answered(text, nonce, "alice", case.refused)
    verb = case.ask.split()[0]
    told = f"Action {verb} on backend.prod by alice"
    assert cluster.events[0] == (f"{told} refused: {case.refused}" if case.refused else told)
    assert cluster.weights() == (100 - case.weight, case.weight)


@pytest.mark.parametrize("analysis", [AB_TESTING, BLUE_GREEN], ids=["A/B", "blue/green"])
def test_an_analysis_of_iterations_has_no_weight_to_set_and_takes_its_rounds_by_hand(analysis):
    cluster = initialized(canary_manifest(analysis=analysis))
    cluster.set_image("podinfo:2")
    cluster.tick()
    cluster.ask("weight 5")
    cluster.tick(1)
    assert answered(cluster).refused == "the analysis has no weights, but iterations"
    rounds = cluster.state.iterations
    cluster.ask("promote")
    cluster.tick(1)
    assert (cluster.state.iterations, answered(cluster).refused) == (rounds + 1, "")


@pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.TERMINATING, Phase.TERMINATED}))
@pytest.mark.parametrize("verb", list(Verb))
def test_what_a_phase_does_not_allow_is_refused(verb, phase):
    if phase in ACTIONS[verb]:
        return
    cluster = with_state(initialized(), phase=phase)
    cluster.ask("weight 20" if verb is Verb.WEIGHT else verb)
    cluster.tick()
    allowed = ", ".join(sorted(ACTIONS[verb]))
    assert answered(cluster).refused == f"not possible in phase {phase or 'New'}, only in {allowed}"
    assert cluster.weights() == (100, 0)


def test_an_action_is_done_once():
    cluster = at(20)
    cluster.ask("promote")
    cluster.tick(1)
    forget(cluster)
    cluster.tick(1)
    assert (cluster.state.routes.canary_weight, cluster.events, cluster.writes) == (40, [], [])


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("pause revision={revision} nonce=3", "nonce 3 is not above 5, the last one that was used"),
        ("pause revision={revision} nonce=5 by=bob", "nonce 5 is not above 5, the last one that was used"),
        (
            "pause revision=0123456789abcdef nonce=6",
            "it is for revision 0123456789abcdef, but backend.prod has {revision}",
        ),
        ("halt revision={revision} nonce=6", "annotation flagger.app/action: 'halt' is not an action; allowed are "),
    ],
)
def test_what_is_stale_used_or_no_action_is_refused_and_said_once(text, refused):
    cluster = with_state(at(20), answered=Answered("resume", 5, "alice"))
    revision = cluster.state.applied
    cluster.annotate(text.format(revision=revision))
    cluster.tick(1)
    assert answered(cluster).refused.startswith(refused.format(revision=revision))
    assert answered(cluster).nonce in (5, 6)
    assert (cluster.state.paused, len(cluster.events)) == ("", 1)
    cluster.tick(1)
    assert len(cluster.events) == 1


def test_a_newer_revision_makes_an_action_stale_in_the_same_tick():
    cluster = at(20)
    cluster.ask("promote-fully")
    cluster.set_image("podinfo:3")
    cluster.tick(1)
    assert (cluster.phase, cluster.weights(), cluster.state.reason) == (Phase.PROGRESSING, (100, 0), Reason.RESTARTED)
    assert "it is for revision" in answered(cluster).refused


def test_a_paused_rollout_keeps_its_weight_and_goes_on_when_resumed():
    cluster = paused(at(20))
    assert (cluster.state.paused, cluster.state.message) == ("alice", "backend.prod was paused by alice")
    for _ in range(200):
        cluster.tick(10)
    assert (cluster.phase, cluster.weights(), cluster.events) == (Phase.PROGRESSING, (80, 20), [])
    cluster.ask("resume")
    assert rolled_out(cluster)[-1] == ("Succeeded", 0)


def test_a_bad_canary_is_rolled_back_while_it_is_paused():
    cluster = bad(paused(at(20)))
    assert rolled_out(cluster)[-1] == ("Failed", 0)
    assert (cluster.state.paused, cluster.state.reason) == ("", Reason.CHECKS_FAILED)


def test_an_abort_is_done_once_the_primary_serves_again_whatever_the_metrics_say():
    cluster = down(at(20))
    cluster.ask("abort")
    for _ in range(5):
        cluster.tick(10)
    assert (cluster.weights(), cluster.state.aborted) == ((80, 20), "alice")
    cluster.roll_out("backend-primary", "ready")
    cluster.tick(1)
    assert (cluster.phase, cluster.weights(), cluster.state.aborted) == (Phase.FAILED, (100, 0), "")


def test_a_frozen_canary_keeps_its_pods_without_traffic_until_a_person_aborts():
    cluster = frozen()
    for _ in range(50):
        cluster.tick(10)
    assert (cluster.phase, cluster.weights(), cluster.replicas("backend")) == (Phase.FAILED, (100, 0), 1)
    assert cluster.canary["status"]["conditions"][0]["message"].endswith("kept until retry or abort.")
    cluster.ask("abort")
    settled(cluster)
    settled(cluster, 10)
    assert (cluster.phase, cluster.replicas("backend"), cluster.state.frozen) == (Phase.FAILED, 0, False)


def test_an_aborted_canary_is_not_frozen():
    cluster = at(20, onFailure="freeze")
    cluster.ask("abort")
    rolled_out(cluster)
    settled(cluster, 10)
    assert (cluster.state.frozen, cluster.replicas("backend")) == (False, 0)


def test_what_was_asked_of_a_rollout_ends_with_it():
    cluster = paused(at(20))
    cluster.set_image("podinfo:3")
    cluster.tick(1)
    assert (cluster.state.reason, cluster.state.paused) == (Reason.RESTARTED, "")


def test_an_approval_opens_a_gate_once():
    cluster = waiting_for("confirm-traffic-increase", 0)
    cluster.ask("approve")
    for _ in range(5):
        cluster.tick(10)
    assert (cluster.weights(), cluster.state.reason) == ((80, 20), Reason.STEP_NOT_APPROVED)


def test_an_approval_opens_no_gate_that_has_a_url():
    canary = canary_manifest(analysis={**ANALYSIS, "webhooks": [webhook("ci", "confirm-promotion")]})
    cluster = progressing(50, canary)
    cluster.answers["webhook/confirm-promotion/ci"] = Refused("403 Forbidden")
    cluster.tick(10)
    cluster.ask("approve")
    cluster.tick(1)
    assert (cluster.phase, answered(cluster).refused) == (
        Phase.WAITING_PROMOTION,
        "no gate without a URL is waited for",
    )


def test_a_retried_revision_is_judged_like_a_new_one():
    cluster = failed()
    cluster.ask("retry")
    assert [weight for _, weight in rolled_out(cluster)][:4] == [0, 20, 40, 50]
    assert cluster.image("backend-primary") == "podinfo:2"


def test_who_asked_is_the_field_manager_where_the_person_did_not_say():
    cluster = at(20)
    cluster.annotate(f"pause revision={cluster.state.applied} nonce=1")
    cluster.actor = "kubectl-annotate"
    cluster.tick(1)
    assert answered(cluster).by == "kubectl-annotate"
    assert cluster.events[0] == "Action pause on backend.prod by kubectl-annotate"


def test_the_status_names_the_revision_that_an_action_is_for_before_it_has_begun():
    cluster = waiting_for("confirm-rollout", 0)
    assert cluster.canary["status"]["revision"] != cluster.canary["status"]["lastAppliedSpec"]
    cluster.annotate(f"approve revision={cluster.canary['status']['revision']} nonce=1")
    cluster.tick(1)
    assert cluster.phase is Phase.PROGRESSING
