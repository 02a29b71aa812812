"""Simulated numbers of a canary and a primary, a look each: a load that both share, times noise of each. Seeded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from controller.api.compare import Compare
from controller.core.evidence.question import Question, Verdict
from controller.core.evidence.readings import Reading
from controller.core.evidence.values import VALUE, ValueComparison

LOOKS = 60
START, LOOK = datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=1)
COMPARE = Compare.model_validate({"value": {"query": "value{{ workload }}", "better": "lower"}})


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """A kind of rollout.

    Attributes:
        ratio: The mean of the canary's number over the primary's.
        scatter: Noise of each side, as its coefficient of variation.
        memory: How much of a look's noise is that of the look before (0-1).
        heavy: Noise with the tails of Student's t of 3 degrees, in the logarithm, in place of gamma noise.
        settles: The canary is so many times as high at first, and half of that is gone after every five looks.
    """

    ratio: float = 1.0
    scatter: float = 0.3
    memory: float = 0.0
    heavy: bool = False
    settles: float = 1.0

    def rollout(self, random: Random) -> list[tuple[float, float]]:
        phase, noise = random.uniform(0, 20), [0.0, 0.0]
        looks: list[tuple[float, float]] = []
        for number in range(LOOKS):
            load = 100 * (1 + 0.5 * math.sin(2 * math.pi * (number + phase) / 20))
            fresh = math.sqrt(1 - self.memory**2)
            noise = [self.memory * before + fresh * math.log(self._noise(random)) for before in noise]
            young = self.settles ** (0.5 ** (number / 5))
            looks.append((load * self.ratio * young * math.exp(noise[0]), load * math.exp(noise[1])))
        return looks

    def _noise(self, random: Random) -> float:
        if self.heavy:
            chi_square = random.gammavariate(1.5, 2)
            return math.exp(self.scatter * random.gauss(0, 1) / math.sqrt(chi_square))
        shape = 1 / self.scatter**2
        return random.gammavariate(shape, 1 / shape)


def first_verdict(looks: Sequence[tuple[float, float]], wanted: Verdict = Verdict.FAIL) -> int | None:
    """The first look with this verdict."""
    test = ValueComparison(question=Question.of(COMPARE), better="lower", since=START, query="", window=0.0)
    for number, (canary, primary) in enumerate(looks, 1):
        test = test.look(COMPARE, Reading({VALUE: (canary,)}, {VALUE: (primary,)}), START + number * LOOK)
        if test.verdict(COMPARE) is wanted:
            return number
    return None
