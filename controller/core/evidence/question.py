"""What a test is asked, and which looks it refuses to read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from controller.api.errors import CanaryError
from controller.api.metric import DEFAULT_HARMFUL_RATIO, DEFAULT_HARMLESS_RATIO, DEFAULT_RISK, MAX_RATIO
from controller.core.evidence.e_values import Counts

MOST_REQUESTS = 1e15  # in one look; whole numbers are exact up to here
LEAST_REQUESTS = 1e-6  # what counts are rounded to; less is none
SLACK = 1e-9  # relative: how far rounding alone may put bad above total


class EvidenceError(CanaryError, ValueError):
    """A test that cannot be asked for, or saved evidence that contradicts itself."""


class Verdict(StrEnum):
    FAIL = "FAIL"
    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of the traffic. The defaults are those of `spec.analysis.metrics[].compare`.

    Attributes:
        alpha: Risk of a false FAIL and, apart from it, of a false PASS, over the whole rollout; in (0, 0.5].
        harmless_ratio: A canary whose rate is at most this many times the primary's must not FAIL.
        harmful_ratio: A canary whose rate is at least this many times the primary's must not PASS. FAIL is quickest
            here.
        metrics: How many tests share alpha. Each may fail the rollout alone, so FAIL needs E >= metrics/alpha. PASS
            needs 1/alpha: a rollout passes when *all* its tests do, so one harmful metric is enough to hold it.
    """

    alpha: float = DEFAULT_RISK
    harmless_ratio: float = DEFAULT_HARMLESS_RATIO
    harmful_ratio: float = DEFAULT_HARMFUL_RATIO
    metrics: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 0.5:
            raise EvidenceError(f"alpha, the risk of a false alarm, must be above 0 and at most 0.5, is {self.alpha}")
        if not 0 < self.harmless_ratio < MAX_RATIO:
            raise EvidenceError(f"harmless ratio must be above 0 and below {MAX_RATIO:g}, is {self.harmless_ratio}")
        if not self.harmless_ratio < self.harmful_ratio <= MAX_RATIO:
            raise EvidenceError(
                f"harmful ratio must be above the harmless ratio {self.harmless_ratio:g} and at most {MAX_RATIO:g}, "
                f"is {self.harmful_ratio}"
            )
        if self.metrics < 1:
            raise EvidenceError(f"metrics, how many tests share alpha, must be at least 1, is {self.metrics}")

    @property
    def log_fail(self) -> float:
        """Ln of the evidence that fails the canary."""
        return math.log(self.metrics / self.alpha)

    @property
    def log_pass(self) -> float:
        """Ln of the evidence that passes it."""
        return math.log(1 / self.alpha)


def unreadable(look: Counts) -> str | None:
    """Why a look cannot count, in words for a status; None when it can."""
    for side, total, bad in (
        ("canary", look.canary_total, look.canary_bad),
        ("primary", look.primary_total, look.primary_bad),
    ):
        for what, count in (("requests", total), ("bad requests", bad)):
            if not 0 <= count <= MOST_REQUESTS:  # false for NaN too
                return f"{count:g} {what} of the {side} since the last look are not a count"
        if bad > total * (1 + SLACK):
            return f"the {side} has more bad requests ({bad:g}) than requests ({total:g})"
        if total < LEAST_REQUESTS:
            return f"the {side} had no requests since the last look"
    return None
