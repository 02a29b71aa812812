"""The steps of a rollout: which are done, which one it is on, and which are to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice

from controller.api import Analysis, Canary, Phase, Strategy
from controller.api.history import Rollout
from controller.core.rollout.phases import ANALYSIS, UNDER_WAY
from controller.core.rollout.strategies import Step, walk_steps

MOST_STEPS = 60


class Mark(Enum):
    """How far a step is."""

    DONE = "✓"
    NOW = "●"
    FAILED = "✗"
    AHEAD = "○"


@dataclass(frozen=True, slots=True)
class Rung:
    """One step: ``10%``, ``round 2`` or ``mirror``."""

    words: str
    mark: Mark


def ladder(canary: Canary, last: Rollout | None) -> tuple[Rung, ...]:
    """All steps of the analysis, `MOST_STEPS` at most; of a rollout that has failed, how far it came by its record."""
    status = canary.status
    steps = tuple(islice(walk_steps(canary.spec.analysis, lambda _: False), MOST_STEPS))
    words = [_words(canary.spec.analysis, step) for step in steps]
    if status.phase in ANALYSIS:
        return _marked(words, steps, (status.iterations, status.canary_weight), Mark.NOW)
    if status.phase in UNDER_WAY or status.phase is Phase.SUCCEEDED:
        return tuple(Rung(each, Mark.DONE) for each in words)
    if status.phase is Phase.FAILED and last is not None:
        reached = max(((each.step, each.weight) for each in last.samples), default=(0, 0))
        return _marked(words, steps, reached, Mark.FAILED)
    return tuple(Rung(each, Mark.AHEAD) for each in words)


def _marked(words: Sequence[str], steps: Sequence[Step], place: tuple[int, int], here: Mark) -> tuple[Rung, ...]:
    """By hand a rollout can be between two steps: then none is the one that it is on."""
    places = [(step.iterations, step.routes.canary_weight) for step in steps]
    marks = (Mark.DONE if at < place else here if at == place and any(place) else Mark.AHEAD for at in places)
    return tuple(map(Rung, words, marks))


def _words(analysis: Analysis, step: Step) -> str:
    """Of blue/green the last step is the one after the rounds."""
    if step.routes.mirrored and not step.iterations:
        return "mirror"
    if analysis.strategy is Strategy.WEIGHTED:
        held = f", round {step.iterations} of {analysis.holdback_rounds}" if step.iterations else ""
        return f"{step.routes.canary_weight}%{held}"
    return f"round {step.iterations}" if step.iterations <= (analysis.iterations or 0) else "all traffic"
