"""The steps of a rollout before it starts, and the looks at their ends."""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.api.analysis import Analysis
from controller.api.durations import DEFAULT_INTERVAL_FLOOR_SECONDS
from controller.core.evidence.e_values import MOST_OF_A_LOOK
from controller.core.evidence.question import Question
from controller.core.model import Routes
from controller.core.rollout.strategies import walk_steps


@dataclass(frozen=True, slots=True)
class Step:
    """What a look finds: the routes set one interval before it.

    Attributes:
        number: from 1; the look at its end has the same number.
        begins_at: when its routes are set, seconds after the canary's first traffic.
        routes: the canary's weight; for A/B the share of the matched requests.
    """

    number: int
    begins_at: float
    routes: Routes


def plan_steps(
    analysis: Analysis, *, floor: float = DEFAULT_INTERVAL_FLOOR_SECONDS, proven_from: int | None = None
) -> tuple[Step, ...]:
    """The steps while no check fails; every comparison passes from look ``proven_from`` on (None: at the end only)."""
    interval = analysis.tick_seconds(floor)

    def proven(look: int) -> bool:
        return proven_from is not None and look >= proven_from

    return tuple(
        Step(number, (number - 1) * interval, step.routes)
        for number, step in enumerate(walk_steps(analysis, proven), start=1)
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """The looks of a rollout while nothing ends it earlier.

    Attributes:
        interval: seconds from one look to the next.
        looks: the steps, and the last one again while a comparison without a verdict is given time.
    """

    interval: float
    looks: tuple[Step, ...]


def plan_looks(analysis: Analysis, *, floor: float = DEFAULT_INTERVAL_FLOOR_SECONDS) -> Plan:
    """The looks of an analysis; ``floor`` is the controller's least interval, seconds."""
    steps, interval = plan_steps(analysis, floor=floor), analysis.tick_seconds(floor)
    looks = last_look(analysis, len(steps), interval)
    if analysis.on_inconclusive == "rollback":
        looks += analysis.failure_threshold - 1
    more = range(len(steps) + 1, looks + 1) if steps else ()
    return Plan(interval, (*steps, *(Step(number, (number - 1) * interval, steps[-1].routes) for number in more)))


def looks_before(warmup_seconds: float, interval: float) -> int:
    """Looks that do not count. One counts what came since the look before, which has to be after the warm-up."""
    return math.ceil(warmup_seconds / interval)


def first_proven_look(analysis: Analysis, interval: float) -> int:
    """Number of the first look at which every comparison can have passed; 0 without any. No look decides alone."""
    deciding = (metric.compare for metric in analysis.metrics if metric.compare and not metric.dry_run)
    return max(
        (
            looks_before(compare.warmup_seconds, interval) + math.ceil(Question.of(compare).log_pass / MOST_OF_A_LOOK)
            for compare in deciding
        ),
        default=0,
    )


def last_look(analysis: Analysis, steps: int, interval: float) -> int:
    """Number of the look that can promote without a verdict: after the last step, and the second that counts."""
    return max(steps, looks_before(analysis.warmup_seconds, interval) + 2) if analysis.compares else steps
