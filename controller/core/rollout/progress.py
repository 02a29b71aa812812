"""A rollout under way: wait for the canary, measure it, and give it the next share of the traffic."""

from __future__ import annotations

from dataclasses import replace

from controller.api.analysis import Strategy
from controller.api.status import Phase
from controller.api.webhook import HookType
from controller.core.analysis.checks import baseline, inconclusive, measure
from controller.core.model import Check, Decision, Event, Measure, Passed, Routes
from controller.core.objects.workload import Readiness, primary_revision
from controller.core.rollout.promotion import roll_back, start_promotion
from controller.core.rollout.start import begin, scale_up
from controller.core.rollout.strategies import next_weight
from controller.core.tick import Tick, hold, passed, refused, settle


def resume_copied(tick: Tick) -> Decision | None:
    """The primary has this revision already, the status does not say so: the controller died between the two."""
    primary = tick.facts.primary
    copied = primary is not None and tick.revision == tick.state.applied == primary_revision(primary)
    return start_promotion(tick, ()) if copied else None


def restart(tick: Tick) -> Decision | None:
    """A newer revision: what was measured says nothing about it."""
    if tick.revision == tick.state.applied:
        return None
    return begin(tick, (Event(f"New revision detected! Restarting analysis for {tick.target_label}"),))


def restart_outgrown(tick: Tick) -> Decision | None:
    """The analysis was edited, and the canary has traffic that this analysis would not have given it by now."""
    weight, iterations = tick.state.routes.canary_weight, tick.state.iterations
    match tick.analysis.strategy:
        case Strategy.WEIGHTED:
            outgrown = weight > tick.analysis.weight_limit or iterations > 0
        case Strategy.AB_TESTING:
            outgrown = False
        case Strategy.BLUE_GREEN:
            outgrown = weight > 0 and iterations != (tick.analysis.iterations or 0) + 1
    if not outgrown:
        return None
    return begin(
        tick, (Event(f"Analysis of {tick.canary_label} changed! Restarting analysis for {tick.target_label}"),)
    )


def restore_pods(tick: Tick) -> Decision | None:
    """Where the canary's pods were taken away its traffic goes first, and the steps begin anew with new pods."""
    replicas = scale_up(tick)
    if replicas is None:
        return None
    assert tick.facts.target is not None  # noqa: S101  # the guards have looked
    without = replace(tick, state=replace(tick.state, routes=Routes(), iterations=0))
    if leaving := tick.facts.target.get("status", {}).get("replicas", 0):
        message = f"canary deployment {tick.target_label} not ready: waiting for {leaving} old pods to end"
        return hold(without, message, requeue_after=tick.interval)
    return settle(without, without.state, scale_to=replicas, requeue_after=tick.interval)


def await_primary(tick: Tick) -> Decision | None:
    readiness = tick.primary_readiness
    if readiness.ready or tick.canary.spec.skip_analysis:
        return None
    return _await(tick, f"{tick.primary_label} not ready: {readiness.detail}", readiness)


def await_canary(tick: Tick) -> Decision | None:
    readiness = tick.canary_readiness
    if readiness.ready:
        return None
    return _await(tick, f"canary deployment {tick.target_label} not ready: {readiness.detail}", readiness)


def _await(tick: Tick, message: str, readiness: Readiness) -> Decision:
    if not readiness.expired:
        return hold(tick, message, requeue_after=tick.interval)
    return roll_back(tick, f"Rolling back {tick.canary_label} progress deadline exceeded {message}")


def skip_analysis(tick: Tick) -> Decision | None:
    return start_promotion(tick, ()) if tick.canary.spec.skip_analysis else None


def await_due(tick: Tick) -> Decision | None:
    """Between two timed steps only drift is mended."""
    return settle(tick, tick.state, requeue_after=tick.until_due) if tick.until_due > 0 else None


def obey_rollback_hooks(tick: Tick) -> Decision | Measure | None:
    """A rollback hook that *succeeds* asks for a rollback (Flagger)."""
    for probe in tick.hooks(HookType.ROLLBACK, tick.state.phase):
        result = tick.observation.results.get(probe.key)
        if result is None:
            return Measure((probe,))
        if isinstance(result, Passed):
            events = (Event(f"Rollback check {probe.webhook.name} passed", "Warning"),)
            return roll_back(tick, f"Rolling back {tick.canary_label} manual webhook invoked", events)
    return None


def analyse(tick: Tick) -> Decision | Measure:
    """One timed step: the checks that are due, then more traffic or a promotion, or a failed check."""
    if tick.state.routes == Routes() and tick.state.iterations == 0:
        return _first_step(tick)
    answers = tick.ask(HookType.ROLLOUT)
    if isinstance(answers, Measure):
        return answers
    if no := refused(answers):
        halt = f"Halt {tick.canary_label} advancement external check {no[0].name} failed {no[1].reason}"
        return _fail(replace(tick, state=replace(tick.state, checks=())), (halt,))
    measured = measure(tick)
    if isinstance(measured, Measure):
        return measured
    seen = replace(tick, state=replace(tick.state, checks=measured.checks, evidence=measured.evidence))
    if measured.harm:
        return roll_back(seen, f"Rolling back {tick.canary_label} {measured.harm[0].detail}")
    failures = tuple(_halt(tick, check) for check in measured.failures)
    return _fail(seen, failures) if failures else _advance(seen, ())


def _first_step(tick: Tick) -> Decision | Measure:
    """The pre-rollout gates; no metric yet, since the canary has had no traffic."""
    answers = tick.ask(HookType.PRE_ROLLOUT)
    if isinstance(answers, Measure):
        return answers
    events = () if tick.state.analysed_at else (Event(f"Starting canary analysis for {tick.target_label}"),)
    if no := refused(answers):
        halt = f"Halt {tick.canary_label} advancement pre-rollout check {no[0].name} failed {no[1].reason}"
        return _fail(tick, (halt,), events=events)
    before = baseline(tick)
    if isinstance(before, Measure):
        return before
    ready = replace(tick, state=replace(tick.state, evidence=before.evidence))
    if before.harm:
        return roll_back(ready, f"Rolling back {tick.canary_label} {before.harm[0].detail}", events)
    return _advance(ready, (*events, *passed(answers, "Pre-rollout check")))


def _halt(tick: Tick, check: Check) -> str:
    """Flagger's event for a failed check: a value is told with the Canary's name, the lack of one without."""
    return f"Halt {tick.canary_label + ' ' if check.value is not None else ''}advancement {check.detail}"


def _fail(tick: Tick, reasons: tuple[str, ...], events: tuple[Event, ...] = ()) -> Decision:
    """One more failed check, however many metrics failed; at the threshold the rollout is over."""
    failed = tick.state.failed_checks + 1
    halted = replace(tick.state, failed_checks=failed, analysed_at=tick.facts.now, message=reasons[0])
    told = (*events, *(Event(reason, "Warning") for reason in reasons))
    if failed >= tick.analysis.failure_threshold:
        reason = f"Rolling back {tick.canary_label} failed checks threshold reached {failed}"
        return roll_back(replace(tick, state=halted), reason, told, detail=reasons[0])
    return settle(tick, halted, events=told, requeue_after=tick.interval)


def _advance(tick: Tick, events: tuple[Event, ...]) -> Decision | Measure:
    """All checks passed: the next step of the strategy."""
    passing = replace(tick, state=replace(tick.state, message=""))
    match tick.analysis.strategy:
        case Strategy.WEIGHTED:
            return _advance_weight(passing, events)
        case Strategy.AB_TESTING:
            return _advance_iteration(passing, events, Routes(100))
        case Strategy.BLUE_GREEN:
            return _advance_blue_green(passing, events)


def _advance_weight(tick: Tick, events: tuple[Event, ...]) -> Decision | Measure:
    routes = tick.state.routes
    proven = tick.analysis.compares and not inconclusive(tick)
    weight = next_weight(tick.analysis, routes.canary_weight, proven=proven)
    if weight is None:
        return _confirm_promotion(tick, events)
    answers = tick.ask(HookType.CONFIRM_TRAFFIC_INCREASE)
    if isinstance(answers, Measure):
        return answers
    told = (*events, *passed(answers, "Confirm-traffic-increase check"))
    if no := refused(answers):
        return _wait(tick, Phase.PROGRESSING, f"traffic increase approval {no[0].name}", told)
    if tick.analysis.mirror and routes == Routes():
        return _step(tick, Routes(mirrored=True), (*told, Event(f"Mirroring traffic to {tick.canary_label}")))
    return _step(tick, Routes(weight), (*told, Event(f"Advance {tick.canary_label} canary weight {weight}")))


def _advance_iteration(tick: Tick, events: tuple[Event, ...], routes: Routes) -> Decision | Measure:
    """A round at ``routes``; after the last one the promotion."""
    done, wanted = tick.state.iterations, tick.analysis.iterations or 0
    if done >= wanted:
        return _confirm_promotion(tick, events)
    told = (*events, Event(f"Advance {tick.canary_label} canary iteration {done + 1}/{wanted}"))
    return _step(tick, routes, told, iterations=done + 1)


def _advance_blue_green(tick: Tick, events: tuple[Event, ...]) -> Decision | Measure:
    """Rounds without users on the canary, then a gate, one round with all of them, a gate again (Flagger)."""
    done, wanted = tick.state.iterations, tick.analysis.iterations or 0
    if done != wanted:
        return _advance_iteration(tick, events, Routes(mirrored=tick.analysis.mirror))
    told = _ask_to_promote(tick, events)
    if isinstance(told, Measure | Decision):
        return told
    stop = "Stop traffic mirroring and route" if tick.state.routes.mirrored else "Routing"
    return _step(tick, Routes(100), (*told, Event(f"{stop} all traffic to canary")), iterations=done + 1)


def _confirm_promotion(tick: Tick, events: tuple[Event, ...]) -> Decision | Measure:
    told = _ask_to_promote(tick, events)
    return told if isinstance(told, Measure | Decision) else start_promotion(tick, told)


def _ask_to_promote(tick: Tick, events: tuple[Event, ...]) -> Decision | Measure | tuple[Event, ...]:
    """``events`` and those of the gates, once every comparison has passed and all gates are open.

    What no comparison could tell counts as a failed check, or is told to the person who opens the gate.
    """
    reasons = tuple(f"Halt {tick.canary_label} advancement {unproven}" for unproven in inconclusive(tick))
    if reasons and tick.analysis.on_inconclusive != "gate":
        return _fail(tick, reasons, events)
    events = (*events, *(Event(reason, "Warning") for reason in reasons))
    answers = tick.ask(HookType.CONFIRM_PROMOTION)
    if isinstance(answers, Measure):
        return answers
    told = (*events, *passed(answers, "Confirm-promotion check"))
    if no := refused(answers):
        return _wait(tick, Phase.WAITING_PROMOTION, f"promotion approval {no[0].name}", told)
    return told


def _wait(tick: Tick, phase: Phase, gate: str, events: tuple[Event, ...]) -> Decision:
    """A person has to say yes. The traffic stays where it is, and this counts as no failure."""
    message = f"Halt {tick.canary_label} advancement waiting for {gate}"
    state = replace(tick.state, phase=phase, analysed_at=tick.facts.now, message=message)
    return settle(tick, state, events=(*events, Event(message, "Warning")), requeue_after=tick.interval)


def _step(tick: Tick, routes: Routes, events: tuple[Event, ...], *, iterations: int | None = None) -> Decision:
    state = replace(
        tick.state,
        phase=Phase.PROGRESSING,
        routes=routes,
        iterations=tick.state.iterations if iterations is None else iterations,
        analysed_at=tick.facts.now,
    )
    return settle(tick, state, events=events, requeue_after=tick.interval)
