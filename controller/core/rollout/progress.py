"""A rollout under way: wait for the canary, measure it, and give it the next share of the traffic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from controller.api.instruction import Verb
from controller.api.webhook import HookType
from controller.core.analysis.checks import Measured, baseline, inconclusive, measure
from controller.core.decision import Decision, Event, Measure
from controller.core.model import Check, Routes
from controller.core.objects.kinds import as_workload
from controller.core.objects.workload import primary_revision
from controller.core.probes import Passed, Pending
from controller.core.rollout.agreement import ask_for_traffic, ask_to_promote, await_routes
from controller.core.rollout.failures import fail_check
from controller.core.rollout.groups import await_group
from controller.core.rollout.guards import suspension, unsupported_problem
from controller.core.rollout.phases import Reason
from controller.core.rollout.promotion import start_promotion
from controller.core.rollout.rollback import roll_back
from controller.core.rollout.settle import settle
from controller.core.rollout.start import begin, scale_up
from controller.core.rollout.strategies import Step, fits, next_step
from controller.core.rollout.waits import WAITS, find_wait, hold_for
from controller.core.tick import Tick, passed, refused

SCRAPED_SECONDS = 35.0
"""In this time what a new pod serves has been scraped twice, 15 s apart."""


def resume_copied(tick: Tick) -> Decision | None:
    """The primary has this revision already, the status does not say so: the controller died between the two."""
    primary = tick.facts.primary
    copied = primary is not None and tick.revision == tick.state.applied == primary_revision(primary)
    return start_promotion(tick, ()) if copied else None


def supersede(tick: Tick) -> Decision | None:
    """A newer revision that must not be started: its pods get no traffic, nobody has judged them."""
    if not tick.moved_on or tick.state.routes == Routes() or tick.must_keep_traffic:
        return None
    if not suspension(tick) and not unsupported_problem(tick):
        return None
    event = Event(f"New revision detected, routing all traffic to {tick.primary_label}", "Warning")
    state = replace(tick.state, routes=Routes(), iterations=0)
    return settle(tick, Reason.SUPERSEDED, state, events=(event,), requeue_after=0.0)


def restart(tick: Tick) -> Decision | None:
    """A newer revision: what was measured says nothing about it."""
    if not tick.moved_on:
        return None
    event = Event(f"New revision detected! Restarting analysis for {tick.target_label}")
    return begin(tick, Reason.RESTARTED, (event,))


def obey_abort(tick: Tick) -> Decision | None:
    """Until it is done: a primary that serves nothing lets no rollback happen."""
    if not tick.state.aborted:
        return None
    return roll_back(tick, Reason.ABORTED, f"Rolling back {tick.canary_label} aborted by {tick.state.aborted}")


def restart_outgrown(tick: Tick) -> Decision | None:
    """The analysis was edited, and the canary has traffic that this analysis would not have given it by now."""
    if fits(tick.analysis, tick.state.routes, tick.state.iterations) or tick.must_keep_traffic:
        return None
    message = f"Analysis of {tick.canary_label} changed! Restarting analysis for {tick.target_label}"
    return begin(tick, Reason.ANALYSIS_CHANGED, (Event(message),))


def restore_pods(tick: Tick) -> Decision | None:
    """Where the canary's pods were removed its traffic goes first, and the steps start over with new pods."""
    replicas = scale_up(tick)
    if replicas is None:
        return None
    state = replace(tick.state, routes=Routes(), iterations=0)
    if leaving := as_workload(tick.target).leaving:
        waiting = f"{tick.canary_words} not ready: waiting for {leaving} old pods to end"
        state, replicas = replace(state, message=waiting), None
    return settle(tick, Reason.CANARY_SCALED_TO_ZERO, state, scale_to=replicas, requeue_after=tick.interval)


def skip_analysis(tick: Tick) -> Decision | None:
    """A promotion without an analysis. Where one was refused, a canary with traffic is judged before the next try."""
    events = _skips(tick)
    refused_before = tick.state.stalled_since is not None and tick.state.reason not in WAITS
    if events is None or find_wait(tick) is not None or (refused_before and tick.state.routes != Routes()):
        return None
    return start_promotion(tick, events)


def _skips(tick: Tick) -> tuple[Event, ...] | None:
    """What to tell where the spec, a person, or that the primary has run the revision lately asks for no analysis."""
    known = next((each for each in tick.former if each.revision == tick.state.applied), None)
    if known is not None:
        told = f"Analysis of {tick.target_label} skipped: {tick.primary_label} ran this revision until"
        return (Event(f"{told} {known.until:%Y-%m-%dT%H:%M:%SZ}"),)
    return () if tick.canary.spec.skip_analysis or tick.told(Verb.PROMOTE_FULLY) else None


def obey_rollback_hooks(tick: Tick) -> Decision | Measure | None:
    """A rollback hook that *succeeds* asks for a rollback (Flagger)."""
    for probe in tick.hooks(HookType.ROLLBACK, tick.state.phase):
        result = tick.observation.results.get(probe.key)
        if result is None:
            return tick.waiting_for(probe)
        if isinstance(result, Passed):
            events = (Event(f"Rollback check {probe.webhook.name} passed", "Warning"),)
            message = f"Rolling back {tick.canary_label} manual webhook invoked"
            return roll_back(tick, Reason.ROLLBACK_REQUESTED, message, events)
    return None


def analyse(tick: Tick) -> Decision | Measure:
    """One timed step: the checks that are due, then more traffic or a promotion, or a failed check."""
    if tick.state.routes == Routes() and tick.state.iterations == 0:
        return _first_step(tick)
    answers = tick.ask(HookType.ROLLOUT)
    if isinstance(answers, Measure):
        return answers
    if (no := refused(answers)) and not isinstance(no[1], Pending):
        halt = f"Halt {tick.canary_label} advancement external check {no[0].name} failed {no[1].reason}"
        return fail_check(replace(tick, state=replace(tick.state, checks=())), (halt,))
    measured = measure(tick)
    if isinstance(measured, Measure):
        return measured
    decided = _judge(
        replace(
            tick,
            state=replace(tick.state, checks=measured.checks, evidence=measured.evidence, split=measured.split),
        ),
        measured,
    )
    if isinstance(decided, Measure):
        return decided
    rehearsed = (Event(f"Dry run of {tick.canary_label}: {check.detail}") for check in measured.rehearsed)
    return replace(decided, events=(*rehearsed, *decided.events))


def _judge(tick: Tick, measured: Measured) -> Decision | Measure:
    """Roll back, count a failed check, wait for first values, or advance."""
    if measured.harm:
        return roll_back(tick, Reason.CANARY_HARMFUL, f"Rolling back {tick.canary_label} {measured.harm[0].detail}")
    failures = [check for check in measured.failures if check not in measured.awaited]
    if failures:
        return fail_check(tick, tuple(_halt(tick, check) for check in failures))
    if measured.failures:
        return _wait_quietly(tick, Reason.VALUES_MISSING, f"the first values of {measured.failures[0].name}")
    if tick.state.failed_checks >= tick.analysis.failure_threshold:  # a rollback that had to wait for the primary
        message = f"Rolling back {tick.canary_label} failed checks threshold reached {tick.state.failed_checks}"
        return roll_back(tick, Reason.CHECKS_FAILED, message)
    if tick.hanging:
        return _wait_quietly(tick, Reason.HOOK_PENDING, f"the answer of {tick.hanging}")
    return _advance(tick, (), "; ".join(_remarks(tick, measured)))


def _remarks(tick: Tick, measured: Measured) -> Iterator[str]:
    """What somebody should know about the traffic.

    A side may have counted nothing at the first three looks: a load test starts with the first, Prometheus sees it by
    the second, and a primary's pod counts from its second reading. Looks may come faster than scrapes.
    """
    begun = tick.state.begun_at
    if begun is not None and (tick.facts.now - begun).total_seconds() > max(3 * tick.interval, SCRAPED_SECONDS):
        yield from (check.detail for check in measured.idle)
    if measured.split and measured.split.said and not measured.idle:  # a side without requests has no share either
        yield measured.split.said


def _wait_quietly(tick: Tick, reason: Reason, missing: str) -> Decision:
    """What is no failure yet: right after the first step a query has nothing to read, a webhook takes its time."""
    message = f"Waiting for {missing}"
    events = () if message == tick.state.message else (Event(message),)
    state = replace(tick.state, analysed_at=tick.facts.now, message=message)
    return settle(tick, reason, state, events=events, requeue_after=tick.interval)


def _first_step(tick: Tick) -> Decision | Measure:
    """The pre-rollout gates; no metric yet, since the canary has had no traffic."""
    answers = tick.ask(HookType.PRE_ROLLOUT)
    if isinstance(answers, Measure):
        return answers
    events = () if tick.state.analysed_at else (Event(f"Starting canary analysis for {tick.target_label}"),)
    if no := refused(answers):
        halt = f"Halt {tick.canary_label} advancement pre-rollout check {no[0].name} failed {no[1].reason}"
        return fail_check(tick, (halt,), events=events)
    before = baseline(tick)
    if isinstance(before, Measure):
        return before
    ready = replace(tick, state=replace(tick.state, evidence=before.evidence, split=before.split))
    if before.harm:
        return roll_back(
            ready, Reason.CANARY_HARMFUL, f"Rolling back {tick.canary_label} {before.harm[0].detail}", events
        )
    return _advance(ready, (*events, *passed(answers, "Pre-rollout check")))


def _halt(tick: Tick, check: Check) -> str:
    """Flagger's event for a failed check: it names the Canary only where there is a value."""
    return f"Halt {tick.canary_label + ' ' if check.value is not None else ''}advancement {check.detail}"


def _advance(tick: Tick, events: tuple[Event, ...], remark: str = "") -> Decision | Measure:
    """All checks passed: the next step of the strategy, once its gate is open; after the last one the promotion.

    ``remark`` is what somebody should know meanwhile.
    """
    if wait := find_wait(tick):
        return hold_for(replace(tick, state=replace(tick.state, analysed_at=tick.facts.now)), wait, events)
    if (skipped := _skips(tick)) is not None:
        return start_promotion(tick, (*events, *skipped))
    stalled = None if tick.primary_readiness.ready else tick.state.stalled_since
    if remark and remark not in tick.state.message:
        events = (*events, Event(remark, "Warning"))
    tick = replace(tick, state=replace(tick.state, message=remark, stalled_since=stalled))
    if late := await_routes(tick, events):
        return late
    state, proven = tick.state, tick.analysis.compares and not inconclusive(tick.canary, tick.state)
    step = _step_by_hand(tick) or next_step(tick.analysis, state.routes, state.iterations, proven=proven)
    if step is None or step.gate is HookType.CONFIRM_PROMOTION:
        reported = ask_to_promote(tick, events)
    elif step.gate is HookType.CONFIRM_TRAFFIC_INCREASE:
        reported = ask_for_traffic(tick, events)
    else:
        reported = events
    if isinstance(reported, Measure | Decision):
        return reported
    if step is None:
        return await_group(tick, events) or start_promotion(tick, reported)
    keep = tick.must_keep_traffic and step.routes.canary_weight < state.routes.canary_weight
    state = replace(
        state,
        routes=state.routes if keep else step.routes,
        iterations=step.iterations,
        analysed_at=tick.facts.now,
        begun_at=state.begun_at or tick.facts.now,
    )
    event = Event(step.announcement.format(canary=tick.canary_label))
    return settle(tick, Reason.ADVANCED, state, events=(*reported, event), requeue_after=tick.interval)


def _step_by_hand(tick: Tick) -> Step | None:
    if tick.instruction is None or tick.instruction.weight is None:
        return None
    weight = tick.instruction.weight
    return Step(Routes(weight), 0, f"Advance {{canary}} canary weight {weight}")
