"""When the rollout of a new revision may begin: after those that it depends on, and when there is a place for it.

Only the start waits, and the Canary stays in its phase. What is under way is never held up, and neither is a way back
or out: a revision that the primary has run within ``rollbackWindow``, or a primary that serves nothing.

Places are given to those who have waited longest, then by name, by what the statuses say alone: after a restart the
order is the same. Who waits for a place in a full namespace keeps none from those behind.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from controller.api.status import CanaryStatus, Phase
from controller.core.decision import Decision, Event
from controller.core.model import Facts, Observation, Options, Peer, State
from controller.core.objects.dependencies import circle_problem
from controller.core.rollout.phases import UNDER_WAY, Reason
from controller.core.rollout.settle import settle
from controller.core.tick import Tick

TOGETHER_SECONDS = 5.0
"""So long a new revision waits for those of the Canaries that it depends on: they may be applied just after it."""
NAMES_AT_MOST = 5
"""In a message."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a rollout may not begin, and the seconds until that has to be looked at again; None: when others change."""

    reason: Reason
    message: str
    again: float | None = None


def await_turn(tick: Tick) -> Decision | None:
    """A new revision starts after those that it depends on, and when there is a place for it."""
    hold = find_hold(tick)
    if hold is None:
        return None
    events = () if tick.state.reason == hold.reason else (Event(hold.message),)
    state = replace(tick.state, queued_since=tick.state.queued_since or tick.facts.now, message=hold.message)
    return settle(tick, hold.reason, state, events=events, requeue_after=hold.again)


def find_hold(tick: Tick) -> Hold | None:
    """What the start of a rollout has to wait for."""
    facts, state = tick.facts, tick.state
    if not tick.primary_serves or any(each.revision == tick.revision for each in tick.former):
        return None
    if problem := broken_dependencies(facts) or _unsettled(facts):
        return Hold(Reason.DEPENDENCY_NOT_READY, problem)
    since = state.queued_since or facts.now
    left = TOGETHER_SECONDS - (facts.now - since).total_seconds()
    if facts.dependencies and left > 0:
        first = f"waiting {TOGETHER_SECONDS:g}s for new revisions of {_named(facts.dependencies)} of spec.dependsOn"
        return Hold(Reason.DEPENDENCY_NOT_READY, first, left)
    own = Peer(facts.canary.namespace, facts.canary.name, state.phase, since)
    if problem := crowd_problem(own, facts.peers, facts.options):
        known = state.reason == Reason.WAITING_FOR_TURN and state.queued_since
        # A place may have become free before anybody knew that this Canary waits for one.
        return Hold(Reason.WAITING_FOR_TURN, problem, None if known else 0.0)
    return None


def begins(before: State, after: State) -> bool:
    """Whether a rollout of a new revision begins between these states."""
    return before.phase not in UNDER_WAY and after.phase is Phase.PROGRESSING


def may_begin(state: State, facts: Facts) -> bool:
    """Whether a rollout that was decided on may still begin, by what is known of the others now."""
    return find_hold(Tick(state, Observation(facts))) is None


def broken_dependencies(facts: Facts) -> str:
    """Which of ``spec.dependsOn`` can never be waited for to the end; empty when there is none."""
    missing = [key for key, peer in facts.dependencies.items() if peer is None]
    return circle_problem(facts.circle) or (f"{_named(missing)} of spec.dependsOn not found" if missing else "")


def _unsettled(facts: Facts) -> str:
    waits = [
        f"{key} ({_standing(peer)})"
        for key, peer in facts.dependencies.items()
        if peer is not None and not peer.settled
    ]
    return f"waiting for {_named(waits)} of spec.dependsOn" if waits else ""


def _standing(peer: Peer) -> str:
    rests = peer.phase in (Phase.INITIALIZED, Phase.SUCCEEDED)
    return "has a new revision" if rests else (peer.phase or "New")


def crowd_problem(own: Peer, others: Sequence[Peer], options: Options) -> str:
    """Which rollouts take the places that ``own`` could have, with those that come first; empty if one is left."""
    taken = [peer for peer in others if peer.phase in UNDER_WAY]
    for peer in sorted((peer for peer in others if _order(peer) < _order(own)), key=_order):
        if peer.phase not in UNDER_WAY and not _full(taken, peer.namespace, options):
            taken.append(peer)
    return _full(taken, own.namespace, options)


def _order(peer: Peer) -> tuple[float, str, str]:
    return peer.queued_since.timestamp() if peer.queued_since else math.inf, peer.namespace, peer.name


def _full(taken: Sequence[Peer], namespace: str, options: Options) -> str:
    here = [peer for peer in taken if peer.namespace == namespace]
    limits = (
        (options.max_rollouts, taken, ""),
        (options.max_rollouts_per_namespace, here, f" in namespace {namespace}"),
    )
    for limit, found, where in limits:
        if limit and len(found) >= limit:
            names = sorted(peer.label for peer in found)
            return f"waiting for its turn: {len(found)} of {limit} rollouts in progress{where}: {_listed(names)}"
    return ""


def _named(keys: Iterable[str]) -> str:
    return f"Canary {_listed(list(keys))}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMES_AT_MOST
    return ", ".join(names[:NAMES_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def is_settled(status: CanaryStatus, revision: str) -> bool:
    """Whether the primary runs what the target asks for, which is ``revision``, and nothing is under way."""
    rests = status.phase in (Phase.INITIALIZED, Phase.SUCCEEDED)
    return rests and revision == status.last_applied_spec == status.last_promoted_spec


def in_line(status: CanaryStatus) -> bool:
    """Whether it waits for a place, which is all that it lacks."""
    return status.queued_since is not None and status.reason == Reason.WAITING_FOR_TURN
