"""Before and between rollouts: initialisation, take-over, and the start of a rollout."""

from __future__ import annotations

from dataclasses import replace

from controller.api.status import Phase
from controller.api.webhook import HookType
from controller.core.model import Decision, Event, Measure, Routes, State
from controller.core.objects.workload import UNKNOWN_REVISION, is_own_revision, primary_revision, replicas_from_zero
from controller.core.rollout.guards import copy_problem, start_problem
from controller.core.tick import Tick, hold, passed, refused, settle, warn_once


def initialise(tick: Tick) -> Decision:
    """Make the primary from the target, wait for it, then lead the traffic to it and scale the target to zero."""
    begun = replace(tick.state, phase=Phase.INITIALIZING)
    if problem := copy_problem(tick):
        return Decision(replace(tick.state, message=problem), events=warn_once(tick, problem))
    if not tick.primary_readiness.ready:
        made = tick.facts.primary is not None
        message = f"{tick.primary_label} not ready: {tick.primary_readiness.detail}" if made else ""
        return settle(tick, replace(begun, message=message), events=warn_once(tick, message))
    assert tick.facts.primary is not None  # noqa: S101  # it is ready
    revision = primary_revision(tick.facts.primary) or tick.revision
    state = State(
        phase=Phase.INITIALIZED,
        applied=revision,
        promoted=revision,
        tracked_configs=tick.digests,
        transitioned_at=tick.state.transitioned_at,
        message=start_problem(tick),
    )
    done, more = Event(f"Initialization done! {tick.canary_label}"), revision != tick.revision
    return settle(tick, state, events=(done,), scale_to=0, requeue_after=0.0 if more else None)


def take_over(tick: Tick) -> Decision | None:
    """Flagger's hashes cannot be computed here: what the target runs now is the revision that they stand for.

    Two things stay unknown: what an unfinished or failed rollout is measured against, and what waited for approval.
    Flagger counts -1 iterations while it waits for a promotion.
    """
    if is_own_revision(tick.state.applied):
        return None
    waiting, settled = tick.state.phase is Phase.WAITING, tick.state.phase in (Phase.INITIALIZED, Phase.SUCCEEDED)
    applied = UNKNOWN_REVISION if waiting else tick.revision
    promoted = tick.revision if settled else UNKNOWN_REVISION
    state = replace(
        tick.state,
        applied=applied,
        promoted=promoted,
        tracked_configs=tick.digests,
        iterations=max(0, tick.state.iterations),
        message="",
    )
    event = Event(f"Taking over {tick.canary_label}, revision {tick.state.applied} is now {applied}")
    return settle(tick, state, events=(event,), requeue_after=0.0)


def await_configs(tick: Tick) -> Decision | None:
    """While a ConfigMap or Secret that the target needs is away, nobody can say which revision it has.

    A replacement by deleting and creating, as Pulumi does it, must not look like two revisions.
    """
    if not tick.facts.missing_configs:
        return None
    message = f"{tick.target_label} refers to what does not exist: {', '.join(tick.facts.missing_configs)}"
    return hold(tick, message, requeue_after=tick.interval)


def resume_promotion(tick: Tick) -> Decision | None:
    """A promotion that failed for its primary, the only failure after the copy, goes on once that primary is ready."""
    waits = tick.state.phase is Phase.FAILED and tick.state.applied == tick.state.promoted
    primary = tick.facts.primary
    if not waits or primary is None or not tick.primary_readiness.ready:
        return None
    if not tick.revision == tick.state.applied == primary_revision(primary):
        return None
    state = replace(tick.state, phase=Phase.FINALISING, routes=Routes(), analysed_at=tick.facts.now, message="")
    return settle(tick, state, events=(Event("Routing all traffic to primary"),), requeue_after=tick.interval)


def stay(tick: Tick) -> Decision | None:
    """Nothing new. Phase and reason of a failure stay to be read."""
    if tick.revision != tick.state.applied:
        return None
    if tick.state.phase is Phase.FAILED:
        return settle(tick, tick.state)
    if tick.state.phase is Phase.WAITING:
        phase = Phase.SUCCEEDED if tick.state.applied == tick.state.promoted else Phase.FAILED
        return settle(tick, replace(tick.state, phase=phase, message=""), scale_to=0)
    problem = start_problem(tick)
    return settle(tick, replace(tick.state, message=problem), events=warn_once(tick, problem))


def notice_revert(tick: Tick) -> Decision | None:
    """The target is back at what the primary runs: there is nothing to try, and the other revision may come again."""
    primary = tick.facts.primary
    if primary is None or tick.revision != (primary_revision(primary) or tick.state.promoted):
        return None
    state = replace(
        tick.state,
        phase=Phase.INITIALIZED,
        routes=Routes(),
        iterations=0,
        failed_checks=0,
        applied=tick.revision,
        tracked_configs=tick.digests,
        checks=(),
        message="",
    )
    event = Event(f"Revision of {tick.target_label} is the one that the primary runs! Scaling down {tick.target_label}")
    return settle(tick, state, events=(event,), scale_to=0)


def await_start(tick: Tick) -> Decision | None:
    """Do not begin what could not be judged, nor without a primary to fall back on."""
    if problem := start_problem(tick):
        return hold(tick, problem)
    if tick.primary_readiness.ready or tick.canary.spec.skip_analysis:
        return None
    return hold(tick, f"{tick.primary_label} not ready: {tick.primary_readiness.detail}")


def start(tick: Tick) -> Decision | Measure:
    """Begin with the new revision, once every confirm-rollout gate is open."""
    if tick.state.phase is Phase.WAITING and tick.until_due > 0:
        return settle(tick, tick.state, requeue_after=tick.until_due)
    answers = tick.ask(HookType.CONFIRM_ROLLOUT)
    if isinstance(answers, Measure):
        return answers
    events = passed(answers, "Confirm-rollout check")
    if no := refused(answers):
        message = f"Halt {tick.canary_label} advancement waiting for approval {no[0].name}"
        state = replace(tick.state, phase=Phase.WAITING, analysed_at=tick.facts.now, message=message)
        return settle(tick, state, events=(*events, Event(message, "Warning")), requeue_after=tick.interval)
    return begin(tick, (*events, Event(f"New revision detected! Scaling up {tick.target_label}")))


def begin(tick: Tick, events: tuple[Event, ...]) -> Decision:
    """The first state of a rollout: no traffic on the canary, nothing counted yet, no pods with other configs."""
    scale_to = scale_up(tick)
    if scale_to is None and _pods_may_be_stale(tick):
        scale_to = 0
    state = replace(
        tick.state,
        phase=Phase.PROGRESSING,
        routes=Routes(),
        iterations=0,
        failed_checks=0,
        applied=tick.revision,
        tracked_configs=tick.digests,
        analysed_at=None,
        checks=(),
        evidence={},
        message="",
    )
    return settle(tick, state, events=events, scale_to=scale_to, requeue_after=tick.interval)


def _pods_may_be_stale(tick: Tick) -> bool:
    """Pods read a ConfigMap or Secret when they start: those of a rollout have its own, of others nobody knows."""
    under_way = tick.state.phase in (Phase.PROGRESSING, Phase.WAITING_PROMOTION)
    return tick.digests != (tick.state.tracked_configs if under_way else {})


def scale_up(tick: Tick) -> int | None:
    """How many replicas to give the target; None where it has some."""
    assert tick.facts.target is not None  # noqa: S101  # the guards have looked
    return None if tick.facts.target["spec"].get("replicas", 1) else replicas_from_zero(tick.facts)
