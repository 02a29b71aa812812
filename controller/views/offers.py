"""What a person can do with a rollout: what each action would do now, or why it is not possible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.api import Canary
from controller.api.instruction import Instruction, Verb
from controller.core.model import Facts, Observation, State
from controller.core.rollout.alerts import GATES
from controller.core.rollout.by_hand import obstacle
from controller.core.rollout.phases import ANALYSIS
from controller.core.rollout.strategies import next_step
from controller.core.status import state_from_status
from controller.core.tick import Tick

_LABELS = {
    Verb.APPROVE: "Approve",
    Verb.PROMOTE: "Next step",
    Verb.PROMOTE_FULLY: "Promote now",
    Verb.PAUSE: "Pause",
    Verb.RESUME: "Resume",
    Verb.ABORT: "Abort",
    Verb.RETRY: "Retry",
}

_EFFECTS = {
    Verb.APPROVE: "Opens {gates} once, so that the rollout goes on.",
    Verb.PROMOTE_FULLY: "Skips the rest of the analysis with its gates, and copies the canary to the primary.",
    Verb.PAUSE: "Keeps the canary at {weight}% of the traffic. A bad canary is still rolled back.",
    Verb.RESUME: "Lets the rollout go on where it is.",
    Verb.ABORT: "Sends all traffic to the primary and removes the canary's pods. The revision has failed then.",
    Verb.RETRY: "Starts the rollout of the failed revision again, from its first step.",
}
_UNFREEZE = "Removes the pods of the failed canary, which were kept for a look."


@dataclass(frozen=True, slots=True)
class Offer:
    """One action.

    Attributes:
        effect: what it would do now.
        obstacle: why it is not possible; empty if it is.
    """

    verb: Verb
    label: str
    effect: str
    obstacle: str


def find_offers(facts: Facts) -> Iterator[Offer]:
    """Every action but ``weight``, in the order in which they are shown.

    Of ``facts`` the Canary and the two workloads are read. The controller has the last word when it sees an action: by
    then the rollout may have moved.
    """
    tick = Tick(state_from_status(facts.canary), Observation(facts))
    for verb, label in _LABELS.items():
        yield Offer(verb, label, _effect(facts.canary, tick.state, verb), _obstacle(tick, verb))


def _obstacle(tick: Tick, verb: Verb) -> str:
    state = tick.state
    if not state.revision:
        return "the controller has not seen a revision yet"
    return obstacle(tick, Instruction(verb, state.revision, 1), moved_on=state.revision != state.applied)


def _effect(canary: Canary, state: State, verb: Verb) -> str:
    if verb is Verb.PROMOTE:
        return _step(canary, state)
    said = _UNFREEZE if verb is Verb.ABORT and state.frozen else _EFFECTS[verb]
    return said.format(gates=_gates(canary, state), weight=state.routes.canary_weight)


def _step(canary: Canary, state: State) -> str:
    """A rollout that waits for its promotion has no step left."""
    step = next_step(canary.spec.analysis, state.routes, state.iterations) if state.phase in ANALYSIS else None
    if step is None:
        return "Copies the canary to the primary, if the checks pass."
    routes = step.routes
    traffic = "a copy of the traffic" if routes.mirrored else f"{routes.canary_weight}% of the traffic"
    number = f", round {step.iterations}" if step.iterations else ""
    return f"Takes the next step now, if the checks pass: {traffic}{number}. Its gates count as open."


def _gates(canary: Canary, state: State) -> str:
    kind = GATES.get(state.reason)
    named = [hook.name for hook in canary.spec.analysis.webhooks if hook.hook_type is kind and not hook.url]
    return f"the gate {', '.join(named)}" if named else "the gate that the rollout waits for"
