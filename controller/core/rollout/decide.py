"""From what is remembered and seen to what is done: the whole order of the controller, a line a policy.

A policy looks at the tick and either decides, asks for a measurement, or lets the next one look. The first that does
not let pass ends the tick; the last of each phase always decides. This table is the place to change the order, and
says why each policy stands where it does; the policies say what they do. Their reasons decide the phase (`phases`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from controller.api.status import Phase
from controller.core.decision import Decision, Measure
from controller.core.model import Observation, State
from controller.core.rollout import (
    by_hand,
    failures,
    groups,
    guards,
    progress,
    promotion,
    rollback,
    termination,
    turns,
    waits,
)
from controller.core.rollout import start as idle
from controller.core.rollout.alerts import with_alerts
from controller.core.tick import Tick

Policy: TypeAlias = Callable[[Tick], Decision | Measure | None]

GUARDS: tuple[Policy, ...] = (
    guards.suspended,  # a person's word comes before anything that may be wrong
    guards.unsupported,  # what the spec asks for could not be done
    guards.forbidden,  # what the spec asks for belongs to others
    guards.contested,  # two Canaries must not write the same objects
    guards.targetless,  # everything below reads the target
    guards.unselectable,  # Services could not tell its pods from the primary's
    guards.foreign,  # what is written below must be this Canary's
    guards.overlapping,  # users must not be sent to the pods of another app
    guards.retargeted,  # what the status remembers is about another target
)

_INITIALISE: tuple[Policy, ...] = (
    waits.look_at_pods,  # what is said about readiness below has the pods' own reason
    idle.initialise,  # the first revision is the only one that becomes primary without a rollout
)
_IDLE: tuple[Policy, ...] = (
    failures.give_back,  # after a failed promotion the canary has the traffic
    idle.await_configs,  # the revision is not known before
    idle.take_over,  # another controller's revision says nothing below
    idle.resume_promotion,  # before `stay`: a failed promotion goes on without a new revision
    rollback.explain,  # before `drain`, while Prometheus knows the pods
    rollback.drain,  # before `stay`, which ends the tick
    idle.stay,  # no new revision: nothing below applies
    rollback.notice_revert,  # a revision that the primary runs needs no rollout
    rollback.refuse_start,  # before `await_start`: what is wanted no more is waited for no more
    promotion.protect_promotion,  # pods that nobody judged lose the traffic before anything is waited for
    waits.look_at_pods,  # what is said about readiness below has the pods' own reason
    idle.await_start,  # no gate is asked for a rollout that could not begin
    idle.await_gate,  # before `await_turn`: who waits for a person waits for no place
    turns.await_turn,  # before `start`: a gate that opens opens for a rollout that begins
    idle.start,
)
_PROGRESS: tuple[Policy, ...] = (
    idle.take_over,  # another controller's revision says nothing below
    progress.resume_copied,  # before `notice_revert`: the same revision on both sides is a promotion cut short
    rollback.notice_revert,  # before `restart`: a revert is a new revision too, but needs no rollout
    progress.supersede,  # before `restart`: a suspended Canary must not be restarted
    progress.restart,  # what was measured says nothing about a newer revision
    groups.fail_with_group,  # after `restart`: what has failed beside another revision says nothing about this one
    progress.obey_abort,  # after `restart`: it was meant for the former revision
    progress.restart_outgrown,  # after `restart`, which resets the traffic anyway
    rollback.drain,  # pods with other configs go before new ones start
    progress.restore_pods,  # before the waits: traffic leaves a canary without pods at once
    failures.give_back,  # before the waits, likewise: what is not there is not waited for with users on it
    waits.look_at_pods,  # what is said about readiness below has the pods' own reason
    waits.meet_deadline,  # before anything is waited for
    waits.await_start_of_traffic,  # with traffic the judgement goes on, whatever is waited for
    progress.skip_analysis,
    groups.promote_with_group,  # before `await_due`: the others are on their way
    waits.await_due,  # all below happens once an interval
    progress.obey_rollback_hooks,  # before the checks: a person's word needs no measurement
    progress.analyse,
)
_PROMOTE: tuple[Policy, ...] = (
    idle.take_over,  # another controller's revision says nothing below
    promotion.leave_untaken,  # all below is about a primary that has the revision, or takes it now
    promotion.protect_promotion,  # pods that nobody judged lose the traffic before anything is waited for
    failures.give_back,  # so do those that are not there
    waits.look_at_pods,  # what is said about readiness below has the pods' own reason
    promotion.await_promoted_primary,  # no traffic to a primary that does not run the revision
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
    # First of all: nothing that is wrong, nor anybody's word, keeps a Canary from being deleted.
    if (ended := termination.terminate(tick)) is not None:
        return ended
    heard = by_hand.hear(tick)
    if heard is None:
        return _follow(tick)
    outcome = _follow(by_hand.obeying(tick, heard))
    return outcome if isinstance(outcome, Measure) else by_hand.answer(tick, heard, outcome)


def _follow(tick: Tick) -> Measure | Decision:
    for policy in (*GUARDS, *POLICIES[tick.state.phase]):
        outcome = policy(tick)
        if isinstance(outcome, Decision):
            return with_alerts(tick, outcome)
        if outcome is not None:
            return outcome
    return Decision(tick.state)
