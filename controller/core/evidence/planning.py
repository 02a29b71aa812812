"""How many requests a verdict needs, before anyone starts and on the way.

Evidence grows by a mean of g nats a request, so it reaches a bound after about (bound + ln 1/stake) / g requests; the
best alternative decides. For rare errors, a canary share that is small, no margins and the alternative at the truth,
that is

    to FAIL: [ln(metrics/alpha) + ln 1/stake] / [q (rho ln rho/r - rho + r)]     canary requests
    to PASS, at rho = 1: [ln(1/alpha) + ln 1/stake] / [q (M - 1 - ln M)]

with q the primary's rate, rho the ratio, r the harmless and M the harmful one. Without errors on either side a PASS
takes about [ln(1/alpha) + ln 1/stake] / g requests, g being the harmful margin. The functions use the exact growth
of the test, at any share and rate. They give the middle of what happens: about half of the rollouts need fewer.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from controller.core.evidence import e_values as em
from controller.core.evidence.e_values import Counts, expected_rate
from controller.core.evidence.question import EvidenceError, Question
from controller.core.evidence.sequential import RateTest


def requests_to_fail(question: Question, *, primary_rate: float, ratio: float, canary_share: float) -> float:
    """Canary requests until a canary `ratio` times as bad as the primary FAILs; infinite where the test cannot tell.

    Args:
        question: What is asked.
        primary_rate: Share of the primary's requests that are bad (0-1, below 1).
        ratio: How many times the primary's rate the canary's is.
        canary_share: Share of the requests that the canary gets (0-1, both excluded).

    Raises:
        EvidenceError: for a rate or share out of range.
    """
    needed = _requests(question, primary_rate, ratio, canary_share, harm=True)
    return canary_share * needed(question.log_fail - em.LOG_FIRST_ENTRY)


def requests_to_pass(question: Question, *, primary_rate: float, ratio: float = 1.0, canary_share: float) -> float:
    """Canary requests until a canary `ratio` times as bad as the primary PASSes; arguments as `requests_to_fail`."""
    return canary_share * _requests(question, primary_rate, ratio, canary_share, harm=False)(question.log_pass)


def requests_left_to_pass(question: Question, test: RateTest) -> float:
    """Canary requests after which a test that has begun PASSes, if the canary is as good as the primary from now on."""
    seen, rate = test.seen, expected_rate(*test.primary)
    share = seen.canary_total / (seen.canary_total + seen.primary_total)
    mean = _mean_request(rate, 1.0, share)
    growth = max(em.log_e_values(mean, *question.alternatives(rate, harm=False), rate))
    missing = max(0.0, question.log_pass - test.log_pass_evidence)
    return share * missing * test.dispersion.value / growth if growth > 0 else math.inf


def _mean_request(primary_rate: float, ratio: float, canary_share: float) -> Counts:
    """What one request adds to the counts on average."""
    if not 0 <= primary_rate < 1:
        raise EvidenceError(f"primary rate must be from 0 and below 1, is {primary_rate}")
    if not 0 < canary_share < 1:
        raise EvidenceError(f"canary share must be above 0 and below 1, is {canary_share}")
    if not 0 <= ratio * primary_rate <= 1:
        raise EvidenceError(f"ratio times primary rate must be from 0 to 1, is {ratio} times {primary_rate}")
    rest = 1 - canary_share
    return Counts(canary_share, canary_share * ratio * primary_rate, rest, rest * primary_rate)


def _requests(
    question: Question, primary_rate: float, ratio: float, canary_share: float, *, harm: bool
) -> Callable[[float], float]:
    """Requests until the first alternative is expected to lift the evidence to a bound (ln)."""
    mean = _mean_request(primary_rate, ratio, canary_share)
    growths = em.log_e_values(mean, *question.alternatives(primary_rate, harm=harm), primary_rate)
    stakes = [weight * (1 - em.ANY_RATE_STAKE) for weight in em.WEIGHTS]

    def needed(bound: float) -> float:
        growing = ((bound - math.log(stake)) / g for stake, g in zip(stakes, growths, strict=True) if g > 0)
        return min(growing, default=math.inf)

    return needed
