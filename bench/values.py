"""How soon `compare.value` fails a canary whose number is worse, and how often one whose number is not.

    python -m bench.values [--rollouts 1000] [--seed 7]

One number a side and look: a load that both sides share, times noise of each. As the product ships: defaults, 60 looks.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from statistics import median

from controller.api.metric import Compare
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


def first_verdict(looks: Sequence[tuple[float, float]], wanted: Verdict) -> int | None:
    """The first look with this verdict."""
    question = Question(alpha=COMPARE.risk, harmless_ratio=COMPARE.harmless_ratio, harmful_ratio=COMPARE.harmful_ratio)
    test = ValueComparison(question=question, better="lower", since=START, query="", window=0.0)
    for number, (canary, primary) in enumerate(looks, 1):
        test = test.look(COMPARE, Reading({VALUE: (canary,)}, {VALUE: (primary,)}), START + number * LOOK)
        if test.verdict(COMPARE) is wanted:
            return number
    return None


@dataclass(frozen=True, slots=True)
class Case:
    """One row: a kind of rollout, the verdict that is looked for, and whether how often ("part") or how soon."""

    title: str
    kind: Numbers
    wanted: Verdict = Verdict.FAIL
    shows: str = "part"


def cases() -> list[Case]:
    noises = {
        "noise CV .3": Numbers(),
        "noise CV .05": Numbers(scatter=0.05),
        "heavy tails": Numbers(heavy=True),
        "noise that remembers half": Numbers(memory=0.5),
        "noise that remembers four fifths": Numbers(memory=0.8),
        "1.5x at first, settles": Numbers(settles=1.5),
        "5% higher for good, noise CV .05": Numbers(ratio=1.05, scatter=0.05),
    }
    look = partial(Case, shows="look")
    return [
        *(Case(f"value, false alarms: {title}", kind) for title, kind in noises.items()),
        *(look(f"value, {ratio:g}x, noise CV .3", Numbers(ratio=ratio)) for ratio in (1.2, 1.5, 2.0, 4.0)),
        look("value, PASS, as good, noise CV .3", Numbers(), Verdict.PASS),
        Case("value, false PASS at 2x, noise CV .3", Numbers(ratio=2.0), Verdict.PASS),
    ]


def measure(case: Case, seed: int, rollouts: int) -> list[int | None]:
    """The look of the verdict in each rollout."""
    random = Random(f"{seed} {case.title}")
    return [first_verdict(case.kind.rollout(random), case.wanted) for _ in range(rollouts)]


def figure(case: Case, looks: Sequence[int | None]) -> str:
    if case.shows == "part":
        return f"{100 * sum(look is not None for look in looks) / len(looks):.1f}%"
    return f"{median(math.inf if look is None else look for look in looks):g}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the test of numbers.")
    parser.add_argument("--rollouts", type=int, default=1000, help="simulated rollouts a case (default 1000)")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    for case in cases():
        print(f"{case.title:60} {figure(case, measure(case, options.seed, options.rollouts))}", flush=True)


if __name__ == "__main__":
    main()
