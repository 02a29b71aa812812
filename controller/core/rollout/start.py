"""Before and between rollouts: initialisation, take-over, and the start of a rollout."""

from __future__ import annotations

from dataclasses import replace

from controller.api.receipt import Override
from controller.api.status import Phase
from controller.api.webhook import HookType
from controller.core.decision import Decision, Event, Measure
from controller.core.model import Routes, State
from controller.core.objects.autoscalers import replicas_from_zero
from controller.core.objects.kinds import as_workload
from controller.core.objects.workload import (
    UNKNOWN_REVISION,
    is_own_revision,
    primary_revision,
    runs_target,
)
from controller.core.rollout.guards import copy_problem, start_problem
from controller.core.rollout.phases import HOLDS, Reason
from controller.core.rollout.receipts import note
from controller.core.rollout.settle import hands_off, hold, lost_configs, settle, warn_once
from controller.core.rollout.turns import broken_dependencies
from controller.core.tick import Tick, passed, refused


def initialise(tick: Tick) -> Decision:
    """Make the primary from the target, wait for it, then route the traffic to it and scale the target to zero."""
    if problem := copy_problem(tick):
        return hands_off(tick, Reason.REFERENCES_MISSING, problem)
    if not tick.primary_readiness.ready:
        made = tick.facts.primary is not None
        message = f"{tick.primary_label} not ready: {tick.primary_readiness.detail}" if made else ""
        state = replace(tick.state, message=message)
        events = warn_once(tick, message) if tick.primary_readiness.expired else ()
        again = tick.interval if made else None  # why pods do not start is seen in no object that is watched
        return settle(tick, Reason.PRIMARY_NOT_READY, state, events=events, requeue_after=again)
    revision = (tick.facts.primary and primary_revision(tick.facts.primary)) or tick.revision
    state = State(
        applied=revision,
        promoted=revision,
        tracked_configs=tick.digests,
        transitioned_at=tick.state.transitioned_at,
        answered=tick.state.answered,
        scale_down=True,
        message=start_problem(tick),
    )
    events = (Event(f"Initialization done! {tick.canary_label}"), *warn_once(tick, state.message))
    return settle(tick, Reason.INITIALIZED, state, events=events, requeue_after=0.0)


def take_over(tick: Tick) -> Decision | None:
    """Flagger's hashes cannot be computed here, so the primary is compared with the target.

    Where they differ at rest, a revision was pushed while no controller ran, and is tried now. Two things stay unknown:
    which revision failed (the target's is taken for it), and what waited for approval. Flagger counts -1 iterations
    while it waits for a promotion.
    """
    if is_own_revision(tick.state.applied) or tick.facts.missing_configs:
        return None
    current = tick.facts.primary is not None and runs_target(tick.facts)
    untried = tick.state.phase is Phase.WAITING or (
        tick.state.phase in (Phase.INITIALIZED, Phase.SUCCEEDED) and not current
    )
    applied = UNKNOWN_REVISION if untried else tick.revision
    promoted = tick.revision if current else UNKNOWN_REVISION
    state = replace(
        tick.state,
        applied=applied,
        promoted=promoted,
        tracked_configs=tick.digests,
        iterations=max(0, tick.state.iterations),
        message="",
    )
    state = note(state, Override(what="takenOver"))
    event = Event(f"Taking over {tick.canary_label}, revision {tick.state.applied} is now {applied}")
    return settle(tick, Reason.TAKEN_OVER, state, events=(event,), requeue_after=0.0)


def await_configs(tick: Tick) -> Decision | None:
    """While a ConfigMap or Secret that the target needs is missing, nobody can say which revision it has.

    A replacement by deleting and creating, as Pulumi does it, must not look like two revisions.
    """
    if not tick.facts.missing_configs:
        return None
    message = f"{tick.target_label} references missing objects: {', '.join(tick.facts.missing_configs)}"
    return hold(tick, Reason.REFERENCES_MISSING, message, requeue_after=tick.interval)


def resume_promotion(tick: Tick) -> Decision | None:
    """A promotion that failed for its primary, the only failure after the copy, goes on once that primary is ready."""
    waits = tick.state.phase is Phase.FAILED and tick.state.applied == tick.state.promoted
    primary = tick.facts.primary
    if not waits or primary is None or not tick.primary_readiness.ready:
        return None
    if not tick.revision == tick.state.applied == primary_revision(primary):
        return None
    state = replace(tick.state, routes=Routes(), analysed_at=tick.facts.now, message="")
    return settle(
        tick,
        Reason.PROMOTION_RESUMED,
        state,
        events=(Event("Routing all traffic to primary"),),
        requeue_after=tick.interval,
    )


def stay(tick: Tick) -> Decision | None:
    """Nothing new. Phase and reason of a failure stay to be read."""
    if tick.moved_on:
        return None
    if tick.state.phase is Phase.FAILED:
        told = lost_configs(tick, tick.state) or tick.state.reason in HOLDS
        return settle(tick, None, replace(tick.state, message="") if told else tick.state)
    if tick.state.phase is Phase.WAITING:
        ran = tick.state.applied == tick.state.promoted
        reason = Reason.BACK_TO_PROMOTED if ran else Reason.BACK_TO_FAILED
        state = replace(tick.state, scale_down=True, quiet_since=None, message="")
        return settle(tick, reason, state, requeue_after=0.0)
    idle = "" if tick.primary_serves else f"{tick.primary_label} serves nothing: {_lack(tick)}"
    problems = (
        (Reason.REFERENCES_MISSING, start_problem(tick)),
        (Reason.DEPENDENCY_NOT_READY, broken_dependencies(tick.facts)),
        (Reason.PRIMARY_NOT_READY, idle),
    )
    found = next(((reason, problem) for reason, problem in problems if problem), None)
    return hold(tick, *found) if found else settle(tick, None, replace(tick.state, message="", stalled_since=None))


def _lack(tick: Tick) -> str:
    return tick.primary_readiness.detail or "no pod is available"


def await_start(tick: Tick) -> Decision | None:
    """Do not begin what could not be judged, nor without a primary to fall back on.

    A primary that missed its deadline is not waited for: the new revision may be the one that repairs it. The
    deadline of one that has none of its own begins here.
    """
    if problem := start_problem(tick):
        return hold(tick, Reason.REFERENCES_MISSING, problem)
    primary = tick.primary_readiness
    if primary.ready or primary.expired or tick.must_keep_traffic or tick.canary.spec.skip_analysis:
        return None
    message = f"{tick.primary_label} not ready: {primary.detail}"
    events = () if tick.state.reason == Reason.PRIMARY_NOT_READY else (Event(message),)
    state = replace(tick.state, message=message, stalled_since=tick.state.stalled_since or tick.facts.now)
    return settle(tick, Reason.PRIMARY_NOT_READY, state, events=events, requeue_after=tick.interval)


def await_gate(tick: Tick) -> Decision | None:
    """A gate that was closed is asked again after an interval; whoever waits for it takes no place from others."""
    if tick.state.reason != Reason.START_NOT_APPROVED or tick.until_due <= 0:
        return None
    return settle(tick, None, tick.state, requeue_after=tick.until_due)


def start(tick: Tick) -> Decision | Measure:
    """Begin with the new revision, once every confirm-rollout gate is open."""
    answers = tick.ask(HookType.CONFIRM_ROLLOUT)
    if isinstance(answers, Measure):
        return answers
    events = passed(answers, "Confirm-rollout check")
    if no := refused(answers):
        message = f"Halt {tick.canary_label} advancement waiting for approval {no[0].name}"
        state = replace(tick.state, analysed_at=tick.facts.now, message=message)
        reported = (*events, Event(message, "Warning"))
        return settle(tick, Reason.START_NOT_APPROVED, state, events=reported, requeue_after=tick.interval)
    return begin(tick, Reason.STARTED, (*events, Event(f"New revision detected! Scaling up {tick.target_label}")))


def begin(tick: Tick, reason: Reason, events: tuple[Event, ...]) -> Decision:
    """The first state of a rollout: no traffic on the canary, nothing counted yet, no pods with other configs.

    Only where the primary serves nothing does the canary keep its traffic: the new revision is the way out.
    Pods that are there already may be ready before this is decided, and then nothing else wakes the Canary.
    """
    scale_to, keep = scale_up(tick), tick.must_keep_traffic
    state = replace(
        tick.state,
        routes=Routes(tick.state.routes.canary_weight) if keep else Routes(),
        iterations=0,
        failed_checks=0,
        applied=tick.revision,
        tracked_configs=tick.digests,
        analysed_at=None,
        started_at=tick.state.started_at if reason is Reason.ANALYSIS_CHANGED else tick.facts.now,
        capacity=_capacity(tick),
        begun_at=None,
        stalled_since=None,
        scale_down=scale_to is None and not keep and _pods_may_be_stale(tick),
        quiet_since=None,
        last_served=None,
        pending_receipt=None,
        checks=(),
        evidence={},
        split=None,
        unexplained=False,
        message="",
    )
    following = 0.0 if scale_to is None else tick.interval
    return settle(tick, reason, state, events=events, scale_to=scale_to, requeue_after=following)


def _capacity(tick: Tick) -> int:
    """Replicas of the primary; those of one that is scaled by hand, or not at all, are nobody's business."""
    primary = tick.facts.primary
    if primary is None or tick.canary.spec.autoscaler_ref is None:
        return 0
    return as_workload(primary).replicas


def _pods_may_be_stale(tick: Tick) -> bool:
    """Pods read a ConfigMap or Secret when they start: those of a rollout have its own, of others nobody knows."""
    under_way = tick.state.phase in (Phase.PROGRESSING, Phase.WAITING_PROMOTION)
    return tick.digests != (tick.state.tracked_configs if under_way else {})


def scale_up(tick: Tick) -> int | None:
    """How many replicas to give the target; None where it has some."""
    return None if as_workload(tick.target).replicas else replicas_from_zero(tick.facts)
