"""Whether the requests are shared out as the weights say: a sample-ratio check.

A mismatch means that the routes did not reach every caller, or that somebody calls one side directly; what is measured
then are other users than those meant. Prometheus says when it has scraped each side, so a look knows how long each has
counted, and which part of that was before the weight was set. The canary's share of the requests a second is held
against the weights of that time, a quarter more or less being left to load that moves between two scrapes.

What is then still outside is a mismatch if it is no chance. The evidence is a likelihood ratio, the binomial's uniform
mixture over the share under the nearest one allowed (Lindon and Malek, arXiv 2011.03567), whose mean is at most 1: at
any look a warning without a cause has at most the probability `RISK` (Markov).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from controller.core.evidence.question import EvidenceError

RISK = 1e-4
TOLERANCE = 0.25
"""Load that moves while one side is scraped before the other."""
LEAST_SECONDS = 20.0
"""What is counted in less is taken together with the next look: scrapes are too close."""
SETTLE_SECONDS = 5.0
"""In this time a proxy has new routes."""
_CERTAIN = 1e-9  # a share of 0 or 1 leaves no room for the other side


@dataclass(frozen=True, slots=True)
class Served:
    """Requests that the pods of a side have had in all, and when that was scraped, in seconds since 1970."""

    requests: float = 0.0
    scraped_at: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.requests < math.inf and 0 <= self.scraped_at < math.inf):
            raise EvidenceError(f"requests and seconds must be numbers from 0: {self.requests}, {self.scraped_at}")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Both sides at one reading; a canary that Prometheus does not know yet has had no requests."""

    canary: Served
    primary: Served


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How the requests were shared out lately. A value: ``look`` returns the next one.

    Attributes:
        start: the reading from which the present look counts; None before the first.
        weight: percent that the canary was given last.
        least, most: weights that it had before that in the present look.
        observed: percent of the requests a second that the canary had at the last look; None before the first.
        mismatch: whether that is more, or less, than weights and chance explain.
        requests: of both sides at that look.
        said: the mismatch as it was told when it was first seen; empty while there is none.
        late: looks for which a step has waited since the canary had too few.
    """

    start: Traffic | None = None
    weight: int = 0
    least: int = 0
    most: int = 0
    observed: float | None = None
    mismatch: Literal["", "more", "less"] = ""
    requests: float = 0.0
    said: str = ""
    late: int = 0

    def __post_init__(self) -> None:
        if not all(0 <= weight <= 100 for weight in (self.weight, self.least, self.most, self.observed or 0.0)):
            raise EvidenceError("weights must be from 0 to 100 percent")

    def look(self, weight: int, since: float, now: Traffic) -> Split:
        """After a reading at which the canary had ``weight`` percent, set ``since`` that second."""
        least, most = min(self.least, self.weight), max(self.most, self.weight)
        after = replace(self, weight=weight, least=least, most=most)
        begin = self.start
        if begin is None or _fell(begin.canary, now.canary) or _fell(begin.primary, now.primary):
            return _restarted(after, now)
        canary, primary = (_counted(begin.canary, now.canary), _counted(begin.primary, now.primary))
        seconds = canary[1], primary[1]
        if min(seconds) < LEAST_SECONDS:
            return after
        opened, length = min(begin.canary.scraped_at, begin.primary.scraped_at), max(seconds)
        former = min(max(0.0, (since + SETTLE_SECONDS - opened) / length), 1.0)
        low, high = (weight + former * (bound - weight) for bound in (min(least, weight), max(most, weight)))
        rates = canary[0] / canary[1], primary[0] / primary[1]
        if not sum(rates):
            return _restarted(after, now)
        found = replace(after, observed=round(100 * rates[0] / sum(rates), 1), requests=canary[0] + primary[0])
        found = replace(found, mismatch=_mismatch(canary, primary, low / 100, high / 100))
        return _restarted(found, now)


def _restarted(split: Split, now: Traffic) -> Split:
    return replace(split, start=now, least=split.weight, most=split.weight)


def _fell(before: Served, now: Served) -> bool:
    """Whether pods are gone or were restarted: what they had counted is unknown."""
    return now.requests < before.requests


def _counted(before: Served, now: Served) -> tuple[float, float]:
    """Requests, and seconds."""
    return now.requests - before.requests, now.scraped_at - before.scraped_at


def _mismatch(
    canary: tuple[float, float], primary: tuple[float, float], low: float, high: float
) -> Literal["", "more", "less"]:
    """Requests and seconds of either side against the least and the greatest share (0-1) allowed."""
    more, less = 1 + TOLERANCE, 1 - TOLERANCE
    if _is_no_chance(canary[0] * less, primary[0] * more, _share(high, canary[1], primary[1]), above=True):
        return "more"
    if _is_no_chance(canary[0] * more, primary[0] * less, _share(low, canary[1], primary[1]), above=False):
        return "less"
    return ""


def _share(weight: float, canary_seconds: float, primary_seconds: float) -> float:
    """The canary's part of the requests where its part of the time is longer or shorter than the primary's."""
    canary, primary = weight * canary_seconds, (1 - weight) * primary_seconds
    return canary / (canary + primary)


def _is_no_chance(canary: float, primary: float, share: float, *, above: bool) -> bool:
    outside = canary > share * (canary + primary) if above else canary < share * (canary + primary)
    return outside and log_evidence(canary, primary, share) >= math.log(1 / RISK)


def log_evidence(canary: float, primary: float, share: float) -> float:
    """Ln of the evidence that the canary's chance (0-1) to get a request is not ``share``."""
    share = min(max(share, _CERTAIN), 1 - _CERTAIN)
    mixture = math.lgamma(canary + 1) + math.lgamma(primary + 1) - math.lgamma(canary + primary + 2)
    return mixture - canary * math.log(share) - primary * math.log1p(-share)
