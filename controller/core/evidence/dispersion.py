"""How much bad requests clump, from the pods of a workload: the divisor that evidence needs when they do.

Errors that come in bursts (a lost connection, a pod in trouble, a retry storm) carry less information than as many
independent ones; taken as independent they raise false alarms beyond any stated risk. Pods of one workload in one look
serve like traffic, so what their counts vary more than chance allows is clumping. Pearson's statistic measures it:

    phi = sum over looks, workloads and pods of (x_i - n_i p)^2 / (n_i p (1-p))  /  degrees of freedom,    at least 1

with p the workload's own bad rate in the look (McCullagh and Nelder, Generalized Linear Models, 4.5). A burst that
hits all pods of a workload alike is not seen. An estimate from few looks is as often too low as too high, and too low
costs false alarms: begin with looks at the primary's pods from before the rollout (half an hour of them will do).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from controller.core.evidence.question import EvidenceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispersion:
    """A running estimate; a value, `look` returns the next one.

    Attributes:
        chi_square: Pearson's statistic so far.
        degrees: Its degrees of freedom; 0 while nothing could be learnt.
    """

    chi_square: float = 0.0
    degrees: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.chi_square < math.inf and self.degrees >= 0):
            raise EvidenceError(f"dispersion must be finite and not negative, is {self.chi_square}, {self.degrees}")

    def look(self, pods: Sequence[Sequence[float]]) -> Dispersion:
        """The estimate after one more look at one workload: (requests, bad requests) of each of its pods.

        Pods without requests are left out. A workload with fewer than two pods, or with no or only bad requests,
        teaches nothing; neither does one with a count that is not a number, negative, or more bad than total.
        """
        if not all(math.isfinite(total) and 0 <= bad <= total for total, bad in pods):
            return self
        serving = [(total, bad) for total, bad in pods if total > 0]
        total, bad = sum(total for total, _ in serving), sum(bad for _, bad in serving)
        if len(serving) < 2 or not 0 < bad < total:
            return self
        rate = bad / total
        chi_square = sum((x - n * rate) ** 2 / (n * rate * (1 - rate)) for n, x in serving)
        return Dispersion(chi_square=round(self.chi_square + chi_square, 6), degrees=self.degrees + len(serving) - 1)

    @property
    def value(self) -> float:
        """What `look` of a test takes as `dispersion`: phi and one standard error of it, at least 1; 1 if unknown."""
        if not self.degrees:
            return 1.0
        return max(1.0, self.chi_square / self.degrees * (1 + math.sqrt(2 / self.degrees)))
