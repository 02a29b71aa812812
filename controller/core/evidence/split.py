"""Whether the requests are shared out as the weights say: a sample-ratio check. It never decides anything.

A mismatch means that the routes did not reach every caller, or that somebody calls one side directly; what is compared
then are other users than those meant. Over all looks of a rollout the canary's share is held against the shares that
the weights gave. The counters may be older than a look's weight, so the weight before it is right as well; and the
counters of a side may be two looks ahead of the other's or behind, since scrapes are not at the same moment.

What is then still outside is a mismatch if it is no chance. The evidence is a likelihood ratio, the binomial's uniform
mixture over the share under the nearest one allowed (Lindon and Malek, arXiv 2011.03567). Its mean at any look is at
most 1, also while weights step: a sum of draws with unequal chances varies less than as many at their mean (Hoeffding
1956). So at any look a warning without a cause has at most the probability `RISK` (Markov).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from controller.core.evidence.question import EvidenceError

RISK = 1e-4
LEAST_LOOKS = 5
SLACK_LOOKS = 2
_CERTAIN = 1e-9  # a share of 0 or 1 leaves no room for the other side


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The requests of a rollout so far, and what the weights gave. A value: ``look`` returns the next one.

    Attributes:
        looks: how many there were in which both sides had some.
        canary, primary: requests of each side.
        least, most: requests that the canary was given at least and at most.
        weight: percent of the last of these looks.
        said: the mismatch as it was told when it was first seen; empty while there is none.
    """

    looks: int = 0
    canary: float = 0.0
    primary: float = 0.0
    least: float = 0.0
    most: float = 0.0
    weight: int = 0
    said: str = ""

    def __post_init__(self) -> None:
        counts = (self.canary, self.primary, self.least, self.most)
        if self.looks < 0 or not all(0 <= count < math.inf for count in counts) or not 0 <= self.weight <= 100:
            raise EvidenceError("looks and requests must be numbers from 0, and a weight from 0 to 100 percent")

    def look(self, weight: int, canary: float, primary: float) -> Split:
        """After a look at which the canary's weight was ``weight`` percent and the sides had so many requests more."""
        low, high = sorted((self.weight, weight))
        whole = min(canary, primary) > 0  # else a side was not scraped yet, or is so quiet that it may be
        return Split(
            looks=self.looks + whole,
            canary=self.canary + canary,
            primary=self.primary + primary,
            least=self.least + (canary + primary) * low / 100,
            most=self.most + (canary + primary) * high / 100,
            weight=weight if whole else self.weight,
            said=self.said,
        )

    @property
    def share(self) -> float:
        """The canary's part (0-1) of the requests; 0 without any."""
        return self.canary / (self.canary + self.primary) if self.canary else 0.0

    @property
    def mismatch(self) -> Literal["more", "less"] | None:
        """Whether the canary has more, or less, than its weights and chance explain."""
        total = self.canary + self.primary
        if self.looks < LEAST_LOOKS or not total:
            return None
        ahead, behind = 1 + SLACK_LOOKS / self.looks, 1 - SLACK_LOOKS / self.looks
        if _is_no_chance(self.canary * behind, self.primary * ahead, self.most / total, above=True):
            return "more"
        if _is_no_chance(self.canary * ahead, self.primary * behind, self.least / total, above=False):
            return "less"
        return None


def _is_no_chance(canary: float, primary: float, share: float, *, above: bool) -> bool:
    outside = canary > share * (canary + primary) if above else canary < share * (canary + primary)
    return outside and log_evidence(canary, primary, share) >= math.log(1 / RISK)


def log_evidence(canary: float, primary: float, share: float) -> float:
    """Ln of the evidence that the canary's chance (0-1) to get a request is not ``share``."""
    share = min(max(share, _CERTAIN), 1 - _CERTAIN)
    mixture = math.lgamma(canary + 1) + math.lgamma(primary + 1) - math.lgamma(canary + primary + 2)
    return mixture - canary * math.log(share) - primary * math.log1p(-share)
