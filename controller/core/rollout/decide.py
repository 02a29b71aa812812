"""From what is remembered and seen to what is done: the whole order of the controller, a line a policy.

A policy looks at the tick and either decides, asks for a measurement, or lets the next one look. The first that does
not let pass ends the tick; the last of each phase always decides. This table is the place to change the order; the
policies say what and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from controller.api.status import Phase
from controller.core.model import Decision, Measure, Observation, State
from controller.core.rollout import guards, progress, promotion
from controller.core.rollout import start as idle
from controller.core.tick import Tick

Policy: TypeAlias = Callable[[Tick], Decision | Measure | None]

GUARDS: tuple[Policy, ...] = (
    guards.suspended,
    guards.unsupported,
    guards.rivalled,
    guards.targetless,
    guards.unselectable,
)

_INITIALISE: tuple[Policy, ...] = (idle.initialise,)
_IDLE: tuple[Policy, ...] = (
    idle.await_configs,
    idle.take_over,
    idle.resume_promotion,
    idle.stay,
    idle.notice_revert,
    promotion.protect_promotion,
    idle.await_start,
    idle.start,
)
_PROGRESS: tuple[Policy, ...] = (
    idle.await_configs,
    idle.take_over,
    progress.resume_copied,
    idle.notice_revert,
    progress.restart,
    progress.restart_outgrown,
    progress.restore_pods,
    progress.await_primary,
    progress.await_canary,
    progress.skip_analysis,
    progress.await_due,
    progress.obey_rollback_hooks,
    progress.analyse,
)
_PROMOTE: tuple[Policy, ...] = (
    idle.await_configs,
    idle.take_over,
    promotion.protect_promotion,
    promotion.await_promoted_primary,
    promotion.shift_to_primary,
)

POLICIES: Mapping[Phase, tuple[Policy, ...]] = {
    Phase.NEW: _INITIALISE,
    Phase.INITIALIZING: _INITIALISE,
    Phase.INITIALIZED: _IDLE,
    Phase.WAITING: _IDLE,
    Phase.PROGRESSING: _PROGRESS,
    Phase.WAITING_PROMOTION: _PROGRESS,
    Phase.PROMOTING: _PROMOTE,
    Phase.FINALISING: (promotion.finalise,),
    Phase.SUCCEEDED: _IDLE,
    Phase.FAILED: _IDLE,
    Phase.TERMINATING: (),
    Phase.TERMINATED: (),
}


def decide(state: State, observation: Observation) -> Measure | Decision:
    """What to do now, or what to measure before that can be said. Pure: the same input gives the same answer.

    Args:
        state: what the Canary's status remembers.
        observation: one snapshot of the cluster, and the answers to the probes asked for so far in this tick.
    """
    tick = Tick(state, observation)
    for policy in (*GUARDS, *POLICIES[state.phase]):
        outcome = policy(tick)
        if outcome is not None:
            return outcome
    return Decision(state)
