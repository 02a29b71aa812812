"""Steering by hand: what a person asks for in an annotation changes what is remembered, before the policies look at it.

An instruction acts at most once, in the tick that sees it: it is obeyed or refused, and the status remembers which,
together with everything else that the tick decides. What outlives the tick (a pause, an abort) is state like any
other, so that the policies, with all that they protect, stay the only ones that move traffic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from controller.api.analysis import Strategy
from controller.api.errors import shown
from controller.api.instruction import Instruction, Verb, parse_instruction
from controller.api.names import ACTION_ANNOTATION
from controller.api.status import Phase
from controller.core.decision import Decision, Event
from controller.core.model import Answered, Facts, Routes, State
from controller.core.objects.workload import UNKNOWN_REVISION
from controller.core.rollout.alerts import GATES
from controller.core.rollout.phases import ACTIONS, ANALYSIS, Reason
from controller.core.rollout.receipts import note_action
from controller.core.tick import Tick

_STEPS = (Reason.STARTED, Reason.ADVANCED, Reason.PROMOTION_STARTED)
"""What a step by hand leads to in the tick that obeys it; whatever else happens, it had no effect."""


def unanswered(facts: Facts, state: State) -> str:
    """The text of an instruction that nobody has answered yet, shortened as it is remembered; empty without one."""
    text = shown(facts.canary.metadata.annotations.get(ACTION_ANNOTATION, ""))
    return "" if state.answered is not None and text == state.answered.text else text


@dataclass(frozen=True, slots=True)
class Heard:
    """A new instruction: None where the text is not one; ``refused`` says why it is not obeyed."""

    asked: Instruction | None
    refused: str = ""


def hear(tick: Tick) -> Heard | None:
    """The instruction that came since the last tick."""
    if not unanswered(tick.facts, tick.state):
        return None
    asked = parse_instruction(tick.canary.metadata.annotations[ACTION_ANNOTATION])
    return Heard(None, asked) if isinstance(asked, str) else Heard(asked, _refusal(tick, asked))


def _refusal(tick: Tick, asked: Instruction) -> str:
    """Why this cannot be done now, in one sentence; empty if it can."""
    last = tick.state.answered
    if last is not None and asked.nonce <= last.nonce:
        return f"nonce {asked.nonce} is not above {last.nonce}, the last one that was used"
    if asked.revision != tick.known_revision:
        return f"it is for revision {asked.revision}, but {tick.target_label} has {tick.known_revision or 'none yet'}"
    return obstacle(tick, asked, moved_on=tick.moved_on)


def obstacle(tick: Tick, asked: Instruction, *, moved_on: bool) -> str:
    """Why this cannot be done now, whatever its revision and its nonce; empty if it can.

    ``moved_on`` says whether the target has another revision than the one applied.
    """
    phase = tick.state.phase
    if phase not in ACTIONS[asked.verb]:
        return f"not possible in phase {phase or 'New'}, only in {', '.join(sorted(ACTIONS[asked.verb]))}"
    if phase in ANALYSIS and moved_on:
        return f"the rollout of revision {asked.revision} has not begun yet"
    check = _CHECKS.get(asked.verb)
    return check(tick, asked) if check else ""


def _cannot_abort(tick: Tick, _: Instruction) -> str:
    if tick.state.phase is Phase.FAILED:
        return "" if tick.state.frozen else "the rollout is over"
    lost = tick.must_keep_traffic and tick.state.phase not in ANALYSIS
    return f"{tick.primary_label} serves nothing, so the canary keeps its traffic" if lost else ""


def _cannot_retry(tick: Tick, _: Instruction) -> str:
    promoted = tick.state.applied == tick.state.promoted
    return f"it was promoted; the rollout ends once {tick.primary_label} is ready" if promoted else ""


def _cannot_approve(tick: Tick, _: Instruction) -> str:
    gate = GATES.get(tick.state.reason)
    waits = gate is not None and any(not hook.webhook.url for hook in tick.hooks(gate, tick.state.phase))
    return "" if waits else "no gate without a URL is waited for"


def _cannot_resume(tick: Tick, _: Instruction) -> str:
    return "" if tick.state.paused else "it is not paused"


def _cannot_set_weight(tick: Tick, asked: Instruction) -> str:
    limit, weight = tick.analysis.weight_limit, asked.weight or 0
    if tick.analysis.strategy is not Strategy.WEIGHTED:
        return "the analysis has no weights, but iterations"
    if weight > limit:
        return f"weight {weight} is above {limit}, the highest that spec.analysis allows"
    if tick.must_keep_traffic and weight < tick.state.routes.canary_weight:
        return f"{tick.primary_label} serves nothing, so the canary keeps its traffic"
    return ""


_CHECKS: Mapping[Verb, Callable[[Tick, Instruction], str]] = {
    Verb.ABORT: _cannot_abort,
    Verb.RETRY: _cannot_retry,
    Verb.APPROVE: _cannot_approve,
    Verb.RESUME: _cannot_resume,
    Verb.WEIGHT: _cannot_set_weight,
}


def obeying(tick: Tick, heard: Heard) -> Tick:
    """The tick in which the policies decide, with what was asked for remembered."""
    asked, state, who = heard.asked, tick.state, _who(tick, heard.asked)
    if asked is None or heard.refused:
        return tick
    match asked.verb:
        case Verb.PAUSE:
            state = replace(state, paused=who)
        case Verb.RESUME:
            state = replace(state, paused="")
        case Verb.ABORT if state.frozen:
            state = replace(state, frozen=False, scale_down=True, quiet_since=None)
        case Verb.ABORT:
            state = replace(state, aborted=who)
        case Verb.RETRY:
            state = replace(state, applied=UNKNOWN_REVISION, message="")
        case Verb.WEIGHT if asked.weight is not None and asked.weight < state.routes.canary_weight:
            state = replace(state, routes=Routes(asked.weight))  # less traffic waits for no check
    return replace(tick, state=state, instruction=asked)


def answer(tick: Tick, heard: Heard, decision: Decision) -> Decision:
    """``decision``, with what became of the instruction in its status and an event."""
    asked, refused, who = heard.asked, heard.refused, _who(tick, heard.asked)
    if asked and not refused and not _had_effect(tick, asked, decision.state):
        refused = decision.state.message or f"what happened instead: {decision.state.reason}"
    if asked and not refused:
        decision = replace(decision, state=note_action(decision.state, asked, who))
    event = Event(f"Action {asked.verb} on {tick.canary_label} by {who}" if asked else f"Action on {tick.canary_label}")
    if refused:
        event = Event(f"{event.message} refused: {refused}", "Warning")
    nonces = (each.nonce for each in (asked, tick.state.answered) if each)
    answered = Answered(unanswered(tick.facts, tick.state), max(nonces, default=0), who, refused)
    return replace(decision, state=replace(decision.state, answered=answered), events=(event, *decision.events))


def _had_effect(tick: Tick, asked: Instruction, after: State) -> bool:
    match asked.verb:
        case Verb.PAUSE:
            return bool(after.paused)
        case Verb.ABORT:
            return bool(after.aborted) or after.phase is Phase.FAILED
        case Verb.WEIGHT:
            return after.routes.canary_weight == asked.weight
        case Verb.RESUME | Verb.RETRY:
            return True
    before = tick.state
    moved = (before.phase, before.routes, before.iterations) != (after.phase, after.routes, after.iterations)
    return moved and after.reason in _STEPS


def _who(tick: Tick, asked: Instruction | None) -> str:
    return (asked and asked.by) or tick.facts.actor or "somebody"
