"""What a test is asked, and which looks it refuses to read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from controller.api.compare import DEFAULT_RISK, DEFAULT_SENSITIVITY, MAX_RATIO, SENSITIVITIES, Compare, Limits
from controller.api.errors import CanaryError
from controller.core.evidence.e_values import Counts, Line, better_factors, worse_factors

MOST_REQUESTS = 1e15  # in one look; whole numbers are exact up to here
LEAST_REQUESTS = 1e-6  # what counts are rounded to; less is none
MAX_MARGIN = 0.5  # a part of all requests; the line has to leave room beyond it
SLACK = 1e-9  # relative: how far rounding alone may put bad above total


def lines(limits: Limits) -> tuple[Line, Line]:
    """The harmless and the harmful line of limits in percentage points."""
    harmless = Line(limits.harmless_ratio, limits.harmless_margin / 100)
    return harmless, Line(limits.harmful_ratio, limits.harmful_margin / 100)


HARMLESS, HARMFUL = lines(SENSITIVITIES[DEFAULT_SENSITIVITY])


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
        harmless: A canary whose rate is at most there must not FAIL.
        harmful: A canary whose rate is at least there must not PASS.
        metrics: How many tests share alpha. Each may fail the rollout alone, so FAIL needs E >= metrics/alpha. PASS
            needs 1/alpha: a rollout passes when *all* its tests do, so one harmful metric is enough to hold it.
    """

    alpha: float = DEFAULT_RISK
    harmless: Line = HARMLESS
    harmful: Line = HARMFUL
    metrics: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 0.5:
            raise EvidenceError(f"alpha, the risk of a false alarm, must be above 0 and at most 0.5, is {self.alpha}")
        if not 0 < self.harmless.ratio < self.harmful.ratio <= MAX_RATIO:
            raise EvidenceError(
                f"the harmful ratio must be above the harmless ratio, both above 0 and at most {MAX_RATIO:g}; they are "
                f"{self.harmful.ratio} and {self.harmless.ratio}"
            )
        if not 0 <= self.harmless.margin <= self.harmful.margin <= MAX_MARGIN:
            raise EvidenceError(
                f"the harmful margin must not be below the harmless margin, both from 0 to {MAX_MARGIN:g}; they are "
                f"{self.harmful.margin} and {self.harmless.margin}"
            )
        if self.metrics < 1:
            raise EvidenceError(f"metrics, how many tests share alpha, must be at least 1, is {self.metrics}")

    @classmethod
    def of(cls, compare: Compare, metrics: int = 1) -> Question:
        """What a metric's ``compare`` asks, where so many metrics share the risk."""
        harmless, harmful = lines(compare.limits)
        return cls(alpha=compare.risk, harmless=harmless, harmful=harmful, metrics=metrics)

    def alternatives(self, primary_rate: float, *, harm: bool) -> tuple[Line, tuple[float, ...]]:
        """The line that bounds a null, and the factors on the canary's odds that lead away from it."""
        if harm:
            return self.harmless, worse_factors(self.harmless, self.harmful)
        return self.harmful, better_factors(self.harmless, self.harmful, primary_rate)

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
