"""What a deletion reverts first where ``spec.revertOnDeletion`` is true (flagger/pkg/controller/finalizer.go, v1.44).

The target gets the primary's replicas; once it is ready, what was adopted is given back and leads to it; then the
finalizer goes, and Kubernetes collects the rest. It takes at most ``progressDeadlineSeconds``: a deletion never hangs.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from controller.api.canary import Canary
from controller.api.status import Phase
from controller.core.decision import Decision, Event, GiveBack, ScaleTarget
from controller.core.objects.kinds import as_workload
from controller.core.objects.leftovers import SETTLE_SECONDS
from controller.core.objects.writes import plan_writes
from controller.core.rollout.phases import Reason
from controller.core.rollout.settle import stamp
from controller.core.tick import Tick


def seconds_left(canary: Canary, now: datetime) -> float:
    """Until the deletion goes on, whatever is not reverted yet; for a Canary that is being deleted."""
    deleted_at = canary.metadata.deletion_timestamp or now
    return canary.spec.progress_deadline_seconds - (now - deleted_at).total_seconds()


def terminate(tick: Tick) -> Decision | None:
    """Revert, one step a tick, and end in `Phase.TERMINATED`, in which the shell takes the finalizer away."""
    if tick.canary.metadata.deletion_timestamp is None:
        return None
    match tick.state.phase:
        case Phase.TERMINATED:
            return Decision(tick.state)
        case Phase.TERMINATING:
            return _revert(tick)
        case _ if tick.canary.spec.revert_on_deletion:
            return _begin(tick)
        case _:
            return replace(_release(tick), upkeep=())


def _begin(tick: Tick) -> Decision:
    state = replace(tick.state, scale_down=False, quiet_since=None, last_served=None, message="")
    event = Event(f"Terminating canary {tick.canary_label}")
    return Decision(stamp(tick, Reason.DELETED, state), events=(event,), requeue_after=0.0)


def _revert(tick: Tick) -> Decision:
    if tick.facts.target is None or tick.facts.rival is not None or not tick.state.promoted:
        return replace(_release(tick), upkeep=())  # nothing was changed, or it is not this Canary's to change back
    late, wanted = seconds_left(tick.canary, tick.facts.now) <= 0, _replicas(tick)
    if wanted is None and tick.canary_readiness.ready:
        return _release(tick) if late else _give_back(tick)
    message = f"{tick.canary_words} not ready: {tick.canary_readiness.detail or 'it is scaled up'}"
    if late:  # whoever deletes does not wait for pods that do not start
        said = f"Deleting {tick.canary_label} after {tick.deadline:g}s without a whole revert: {message}"
        return _release(tick, Event(said, "Warning"))
    state = stamp(tick, Reason.CANARY_NOT_READY, replace(tick.state, quiet_since=None, message=message))
    return Decision(state, () if wanted is None else (ScaleTarget(wanted),), requeue_after=_until(tick, tick.interval))


def _replicas(tick: Tick) -> int | None:
    """How many replicas to give the target; None where it has as many as the primary, or its own autoscaler decides."""
    primary = tick.facts.primary or tick.state.record
    wanted = max(1, int(primary["spec"].get("replicas", 1))) if primary else 1
    has = as_workload(tick.target).replicas
    return wanted if has < wanted and (not has or tick.canary.spec.autoscaler_ref is None) else None


def _give_back(tick: Tick) -> Decision:
    """The data plane has to know where the traffic goes now before the primary goes."""
    written = not plan_writes(GiveBack(), tick.facts)
    since = tick.state.quiet_since or tick.facts.now
    rest = SETTLE_SECONDS - max(0.0, (tick.facts.now - since).total_seconds())
    if written and rest <= 0:
        return _release(tick)
    state = stamp(tick, None, replace(tick.state, quiet_since=since if written else None, message=""))
    return Decision(state, (GiveBack(),), requeue_after=_until(tick, rest) if written else 0.0)


def _until(tick: Tick, seconds: float) -> float:
    return min(seconds, seconds_left(tick.canary, tick.facts.now))


def _release(tick: Tick, *events: Event) -> Decision:
    state = stamp(tick, Reason.RELEASED, replace(tick.state, quiet_since=None, message=""))
    return Decision(state, (), (*events, Event(f"Terminated canary {tick.canary_label}")), upkeep=(GiveBack(),))
