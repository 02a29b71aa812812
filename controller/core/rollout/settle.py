"""How a decision is put together: the next phase from what happened, and the actions that lead to the next state."""

from __future__ import annotations

from dataclasses import replace

from controller.api.status import Phase
from controller.core.model import (
    Action,
    Decision,
    EnsureApex,
    EnsureAutoscaler,
    EnsurePrimary,
    EnsureServices,
    Event,
    HookProbe,
    PromoteSpec,
    ScaleTarget,
    SetRoutes,
    State,
)
from controller.core.rollout.phases import HOLDS, Reason, next_phase
from controller.core.tick import Tick


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

    The routes are always those of ``state`` (ADR 3), so status and VirtualService cannot disagree, and drift is undone
    by the next tick, whatever that decides.

    ``reason`` says what happened or what is waited for (None: nothing new); phase and reason of ``state`` follow from
    it. The rest is as in `Decision`.

    Raises:
        IllegalTransition: ``reason`` cannot happen in this phase.
    """
    state = stamp(tick, reason, state)
    actions: list[Action] = [EnsureServices()]
    if promote:
        actions += [PromoteSpec(tick.revision), EnsureAutoscaler(resync=True)]
    else:
        actions += [EnsurePrimary(tick.revision), EnsureAutoscaler(resync=state.phase is Phase.PROMOTING)]
    if state.phase is not Phase.INITIALIZING:
        actions += [EnsureApex(), SetRoutes(state.routes)]
    if scale_to is not None:
        actions.append(ScaleTarget(scale_to))
    return Decision(state, tuple(actions), events, hooks, requeue_after)


def stamp(tick: Tick, reason: Reason | None, state: State) -> State:
    """``state`` with the phase that follows from ``reason``, and the time of the change.

    Raises:
        IllegalTransition: ``reason`` cannot happen in this phase.
    """
    before = tick.state
    if reason is None:
        over = not state.message and before.reason in HOLDS
        return replace(state, phase=before.phase, reason="" if over else before.reason)
    phase = next_phase(before.phase, reason)
    changed_at = before.transitioned_at if phase is before.phase else tick.facts.now
    return replace(state, phase=phase, reason=reason.value, transitioned_at=changed_at)


def hold(tick: Tick, reason: Reason, message: str, *, requeue_after: float | None = None) -> Decision:
    """Stay in this phase; ``message`` says why, in an event too when it is new."""
    state = replace(tick.state, message=message)
    return settle(tick, reason, state, events=warn_once(tick, message), requeue_after=requeue_after)


def hands_off(tick: Tick, reason: Reason, message: str) -> Decision:
    """Touch nothing at all; ``message`` says why, in an event too when it is new."""
    state = replace(tick.state, message=message)
    return Decision(stamp(tick, reason, state), events=warn_once(tick, message))


def warn_once(tick: Tick, message: str) -> tuple[Event, ...]:
    return (Event(message, "Warning"),) if message and message != tick.state.message else ()
