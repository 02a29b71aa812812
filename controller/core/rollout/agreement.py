"""What has to agree before the next step: gates, comparisons, and whether the last step was taken at all."""

from __future__ import annotations

from dataclasses import replace

from controller.api.webhook import HookType
from controller.core.analysis.checks import inconclusive, wants_a_look
from controller.core.decision import Decision, Event, Measure
from controller.core.rollout.failures import fail_check
from controller.core.rollout.phases import Reason
from controller.core.rollout.settle import settle
from controller.core.tick import STEPS_BY_HAND, Tick, passed, refused

LATE_LOOKS = 6
"""So many looks more a comparison may take until two of them have counted, or while they point to harm; and so many
the routes in a rollout, until the canary has the requests that its weight gives it."""


def await_routes(tick: Tick, events: tuple[Event, ...]) -> Decision | None:
    """The last step is taken once the canary's share of the requests shows it: a proxy may still have former routes.

    Callers without a sidecar never follow the weights: that is told, and holds the rollout up no longer.
    """
    split = tick.state.split
    if split is None or split.mismatch != "less" or split.late == LATE_LOOKS or tick.told(*STEPS_BY_HAND):
        return None
    late = split.late + 1
    if late == LATE_LOOKS:
        last = f"{tick.canary_label} goes on at the next look, though requests do not follow its weights"
        events = (*events, Event(last, "Warning"))
    state = replace(tick.state, analysed_at=tick.facts.now, split=replace(split, late=late))
    return settle(tick, Reason.ROUTES_LATE, state, events=events, requeue_after=tick.interval)


def ask_for_traffic(tick: Tick, events: tuple[Event, ...]) -> Decision | Measure | tuple[Event, ...]:
    """``events`` and those of the gates, once all of them are open."""
    answers = tick.ask(HookType.CONFIRM_TRAFFIC_INCREASE)
    if isinstance(answers, Measure):
        return answers
    reported = (*events, *passed(answers, "Confirm-traffic-increase check"))
    if no := refused(answers):
        return _wait(tick, Reason.STEP_NOT_APPROVED, f"traffic increase approval {no[0].name}", reported)
    return reported


def ask_to_promote(tick: Tick, events: tuple[Event, ...]) -> Decision | Measure | tuple[Event, ...]:
    """``events`` and those of the gates, once all gates are open.

    No harm shown is not harm: a comparison that has not passed is a failed check only where ``onInconclusive`` says
    rollback. Else the promotion says what was not proven; while a gate is closed, its person is told.
    """
    unproven = inconclusive(tick.canary, tick.state)
    if unproven and _is_warming_up(tick):
        return _await_warm_up(tick, unproven, events)
    halts = tuple(f"Halt {tick.canary_label} advancement {each}" for each in unproven)
    if halts and tick.analysis.on_inconclusive == "rollback":
        return fail_check(tick, halts, events)
    opened = tick.state.reason == Reason.WAITING_FOR_GROUP  # since then they are open
    answers = [] if opened else tick.ask(HookType.CONFIRM_PROMOTION)
    if isinstance(answers, Measure):
        return answers
    agreed = passed(answers, "Confirm-promotion check")
    if no := refused(answers):
        told = (*events, *(Event(halt, "Warning") for halt in halts), *agreed)
        return _wait(tick, Reason.PROMOTION_NOT_APPROVED, f"promotion approval {no[0].name}", told)
    without_proof = f"Promoting {tick.canary_label} without proof: {'; '.join(unproven)}"
    return (*events, *agreed, *((Event(without_proof, "Warning"),) if unproven else ()))


def _is_warming_up(tick: Tick) -> bool:
    """Whether two looks after the warm-up have not come yet: no single one decides, so less would be no analysis.

    Pods are seen only once they were scraped, and a scrape may bring nothing new: a few looks more are waited for.
    """
    begun, needed = tick.state.begun_at, tick.analysis.warmup_seconds + 2 * tick.interval
    if begun is None:
        return False
    left = needed - (tick.facts.now - begun).total_seconds()
    return left > 0 or (left > -LATE_LOOKS * tick.interval and wants_a_look(tick))


def _await_warm_up(tick: Tick, unproven: tuple[str, ...], events: tuple[Event, ...]) -> Decision:
    """The steps were shorter than the warm-up. Nothing was judged yet, so nothing has failed either."""
    message = f"Waiting for the warm-up of {tick.canary_label} to end: {unproven[0]}"
    told = () if tick.state.reason == Reason.WARMING_UP else (Event(message),)
    state = replace(tick.state, analysed_at=tick.facts.now, message=message)
    return settle(tick, Reason.WARMING_UP, state, events=(*events, *told), requeue_after=tick.interval)


def _wait(tick: Tick, reason: Reason, gate: str, events: tuple[Event, ...]) -> Decision:
    """A person has to say yes. The traffic stays where it is, and this counts as no failure."""
    message = f"Halt {tick.canary_label} advancement waiting for {gate}"
    state = replace(tick.state, analysed_at=tick.facts.now, message=message)
    return settle(tick, reason, state, events=(*events, Event(message, "Warning")), requeue_after=tick.interval)
