"""A failed check: counted, told, and at the threshold the end of the rollout."""

from __future__ import annotations

from dataclasses import replace

from controller.core.decision import Decision, Event
from controller.core.rollout.phases import Reason
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
