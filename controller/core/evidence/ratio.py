"""How many times the primary's bad rate the canary's is: an estimate, and an interval that holds at every look.

Of the b bad requests of a look the canary has x, by chance p(rho) = rho n_c / (rho n_c + n_p) each if its rate is rho
times the primary's. For every rho of a grid the likelihood of x under the ratio that earlier looks estimated, over that
under rho, multiplies to a test of rho; the interval is all rho that were not refuted (Lindon and Malek, arXiv
2011.03567). It describes: verdicts come from `sequential`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.core.evidence.e_values import Counts, round_down
from controller.core.evidence.question import EvidenceError

GRID = tuple(10 ** (k / 12 - 1) for k in range(25))
"""From a tenth of the primary's rate to ten times as much."""
LOG_REFUTED = math.log(20)
"""Evidence that refutes a ratio: the interval holds the true one in 95% of the rollouts, at all their looks."""
PRIOR_BAD = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioEstimate:
    """A running estimate; a value, `look` returns the next one.

    Attributes:
        canary: bad requests of the canary, each look's times the primary's share of its requests.
        primary: those of the primary, times the canary's share.
        against: ln of the evidence against each ratio of `GRID`, rounded down to 1e-4.
    """

    canary: float = 0.0
    primary: float = 0.0
    against: tuple[float, ...] = (0.0,) * len(GRID)

    def __post_init__(self) -> None:
        if len(self.against) != len(GRID):
            raise EvidenceError(f"the evidence against ratios must be for {len(GRID)} of them")

    def look(self, now: Counts, dispersion: float) -> RatioEstimate:
        """The estimate after one more look, whose evidence is divided by the dispersion."""
        both = now.canary_total + now.primary_total
        guess = (self.canary + PRIOR_BAD) / (self.primary + PRIOR_BAD)
        guessed = _log_likelihood(now, min(max(guess, GRID[0]), GRID[-1]))
        return RatioEstimate(
            canary=round(self.canary + now.canary_bad * now.primary_total / both, 6),
            primary=round(self.primary + now.primary_bad * now.canary_total / both, 6),
            against=tuple(
                round_down(log + (guessed - _log_likelihood(now, ratio)) / dispersion)
                for log, ratio in zip(self.against, GRID, strict=True)
            ),
        )

    @property
    def value(self) -> float | None:
        """The estimate of Mantel and Haenszel, look by look and so free of Simpson's bias; None without bad requests
        of the primary.
        """
        return self.canary / self.primary if self.primary > 0 else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval; from 0 or to infinity where it leaves the grid."""
        possible = [index for index, log in enumerate(self.against) if log < LOG_REFUTED]
        if not possible:  # so many bad requests that what is left lies within a step of the grid
            possible = [self.against.index(min(self.against))]
        low, high = possible[0], possible[-1]
        return (GRID[low - 1] if low else 0.0), (GRID[high + 1] if high + 1 < len(GRID) else math.inf)


def _log_likelihood(now: Counts, ratio: float) -> float:
    """Ln of the chance that so many of the bad requests are the canary's, without what no ratio changes."""
    weighted = ratio * now.canary_total
    both = weighted + now.primary_total
    return now.canary_bad * math.log(weighted / both) + now.primary_bad * math.log(now.primary_total / both)
