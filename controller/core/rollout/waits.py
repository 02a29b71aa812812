"""What keeps a rollout from advancing, and for how long it may.

Waiting never stops the judgement: while the canary has traffic its metrics, hooks and deadlines go on, and only the
next step waits. Each wait but those that a person asked for counts towards ``progressDeadlineSeconds``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from controller.core.decision import Decision, Event, Measure
from controller.core.model import Routes
from controller.core.rollout import guards
from controller.core.rollout.phases import Reason
from controller.core.rollout.rollback import roll_back
from controller.core.rollout.settle import settle
from controller.core.tick import STEPS_BY_HAND, Tick

_NORMAL = (Reason.CANARY_NOT_READY, Reason.PRIMARY_NOT_READY)
"""What every rollout waits for."""
_PROBLEMS: tuple[tuple[Reason, Callable[[Tick], str]], ...] = (
    (Reason.SUSPENDED, guards.suspension),
    (Reason.NOT_SUPPORTED, guards.unsupported_problem),
    (Reason.OBJECT_TAKEN, guards.rival_problem),
    (Reason.OBJECT_TAKEN, guards.ownership_problem),
    (Reason.SELECTOR_UNUSABLE, guards.overlap_problem),
)
"""What the guards leave a canary without traffic alone for."""
WAITS = (*_NORMAL, *(reason for reason, _ in _PROBLEMS), Reason.REFERENCES_MISSING, Reason.PAUSED)


@dataclass(frozen=True, slots=True)
class Wait:
    """Why the next step cannot be taken.

    Attributes:
        message: for the reader of the status.
        expired: it will not end by itself.
        counted: it counts towards the progress deadline.
    """

    reason: Reason
    message: str
    expired: bool = False
    counted: bool = True


def look_at_pods(tick: Tick) -> Measure | None:
    """What keeps pods from getting ready is in the pods alone; every message about readiness says it then."""
    unread = tick.unread_pods
    return Measure(unread) if unread else None


def find_wait(tick: Tick) -> Wait | None:
    """The first thing that the next step has to wait for.

    A primary that missed its deadline is not waited for: a new revision is the way to repair it.
    """
    for reason, problem in _PROBLEMS:
        if message := problem(tick):
            return Wait(reason, message, counted=reason is not Reason.SUSPENDED)
    if tick.facts.missing_configs:
        missing = ", ".join(tick.facts.missing_configs)
        return Wait(Reason.REFERENCES_MISSING, f"{tick.target_label} references missing objects: {missing}")
    canary, primary = tick.canary_readiness, tick.primary_readiness
    if not canary.ready:
        message = f"{tick.canary_words} not ready: {canary.detail}"
        return Wait(Reason.CANARY_NOT_READY, message, expired=canary.expired)
    given_up = primary.expired or (tick.must_keep_traffic and tick.stalled_for > tick.deadline)
    if not primary.ready and not given_up and not tick.canary.spec.skip_analysis:
        return Wait(Reason.PRIMARY_NOT_READY, f"{tick.primary_label} not ready: {primary.detail}")
    if tick.state.paused and not tick.told(*STEPS_BY_HAND):  # the last: what is wrong with the pods is not put off
        return Wait(Reason.PAUSED, f"{tick.canary_label} was paused by {tick.state.paused}", counted=False)
    return None


def await_start_of_traffic(tick: Tick) -> Decision | None:
    """Without traffic on the canary there is nothing to judge: wait until the first step can be taken."""
    wait = find_wait(tick)
    return None if wait is None or tick.state.routes != Routes() else hold_for(tick, wait)


def meet_deadline(tick: Tick) -> Decision | None:
    """Roll back what will not become ready, and what has made no progress for ``progressDeadlineSeconds``."""
    wait, stalled = find_wait(tick), tick.state.stalled_since is not None and tick.stalled_for > tick.deadline
    if wait is None:  # only objects that cannot be written hold the rollout up, as the shell reported
        stalled = stalled and tick.state.reason not in WAITS and tick.primary_readiness.ready
    if not (stalled and (wait is None or wait.counted)) and not (wait and wait.expired):
        return None
    message = (
        f"Rolling back {tick.canary_label} progress deadline exceeded {wait.message if wait else tick.state.message}"
    )
    return roll_back(tick, Reason.DEADLINE_EXCEEDED, message)


def await_due(tick: Tick) -> Decision | None:
    """Between two timed steps drift is undone, and what the next step waits for is written down."""
    if tick.until_due <= 0:
        return None
    if wait := find_wait(tick):
        return replace(hold_for(tick, wait), requeue_after=tick.until_due)
    over = tick.state.reason in WAITS and tick.primary_readiness.ready
    state = replace(tick.state, message="", stalled_since=None) if over else tick.state
    return settle(tick, None, state, requeue_after=tick.until_due)


def hold_for(tick: Tick, wait: Wait, events: tuple[Event, ...] = ()) -> Decision:
    """Take no step. Pods that take a while to start are normal: the warning comes after half of the deadline."""
    since = tick.state.stalled_since or tick.facts.now
    late = f"; it is rolled back after {tick.deadline:g}s without progress"
    message = wait.message
    if wait.counted and tick.state.stalled_since and tick.stalled_for * 2 > tick.deadline:
        message += late
    warned = tick.state.message == message or tick.state.message.endswith(late)
    if not warned and (message.endswith(late) or wait.reason not in _NORMAL):
        events = (*events, Event(message, "Warning"))
    state = replace(tick.state, message=message, stalled_since=since if wait.counted else None)
    return settle(tick, wait.reason, state, events=events, requeue_after=tick.interval)
