"""How much bad requests clump, from look to look: the divisor that evidence needs when they do.

Errors that come in bursts (a lost connection, a pod in trouble, a retry storm) carry less information than as many
independent ones; taken as independent they raise false alarms beyond any stated risk. Of b bad requests in a look, the
canary's x differ from its share s of all requests by

    z = (x - b s) / sqrt(b s (1-s))

A canary that is worse moves every z alike, and so does not change the differences from look to look; clumps do
(von Neumann, Annals of Mathematical Statistics 12, 1941: mean square successive difference). It needs no second pod:

    phi = mean of (z_k - z_{k-1})^2 / 2,   older looks counting for less
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from controller.core.evidence.e_values import Counts
from controller.core.evidence.question import EvidenceError

REMEMBERED = 10.0
"""So many looks are remembered: each counts for a tenth less with every later one."""
LEAST_VARIANCE = 0.5
"""Looks are taken together until they say so much; with less, z is nothing like a normal deviate."""
CHANCE = 2.5
"""So many standard errors above 1 are taken for chance."""
INCIDENT_CHANCE = 1 / 160
"""What chance alone brings less often in a look is an incident of the primary's."""
LOG_INCIDENT_CHANCE = math.log1p(INCIDENT_CHANCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispersion:
    """A running estimate; a value, `look` returns the next one. It begins as if `REMEMBERED` looks had shown 1.

    Attributes:
        squares: the differences, squared and halved, each counting for what is still remembered of it.
        seeded: whether looks from before the rollout are in it.
        last: z of the looks before; None before the first.
        excess: bad requests of the canary above its share, over looks that are not yet a z.
        variance: of the excess.
    """

    squares: float = REMEMBERED
    seeded: bool = False
    last: float | None = None
    excess: float = 0.0
    variance: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.squares < math.inf and 0 <= self.variance < math.inf):
            raise EvidenceError(f"dispersion must be finite and not negative, is {self.squares}, {self.variance}")

    @classmethod
    def seed(cls, primary: Sequence[tuple[float, float]]) -> Dispersion:
        """From (requests, bad requests) of the primary alone, look by look, before the canary has traffic."""
        estimate = cls(seeded=True)
        deviates = tuple(_deviates(primary))
        for deviate in deviates:
            estimate = replace(estimate, squares=_remember(estimate.squares, deviate**2))
        return estimate if deviates else cls()

    def look(self, now: Counts) -> Dispersion:
        """The estimate after one more look."""
        excess, variance = _excess(now)
        pooled = replace(self, excess=round(self.excess + excess, 6), variance=round(self.variance + variance, 6))
        if pooled.variance < LEAST_VARIANCE:
            return pooled
        z = round(pooled.excess / math.sqrt(pooled.variance), 6)
        squares = self.squares if self.last is None else _remember(self.squares, (z - self.last) ** 2 / 2)
        return replace(self, squares=squares, last=z, excess=0.0, variance=0.0)

    def is_incident(self, now: Counts, ratio: float) -> bool:
        """Whether the primary fares so much worse than a canary of ``ratio`` times its rate that chance is not why.

        The bound of Chernoff holds for few bad requests too, where z is far from normal: with a canary that has nine
        tenths of the requests, a single one of the primary's is a z of -3.
        """
        weighted, x, y = min(1.0, ratio) * now.canary_total, now.canary_bad, now.primary_bad
        both = weighted + now.primary_total
        of_canary, of_primary = (x + y) * weighted / both, (x + y) * now.primary_total / both
        if x >= of_canary or y <= of_primary:
            return False
        surprise = y * math.log(y / of_primary) + (x * math.log(x / of_canary) if x else 0.0)
        return surprise > -math.log(INCIDENT_CHANCE) * self.value

    @property
    def value(self) -> float:
        """Phi; 1 where no more than chance (`CHANCE`) is seen."""
        return _beyond_chance(self.squares / REMEMBERED, REMEMBERED)


def clumping(primary: Sequence[tuple[float, float]]) -> float:
    """Phi of one side over all of its looks, (requests, bad requests) each; 1 where no more than chance is seen."""
    squares = [deviate**2 for deviate in _deviates(primary)]
    return _beyond_chance(sum(squares) / len(squares), len(squares)) if squares else 1.0


def _beyond_chance(phi: float, looks: float) -> float:
    return phi if phi > 1 + CHANCE * math.sqrt(3 / looks) else 1.0


def _deviates(looks: Sequence[tuple[float, float]]) -> Iterator[float]:
    """From look to look how much the rate moved, in standard deviations of chance; none where all or none are bad."""
    served = [(n, x) for n, x in looks if n > 0]
    requests, bad = sum(n for n, _ in served), sum(x for _, x in served)
    if 0 < bad < requests:
        rate = bad / requests
        for (n, x), (m, y) in pairwise(served):
            yield (y / m - x / n) / math.sqrt(rate * (1 - rate) * (1 / n + 1 / m))


def _remember(squares: float, square: float) -> float:
    return round(squares * (1 - 1 / REMEMBERED) + square, 6)


def _excess(now: Counts) -> tuple[float, float]:
    """Bad requests of the canary above its share of the requests, and the variance of that."""
    share = now.canary_total / (now.canary_total + now.primary_total)
    bad = now.canary_bad + now.primary_bad
    return now.canary_bad - bad * share, bad * share * (1 - share)
