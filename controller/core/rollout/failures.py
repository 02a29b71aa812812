"""A failed check: counted, told, and at the threshold the end of the rollout."""

from __future__ import annotations

from dataclasses import replace

from controller.core.decision import Decision, Event
from controller.core.model import Routes
from controller.core.rollout.phases import ANALYSIS, Reason
from controller.core.rollout.rollback import roll_back
from controller.core.rollout.settle import settle
from controller.core.rollout.waits import find_wait
from controller.core.tick import Tick


def fail_check(tick: Tick, reasons: tuple[str, ...], events: tuple[Event, ...] = ()) -> Decision:
    """One more failed check, however many metrics failed; at the threshold the rollout is over."""
    failed = tick.state.failed_checks + 1
    stalled = tick.state.stalled_since if find_wait(tick) else None
    halted = replace(
        tick.state, failed_checks=failed, analysed_at=tick.facts.now, stalled_since=stalled, message=reasons[0]
    )
    reported = (*events, *(Event(reason, "Warning") for reason in reasons))
    if failed >= tick.analysis.failure_threshold:
        message = f"Rolling back {tick.canary_label} failed checks threshold reached {failed}"
        return roll_back(replace(tick, state=halted), Reason.CHECKS_FAILED, message, reported, detail=reasons[0])
    return settle(tick, Reason.CHECK_FAILED, halted, events=reported, requeue_after=tick.interval)


def give_back(tick: Tick) -> Decision | None:
    """A canary that serves nobody keeps no users from a primary that does: no metric of its own would tell.

    In an analysis that is a failed check, and the steps start over. A promotion goes on without the canary.
    """
    if not tick.must_give_back:
        return None
    message = f"no pod of {tick.target_label} is available, routing all traffic to {tick.primary_label}"
    if tick.state.phase in ANALYSIS:
        state = replace(tick.state, routes=Routes(), iterations=0)
        return fail_check(replace(tick, state=state), (f"Halt {tick.canary_label} advancement {message}",))
    state = replace(tick.state, routes=Routes())
    return settle(tick, None, state, events=(Event(message[0].upper() + message[1:], "Warning"),), requeue_after=0.0)
