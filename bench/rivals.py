"""Other ways to decide, as people use them, to measure `controller.core.evidence` against.

Each takes the looks of a rollout and returns the number of the look (from 1) at which it fails the canary, or None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import NormalDist

from bench.traffic import Rollout
from controller.core.evidence.e_values import Counts
from controller.core.evidence.question import Question, Verdict
from controller.core.evidence.sequential import SequentialTest

Rival = Callable[[Rollout], int | None]

ALPHA = 0.05
WARMUP = 2
"""Looks of a minute, the default warm-up, that teach the primary's rate and count for nothing; verdicts are numbered
from the one after it."""
EVEN_GRID = tuple(math.exp(math.log(1.15) + k * math.log(20 / 1.15) / 13) for k in range(14))
MANN_WHITNEY_FROM = 10  # looks; below, p < .01 says little


def e_process(rollout: Rollout) -> int | None:
    return first_verdict(rollout, Verdict.FAIL)


def e_process_pass(rollout: Rollout) -> int | None:
    return first_verdict(rollout, Verdict.PASS)


def first_verdict(
    rollout: Rollout, wanted: Verdict, question: Question | None = None, *, seeded: bool = False
) -> int | None:
    """The look after the warm-up, from 1, at which `SequentialTest` first says `wanted`."""
    test = SequentialTest.start(question, rates=len(rollout.looks[0]))
    if seeded:
        test = test.seed([[look[0].primary_total, *(rate.primary_bad for rate in look)] for look in rollout.history])
    for number, counts in enumerate(rollout.looks, 1 - WARMUP):
        if number < 1:
            test = test.learn([counts[0].primary_total, *(rate.primary_bad for rate in counts)])
            continue
        test = test.look(counts)
        if test.verdict is wanted:
            return number
    return None


def even_mixture(rollout: Rollout) -> int | None:
    """The conditional test alone, 14 alternatives from 1.15 to 20 with even stakes, all in play from the start."""
    logs = [0.0] * len(EVEN_GRID)
    for number, (look, *_) in enumerate(rollout.looks[WARMUP:], 1):
        share = look.canary_total / (look.canary_total + look.primary_total)
        both = look.canary_bad + look.primary_bad
        for j, ratio in enumerate(EVEN_GRID):
            logs[j] += look.canary_bad * math.log(ratio) - both * math.log1p((ratio - 1) * share)
        if sum(math.exp(min(log, 600)) for log in logs) / len(logs) >= 1 / ALPHA:
            return number
    return None


def safe_2x2(rollout: Rollout) -> int | None:
    """Turner, Ly and Gruenwald, arXiv 2106.02693; two-sided, so gated on direction."""
    test = Safe2x2()
    for number, (look, *_) in enumerate(rollout.looks[WARMUP:], 1):
        test.look(look)
        if test.log_e >= math.log(1 / ALPHA) and test.canary_is_worse:
            return number
    return None


class Safe2x2:
    """Both rates guessed from the looks before, against the null of one rate for both, their mean by requests."""

    def __init__(self) -> None:
        self.log_e = 0.0
        self.seen = Counts()

    def look(self, look: Counts) -> None:
        seen = self.seen
        canary = (seen.canary_bad + 0.18) / (seen.canary_total + 0.36)
        primary = (seen.primary_bad + 0.18) / (seen.primary_total + 0.36)
        both = look.canary_total + look.primary_total
        pooled = (look.canary_total * canary + look.primary_total * primary) / both
        self.log_e += look.canary_bad * math.log(canary / pooled) + look.primary_bad * math.log(primary / pooled)
        self.log_e += (look.canary_total - look.canary_bad) * math.log((1 - canary) / (1 - pooled))
        self.log_e += (look.primary_total - look.primary_bad) * math.log((1 - primary) / (1 - pooled))
        self.seen = seen + look

    @property
    def canary_is_worse(self) -> bool:
        seen = self.seen
        return seen.canary_bad * seen.primary_total > seen.primary_bad * seen.canary_total


def repeated_z_test(rollout: Rollout) -> int | None:
    """Two proportions, counts pooled since the start, one-sided at 5%, again at every look."""
    critical = NormalDist().inv_cdf(1 - ALPHA)
    n_c = x = n_p = y = 0.0
    for number, (look, *_) in enumerate(rollout.looks[WARMUP:], 1):
        n_c, x = n_c + look.canary_total, x + look.canary_bad
        n_p, y = n_p + look.primary_total, y + look.primary_bad
        pooled = (x + y) / (n_c + n_p)
        error = math.sqrt(pooled * (1 - pooled) * (1 / n_c + 1 / n_p))
        if error > 0 and (x / n_c - y / n_p) / error > critical:
            return number
    return None


def mann_whitney(rollout: Rollout) -> int | None:
    """Bad rates by look, canary's against primary's, one-sided p < .01, again at every look from the tenth."""
    canary: list[float] = []
    primary: list[float] = []
    for number, (look, *_) in enumerate(rollout.looks[WARMUP:], 1):
        canary.append(look.canary_bad / look.canary_total)
        primary.append(look.primary_bad / look.primary_total)
        if number >= MANN_WHITNEY_FROM and _rank_sum_z(canary, primary) > NormalDist().inv_cdf(0.99):
            return number
    return None


def _rank_sum_z(canary: Sequence[float], primary: Sequence[float]) -> float:
    """The normal deviate of the canary's rank sum, with tie and continuity corrections."""
    n, pooled = len(canary), sorted([*canary, *primary])
    starts = [0, *(i for i, (a, b) in enumerate(pairwise(pooled), 1) if a != b), len(pooled)]
    ranks = {pooled[a]: (a + b + 1) / 2 for a, b in pairwise(starts)}
    ties = sum((b - a) ** 3 - (b - a) for a, b in pairwise(starts))
    total = len(pooled)
    variance = n * n / 12 * (total + 1 - ties / (total * (total - 1)))
    excess = sum(ranks[value] for value in canary) - n * (total + 1) / 2
    return (abs(excess) - 0.5) * math.copysign(1, excess) / math.sqrt(variance) if variance > 0 else 0.0


def threshold(rollout: Rollout) -> int | None:
    """A canary's bad rate above 1% in five looks: a metric with `max: 1` and `threshold: 5`."""
    strikes = 0
    for number, (look, *_) in enumerate(rollout.looks[WARMUP:], 1):
        strikes += look.canary_bad > 0.01 * look.canary_total
        if strikes == 5:
            return number
    return None


RIVALS: dict[str, Rival] = {
    "e-process": e_process,
    "even mixture": even_mixture,
    "safe 2x2": safe_2x2,
    "repeated z-test": repeated_z_test,
    "Mann-Whitney p<.01": mann_whitney,
    "> 1%, 5 strikes": threshold,
}
