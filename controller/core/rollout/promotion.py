"""How a good rollout ends: the primary takes the new revision, then the traffic; then the canary is scaled to zero."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from controller.api.status import Phase
from controller.api.webhook import HookType
from controller.core.decision import Decision, Event, Measure
from controller.core.model import Former, Routes
from controller.core.objects.ports import moves_port
from controller.core.objects.workload import primary_revision
from controller.core.rollout import receipts
from controller.core.rollout.phases import Reason
from controller.core.rollout.rollback import await_quiet, late_requests, roll_back
from controller.core.rollout.settle import hold, settle
from controller.core.rollout.start import begin
from controller.core.rollout.strategies import next_promotion_weight
from controller.core.tick import Tick

_FORMER_AT_MOST = 10
_NEVER = datetime.min.replace(tzinfo=UTC)


def start_promotion(tick: Tick, events: tuple[Event, ...]) -> Decision:
    """Copy the target's spec to the primary. The canary keeps its traffic until the primary runs it.

    Where the pods' port changes, the canary takes all traffic meanwhile; behind a match it only gets what matches.
    """
    moved = moves_port(tick.facts) and not tick.analysis.match
    routes = Routes(100 if moved else tick.state.routes.canary_weight)
    state = replace(
        tick.state,
        routes=routes,
        analysed_at=tick.facts.now,
        stalled_since=None,
        pending_receipt=receipts.filled_in(tick),
        message="",
    )
    copying = Event(f"Copying {tick.target_label} template spec to {tick.primary_label}")
    return settle(
        tick, Reason.PROMOTION_STARTED, state, events=(*events, copying), promote=True, requeue_after=tick.interval
    )


def protect_promotion(tick: Tick) -> Decision | None:
    """A newer revision while the primary takes this one: its pods get no traffic, they have not been judged."""
    if not tick.moved_on or not tick.state.routes.canary_weight or tick.must_keep_traffic:
        return None
    event = Event(f"New revision detected during promotion, routing all traffic to {tick.primary_label}", "Warning")
    return settle(tick, Reason.SUPERSEDED, replace(tick.state, routes=Routes()), events=(event,), requeue_after=0.0)


def leave_untaken(tick: Tick) -> Decision | None:
    """The primary has not taken the revision: after a newer one, or at the deadline, it stays what it was."""
    primary, record = tick.facts.primary, tick.state.record
    taken = primary is not None and primary_revision(primary) == tick.state.applied
    if taken or (record is not None and record["revision"] == tick.state.applied):
        return None
    if tick.moved_on:
        event = Event(f"New revision detected! Restarting analysis for {tick.target_label}")
        return begin(tick, Reason.RESTARTED, (event,))
    since = tick.state.stalled_since
    if since is None or (tick.facts.now - since).total_seconds() <= tick.deadline:
        return None
    message = f"Rolling back {tick.canary_label} progress deadline exceeded {tick.state.message}"
    return roll_back(tick, Reason.DEADLINE_EXCEEDED, message)


def await_promoted_primary(tick: Tick) -> Decision | None:
    """Wait until the primary runs the promoted revision; copy again what a crash or a hand has undone."""
    primary, readiness = tick.facts.primary, tick.primary_readiness
    copied = primary is not None and primary_revision(primary) == tick.state.applied
    if not copied and tick.facts.missing_configs:
        message = f"{tick.target_label} references missing objects: {', '.join(tick.facts.missing_configs)}"
        stalled = replace(tick, state=replace(tick.state, stalled_since=tick.state.stalled_since or tick.facts.now))
        return hold(stalled, Reason.REFERENCES_MISSING, message, requeue_after=tick.interval)
    if not copied and not tick.moved_on:
        return settle(tick, None, tick.state, promote=True, requeue_after=tick.interval)
    if readiness.ready:
        return None
    message = f"{tick.primary_label} not ready: {readiness.detail}"
    begun = max(moment for moment in (tick.state.transitioned_at, readiness.progressed_at, _NEVER) if moment)
    if readiness.expired or (tick.facts.now - begun).total_seconds() > tick.deadline:
        return _give_up(tick, message)
    # While the primary serves nothing the canary, which has passed its analysis, answers everybody.
    routes = Routes(100) if tick.must_keep_traffic and not tick.moved_on else tick.state.routes
    state = replace(tick.state, routes=routes, message=message)
    return settle(tick, Reason.PRIMARY_NOT_READY, state, requeue_after=tick.interval)


def _give_up(tick: Tick, reason: str) -> Decision:
    """The primary cannot run the new revision, the canary does: it keeps all the traffic (Flagger)."""
    message = f"Promotion of {tick.target_label} failed, primary not ready: {reason}"
    trusted = tick.must_keep_traffic or (not tick.moved_on and (tick.canary_serves or not tick.primary_serves))
    state = replace(
        tick.state,
        routes=Routes(100 if trusted else 0),
        promoted=tick.state.applied,
        former=_former(tick),
        iterations=0,
        message=message,
    )
    hooks = tick.hooks(HookType.POST_ROLLOUT, Phase.FAILED)
    return settle(tick, Reason.PRIMARY_FAILED, state, events=(Event(message, "Warning"),), hooks=hooks)


def shift_to_primary(tick: Tick) -> Decision:
    """Route the traffic to the promoted primary, at once or by ``stepWeightPromotion`` an interval."""
    weight = next_promotion_weight(tick.analysis, tick.state.routes.canary_weight)
    if weight and tick.until_due > 0:
        return settle(tick, None, tick.state, requeue_after=tick.until_due)
    state = replace(tick.state, routes=Routes(weight), analysed_at=tick.facts.now, message="")
    if weight:
        event = Event(f"Advance {tick.canary_label} primary weight {state.routes.primary_weight}")
        return settle(tick, Reason.TRAFFIC_RETURNING, state, events=(event,), requeue_after=tick.interval)
    event = Event("Routing all traffic to primary")
    return settle(
        tick,
        Reason.TRAFFIC_RETURNED,
        replace(state, quiet_since=None, last_served=None),
        events=(event,),
        requeue_after=0.0,
    )


def finalise(tick: Tick) -> Decision | Measure:
    """An interval after the last traffic left it, so that requests under way can end, the canary is scaled to zero."""
    if wait := await_quiet(tick):
        return wait
    if (probe := receipts.unread_images(tick)) is not None:
        return Measure((probe,))
    state = replace(
        tick.state,
        promoted=tick.state.applied,
        receipt=receipts.handed_out(tick),
        pending_receipt=None,
        former=_former(tick, tick.state.applied),
        iterations=0,
        failed_checks=0,
        quiet_since=None,
        last_served=None,
        message="",
    )
    end = "Canary analysis was skipped for" if tick.canary.spec.skip_analysis else "Scaling down"
    events = (*late_requests(tick), Event(f"Promotion completed! {end} {tick.target_label}"))
    hooks, following = tick.hooks(HookType.POST_ROLLOUT, Phase.SUCCEEDED), 0.0 if tick.moved_on else None
    return settle(tick, Reason.PROMOTED, state, events=events, scale_to=0, hooks=hooks, requeue_after=following)


def _former(tick: Tick, *taken: str) -> tuple[Former, ...]:
    """What the primary has run, with the revisions that it has ``taken`` now; no promotion that was given up."""
    if tick.canary.spec.rollback_window is None:
        return ()
    state, now = tick.state, tick.facts.now.replace(microsecond=0)
    ran = not state.former or state.promoted in [each.revision for each in state.former]
    latest = [Former(revision, now) for revision in (*taken, *([state.promoted] if ran else []))]
    kept: dict[str, Former] = {}
    for each in (*latest, *tick.former):
        kept.setdefault(each.revision, each)
    return tuple(kept.values())[:_FORMER_AT_MOST]
