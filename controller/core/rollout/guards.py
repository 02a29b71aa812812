"""What has to be true before anything is done: each guard names the one thing that is wrong, or lets the tick pass."""

from __future__ import annotations

from dataclasses import replace

from controller.core.analysis.thresholds import broken_templates, missing_templates
from controller.core.decision import Decision, Event, ReturnTraffic
from controller.core.model import Routes, State
from controller.core.objects.kinds import WORKLOADS
from controller.core.objects.selectors import SelectorError, selector_label
from controller.core.objects.workload import foreign_objects, serves
from controller.core.rollout.permissions import not_allowed
from controller.core.rollout.phases import MOVES, Reason
from controller.core.rollout.settle import hands_off, stamp, warn_once
from controller.core.tick import Tick


def suspension(tick: Tick) -> str:
    """Why a person wants nothing to advance; empty when nobody does."""
    return "skipping canary run as object is suspended" if tick.canary.spec.suspend else ""


def unsupported_problem(tick: Tick) -> str:
    """Which fields would be ignored: what the user asked for would not happen; empty when there are none."""
    return "not supported: " + "; ".join(tick.unsupported) if tick.unsupported else ""


def rival_problem(tick: Tick) -> str:
    """Which object another Canary, that came first, uses too."""
    rival, namespace = tick.facts.rival, tick.canary.namespace
    if rival is None:
        return ""
    return (
        f"{rival.field} leads to {rival.kind} {rival.name}.{namespace}, which Canary {rival.canary}.{namespace} uses "
        "already; give each Canary a target, a service.name and an autoscaler of its own"
    )


def ownership_problem(tick: Tick) -> str:
    """Which objects are somebody else's: they are never written, whatever they are called."""
    return "; ".join(foreign_objects(tick.facts))


def overlap_problem(tick: Tick) -> str:
    """Which other workload's pods the Services would select: they would get this one's users."""
    return tick.overlap


def _leave_alone(tick: Tick, reason: Reason, message: str, *, requeue_after: float | None = None) -> Decision | None:
    """Touch nothing while something is wrong; a canary that has traffic is still judged, and only waits (`waits`)."""
    if not message or tick.state.routes != Routes():
        return None
    return hands_off(tick, reason, message, requeue_after=requeue_after)


def suspended(tick: Tick) -> Decision | None:
    return _leave_alone(tick, Reason.SUSPENDED, suspension(tick))


def unsupported(tick: Tick) -> Decision | None:
    return _leave_alone(tick, Reason.NOT_SUPPORTED, unsupported_problem(tick))


def forbidden(tick: Tick) -> Decision | None:
    """Who may edit a Canary may not thereby take the traffic or the metrics of others; no other route is written."""
    problems = not_allowed(tick.canary, tick.facts.options)
    return _give_up(tick, Reason.NOT_ALLOWED, "not allowed: " + "; ".join(problems)) if problems else None


def contested(tick: Tick) -> Decision | None:
    return _leave_alone(tick, Reason.OBJECT_TAKEN, rival_problem(tick))


def targetless(tick: Tick) -> Decision | None:
    """Without a target nothing can be done."""
    if tick.facts.target is not None:
        return None
    kind = tick.canary.spec.target_ref.kind
    message = f"{kind} {tick.target_label} not found; spec.targetRef must name a {kind} in this namespace"
    return _give_up(tick, Reason.TARGET_MISSING, message, lost=True)


def unselectable(tick: Tick) -> Decision | None:
    try:
        selector_label(tick.target, tick.facts.options.selector_labels)
    except SelectorError as error:
        return _give_up(tick, Reason.SELECTOR_UNUSABLE, str(error), lost=True)
    return None


def foreign(tick: Tick) -> Decision | None:
    return _leave_alone(tick, Reason.OBJECT_TAKEN, ownership_problem(tick))


def overlapping(tick: Tick) -> Decision | None:
    """No watch tells that another workload's labels have changed, so it is looked at again."""
    return _leave_alone(tick, Reason.SELECTOR_UNUSABLE, overlap_problem(tick), requeue_after=tick.interval)


def retargeted(tick: Tick) -> Decision | None:
    """The Canary has another target: it starts over, and the former primary serves until the new one does."""
    owned = {key: item for key, item in tick.facts.owned.items() if key[0] in WORKLOADS}
    started = Reason.TARGET_CHANGED in MOVES[tick.state.phase]
    if not started or tick.facts.primary is not None or owned.keys() <= {tick.canary.primary_key}:
        return None
    actions = (ReturnTraffic(),) if any(serves(item) for item in owned.values()) else ()
    event = Event(f"Target of {tick.canary_label} changed! Initializing {tick.target_label}")
    return Decision(
        stamp(tick, Reason.TARGET_CHANGED, State(answered=tick.state.answered)), actions, (event,), requeue_after=0.0
    )


def _give_up(tick: Tick, reason: Reason, message: str, *, lost: bool = False) -> Decision:
    """Touch nothing, but for the traffic of a canary that nobody can judge: it goes back to a primary that serves.

    With ``lost`` that is the end of the rollout; otherwise it starts over when the reason is gone.
    """
    if tick.state.routes == Routes() or tick.must_keep_traffic:
        return hands_off(tick, reason, message)
    state = replace(tick.state, routes=Routes(), iterations=0, message=message)
    if lost:
        reason, state = Reason.TARGET_LOST, replace(state, failed_checks=0)
    return Decision(stamp(tick, reason, state), (ReturnTraffic(),), warn_once(tick, message))


def copy_problem(tick: Tick) -> str:
    """Why a primary made now would not run; empty when it would."""
    reference = tick.canary.spec.autoscaler_ref
    if tick.facts.missing_configs:
        return f"{tick.target_label} references missing objects: {', '.join(tick.facts.missing_configs)}"
    if reference is not None and tick.facts.target_autoscaler is None:
        return f"{reference.kind} {reference.name}.{tick.canary.namespace} of spec.autoscalerRef not found"
    return ""


def start_problem(tick: Tick) -> str:
    """Why a new revision could not be judged now; empty when it could."""
    if not tick.canary.spec.skip_analysis:
        if missing := missing_templates(tick.canary, tick.facts.templates, dry_runs=False):
            return f"MetricTemplate {', '.join(missing)} of spec.analysis.metrics not found"
        if broken := broken_templates(tick.canary, tick.facts.templates, dry_runs=False):
            return "\n".join(broken)
    return copy_problem(tick)
