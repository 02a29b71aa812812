"""How a decision is put together: the next phase from what happened, and the actions that lead to the next state."""

from __future__ import annotations

from dataclasses import replace

from controller.api.receipt import Receipt
from controller.api.status import Phase
from controller.core.decision import (
    Action,
    Decision,
    EnsureApex,
    EnsureAutoscaler,
    EnsurePrimary,
    EnsureServices,
    Event,
    PromoteSpec,
    RemoveLeftovers,
    ScaleTarget,
    SetRoutes,
)
from controller.core.model import Routes, State
from controller.core.objects.affinity import next_cookies
from controller.core.objects.leftovers import SETTLE_SECONDS, leftovers
from controller.core.objects.ownership import newly_adopted
from controller.core.objects.promoted import lost_copies, record_primary
from controller.core.objects.workload import primary_revision
from controller.core.probes import HookProbe
from controller.core.rollout.phases import ANALYSIS, HOLDS, TURNS, Reason, next_phase
from controller.core.tick import Tick

_MOVING = (Phase.INITIALIZING, Phase.PROMOTING, Phase.FINALISING)
"""Phases in which pods or traffic are on their way to a primary: what it has replaced may still be in use."""
_ON_TWO_SIDES = (*ANALYSIS, Phase.PROMOTING, Phase.FINALISING)
"""Phases in which the canary serves, or has served until now, so that the primary has less to do than it will have."""
_UNDER_WAY = (Phase.PROGRESSING, Phase.WAITING_PROMOTION, Phase.PROMOTING)


def settle(
    tick: Tick,
    reason: Reason | None,
    state: State,
    *,
    events: tuple[Event, ...] = (),
    promote: bool = False,
    scale_to: int | None = None,
    hooks: tuple[HookProbe, ...] = (),
    requeue_after: float | None = None,
) -> Decision:
    """The decision that leads to ``state``: objects, promotion, routes, scale, in an order that loses no request.

    Before the canary gets more traffic all objects are written. Otherwise the routes come first, and what else cannot
    be written does not keep the state from being remembered: a rollback, or a failed check.

    A promotion is remembered before it is done, and only if the API server accepts all of it: config copies of one
    revision and a primary of another never stay, whatever is refused and wherever the controller dies.

    The routes are always those of ``state`` (ADR 3), so status and VirtualService cannot disagree, and drift is undone
    by the next tick, whatever that decides.

    ``reason`` says what happened or what is waited for (None: nothing new); phase and reason of ``state`` follow from
    it. The rest is as in `Decision`.

    Raises:
        IllegalTransition: ``reason`` cannot happen in this phase.
    """
    if (lost := lost_configs(tick, state)) and not promote and not state.message:
        reason, state, events = (
            reason or Reason.CONFIG_LOST,
            replace(state, message=lost),
            (*events, *warn_once(tick, lost)),
        )
    state = _with_record(tick, stamp(tick, reason, state))
    state = replace(state, cookies=next_cookies(tick.canary, state))
    objects: list[Action] = [EnsureServices(), EnsurePrimary(tick.entitled(state), state.record)]
    if tick.facts.primary is None and state.promoted:
        objects.reverse()  # a primary that was deleted comes back first: the ports of its Services are its own
    floor = state.capacity if state.phase in _ON_TWO_SIDES or state.scale_down else 0
    objects.append(EnsureAutoscaler(state.phase is Phase.PROMOTING, floor))
    routes: list[Action] = [SetRoutes(state.routes, state.cookies)]
    if state.phase is Phase.INITIALIZING:
        routes = []
    else:
        objects.append(EnsureApex())
        events = (*_adoption_events(tick), *events)
    scale: list[Action] = [] if scale_to is None else [ScaleTarget(scale_to)]
    leaving: list[Action] = []
    if leftovers(tick.facts) and state.phase not in _MOVING:
        requeue_after = SETTLE_SECONDS if requeue_after is None else min(requeue_after, SETTLE_SECONDS)
        leaving = [RemoveLeftovers()] if _is_settled(tick, state) else []
    if promote:
        accepted = (EnsureServices(), PromoteSpec(tick.revision, dry_run=True), *routes)
        copies = (PromoteSpec(tick.revision), EnsureAutoscaler(True, floor), EnsureApex())
        return Decision(state, accepted, events, hooks, requeue_after, upkeep=(*copies, *leaving))
    if _gives_more(tick.state, state):
        return Decision(state, (*objects, *routes, *scale, *leaving), events, hooks, requeue_after)
    return Decision(state, (*routes, *scale), events, hooks, requeue_after, upkeep=(*objects, *leaving))


def _with_record(tick: Tick, state: State) -> State:
    """``state`` with the primary recorded, once it is seen running what it is entitled to; see ADR 4.

    A primary that another controller made says nothing about its revision: it is taken as it is found.
    """
    primary, revision = tick.facts.primary, tick.entitled(state)
    if primary is None or (state.record is not None and state.record["revision"] == revision):
        return state
    runs = primary_revision(primary)
    found = not runs and state.record is None and state.phase not in _MOVING
    known = runs == revision or found
    return replace(state, record=record_primary(primary, tick.facts, revision)) if known else state


def lost_configs(tick: Tick, state: State) -> str:
    """Which config copies of the primary are lost; its pods may not start any more, or start as nobody has judged."""
    record = state.record
    known = record is not None and record["revision"] == tick.entitled(state)
    return "; ".join(lost_copies(tick.facts, record)) if record is not None and known else ""


def _gives_more(before: State, after: State) -> bool:
    """Whether the objects have to be there before the state is true: traffic follows, or nothing had any so far."""
    more = after.routes.canary_weight > before.routes.canary_weight or (
        after.routes.mirrored and before.routes == Routes()
    )
    return more or before.phase not in _UNDER_WAY


def _is_settled(tick: Tick, state: State) -> bool:
    """Whether pods and traffic have been where they belong for long enough that nothing former is in use."""
    since = tick.state.transitioned_at
    rested = since is None or (tick.facts.now - since).total_seconds() >= SETTLE_SECONDS
    return rested and state.phase is tick.state.phase and tick.primary_readiness.ready


def _adoption_events(tick: Tick) -> tuple[Event, ...]:
    return tuple(
        Event(f"Adopting {live['kind']} {live['metadata']['name']}.{tick.canary.namespace}, which existed before")
        for live in newly_adopted(tick.canary, tick.facts.generated.values())
    )


def stamp(tick: Tick, reason: Reason | None, state: State) -> State:
    """``state`` with the phase that follows from ``reason``, and the time of the change.

    Raises:
        IllegalTransition: ``reason`` cannot happen in this phase.
    """
    before, state = tick.state, replace(state, revision=tick.known_revision)
    over = not state.message and before.reason in HOLDS
    named = ("" if over else before.reason) if reason is None else reason.value
    state = replace(
        state,
        receipt=_of(state.promoted, state.receipt),
        pending_receipt=_of(state.applied, state.pending_receipt),
    )
    if named not in TURNS or not tick.moved_on:
        state = replace(state, queued_since=None)
    if reason is None:
        return replace(state, phase=before.phase, reason=named)
    phase = next_phase(before.phase, reason)
    changed_at = before.transitioned_at if phase is before.phase else tick.facts.now
    if phase not in ANALYSIS or state.applied != before.applied:  # what was asked of a rollout ends with it
        state = replace(state, paused="", aborted="")
    frozen = state.frozen and phase is Phase.FAILED
    return replace(state, phase=phase, reason=named, transitioned_at=changed_at, frozen=frozen)


def _of(revision: str, receipt: Receipt | None) -> Receipt | None:
    """A receipt, unless it is of another revision."""
    return receipt if receipt is not None and receipt.revision == revision else None


def hold(tick: Tick, reason: Reason, message: str, *, requeue_after: float | None = None) -> Decision:
    """Stay in this phase; ``message`` says why, in a warning too when it is new."""
    state = replace(tick.state, message=message)
    return settle(tick, reason, state, events=warn_once(tick, message), requeue_after=requeue_after)


def hands_off(tick: Tick, reason: Reason, message: str, *, requeue_after: float | None = None) -> Decision:
    """Touch nothing at all; ``message`` says why, in an event too when it is new."""
    state = replace(tick.state, message=message)
    return Decision(stamp(tick, reason, state), events=warn_once(tick, message), requeue_after=requeue_after)


def warn_once(tick: Tick, message: str) -> tuple[Event, ...]:
    return (Event(message, "Warning"),) if message and message != tick.state.message else ()
