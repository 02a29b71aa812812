"""Groups: rollouts of a group's Canaries that are in analysis at the same time end together (``spec.group``).

None is promoted before all have done their steps. Once one is promoted the others follow without another look; once
one is rolled back so are they. It is all read from their statuses: whoever waits with `Reason.WAITING_FOR_GROUP` has
done its steps, and what ended since a rollout began ended beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from controller.api.status import Phase
from controller.core.decision import Decision, Event
from controller.core.model import Facts, Member, State
from controller.core.rollout.phases import ANALYSIS, Reason
from controller.core.rollout.promotion import start_promotion
from controller.core.rollout.rollback import roll_back
from controller.core.rollout.settle import settle
from controller.core.rollout.waits import find_wait
from controller.core.tick import Tick

_PROMOTED = (Phase.PROMOTING, Phase.FINALISING, Phase.SUCCEEDED)


class Say(Enum):
    """What the others mean for a rollout in analysis."""

    NOTHING = "nothing"
    WAIT = "wait"
    PROMOTE = "promote"
    ROLL_BACK = "roll back"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a group says, and who."""

    say: Say
    members: tuple[Member, ...] = ()

    def named(self, tick: Tick) -> str:
        """As in ``cart.prod, search.prod of group shop``."""
        names = ", ".join(f"{member.name}.{tick.canary.namespace}" for member in self.members)
        return f"{names} of group {tick.canary.spec.group}"


def judge_group(state: State, members: Sequence[Member]) -> Verdict:
    """What the others of the group say to a Canary in this state."""
    if state.phase not in ANALYSIS or state.started_at is None:
        return Verdict(Say.NOTHING)
    began = state.started_at.replace(microsecond=0)  # as precise as the times of the others
    ended = [member for member in members if member.moved_at is not None and member.moved_at >= began]
    failed = tuple(member for member in ended if member.phase is Phase.FAILED and not member.promoted)
    if failed:
        return Verdict(Say.ROLL_BACK, failed)
    ahead = tuple(member for member in ended if member.phase in _PROMOTED)
    if ahead and state.reason == Reason.WAITING_FOR_GROUP:
        return Verdict(Say.PROMOTE, ahead)
    behind = tuple(member for member in members if member.phase in ANALYSIS and not member.done)
    return Verdict(Say.WAIT, behind) if behind else Verdict(Say.NOTHING)


def of_group(tick: Tick) -> Verdict:
    return judge_group(tick.state, tick.facts.members)


def fail_with_group(tick: Tick) -> Decision | None:
    """Its own pods may be well: what they were tried with is not."""
    verdict = of_group(tick)
    if verdict.say is not Say.ROLL_BACK:
        return None
    message = f"Rolling back {tick.canary_label} with {verdict.named(tick)}"
    return roll_back(tick, Reason.GROUP_FAILED, message)


def promote_with_group(tick: Tick) -> Decision | None:
    """It has done its steps, and one that waited for it is being promoted."""
    verdict = of_group(tick)
    if verdict.say is not Say.PROMOTE or find_wait(tick) is not None:
        return None
    return start_promotion(tick, (Event(f"Promoting {tick.canary_label} with {verdict.named(tick)}"),))


def await_group(tick: Tick, events: tuple[Event, ...]) -> Decision | None:
    """The steps are done and the gates are open, but others of the group are not there yet. The checks go on."""
    verdict = of_group(tick)
    if verdict.say is not Say.WAIT:
        return None
    message = f"Waiting for {verdict.named(tick)}"
    told = () if tick.state.reason == Reason.WAITING_FOR_GROUP else (Event(message),)
    state = replace(tick.state, analysed_at=tick.facts.now, message=message)
    return settle(tick, Reason.WAITING_FOR_GROUP, state, events=(*events, *told), requeue_after=tick.interval)


def member_of(name: str, state: State) -> Member:
    """What a state, or what is known of one, means to others of the group."""
    return Member(
        name,
        state.phase,
        done=state.reason == Reason.WAITING_FOR_GROUP,
        moved_at=state.transitioned_at,
        promoted=state.applied == state.promoted,
    )


def says_the_same(state: State, before: Facts, now: Facts) -> bool:
    """Whether the group still says what was decided on."""
    return judge_group(state, before.members).say is judge_group(state, now.members).say
