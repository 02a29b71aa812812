"""How many requests a verdict needs, before anyone starts.

Evidence grows by a mean of g nats a request, so it reaches a bound after about (bound + ln 1/stake) / g requests; the
best alternative decides. For rare errors, a canary share that is small, and the alternative at the truth, that is

    to FAIL: [ln(metrics/alpha) + ln 1/stake] / [q (rho ln rho - rho + 1)]     canary requests
    to PASS, at rho = 1: [ln(1/alpha) + ln 1/stake] / [q (M - 1 - ln M)]

with q the primary's rate, rho the ratio and M the harmful one. The functions below use the exact growth of the test,
at any share and rate. They give the middle of what happens: about half of the rollouts need fewer.
"""

from __future__ import annotations

import math

from controller.core.evidence import e_values as em
from controller.core.evidence.e_values import Counts
from controller.core.evidence.question import EvidenceError, Question


def requests_to_fail(question: Question, *, primary_rate: float, ratio: float, canary_share: float) -> float:
    """Canary requests until a canary `ratio` times as bad as the primary FAILs; infinite where the test cannot tell.

    Args:
        question: What is asked.
        primary_rate: Share of the primary's requests that are bad (0-1, both excluded).
        ratio: How many times the primary's rate the canary's is.
        canary_share: Share of the requests that the canary gets (0-1, both excluded).

    Raises:
        EvidenceError: for a rate or share out of range.
    """
    request = _mean_request(primary_rate, ratio, canary_share)
    factors = em.odds_factors(question.harmless_ratio, question.harmful_ratio)
    return canary_share * _requests(
        question.log_fail - em.LOG_FIRST_ENTRY, request, question.harmless_ratio, factors, primary_rate
    )


def requests_to_pass(question: Question, *, primary_rate: float, ratio: float = 1.0, canary_share: float) -> float:
    """Canary requests until a canary `ratio` times as bad as the primary PASSes; arguments as `requests_to_fail`."""
    request = _mean_request(primary_rate, ratio, canary_share)
    factors = tuple(1 / factor for factor in em.odds_factors(question.harmless_ratio, question.harmful_ratio))
    return canary_share * _requests(question.log_pass, request, question.harmful_ratio, factors, primary_rate)


def _mean_request(primary_rate: float, ratio: float, canary_share: float) -> Counts:
    """What one request adds to the counts on average."""
    if not 0 < primary_rate < 1:
        raise EvidenceError(f"primary rate must be above 0 and below 1, is {primary_rate}")
    if not 0 < canary_share < 1:
        raise EvidenceError(f"canary share must be above 0 and below 1, is {canary_share}")
    if not 0 <= ratio * primary_rate <= 1:
        raise EvidenceError(f"ratio times primary rate must be from 0 to 1, is {ratio} times {primary_rate}")
    rest = 1 - canary_share
    return Counts(canary_share, canary_share * ratio * primary_rate, rest, rest * primary_rate)


def _requests(
    bound: float, request: Counts, null_ratio: float, factors: tuple[float, ...], primary_rate: float
) -> float:
    """Requests until the first alternative is expected to lift the evidence to `bound` (ln)."""
    vanishing = em.log_e_values_vanishing(request, null_ratio, factors)
    expected = em.log_e_values(request, null_ratio, factors, primary_rate)
    needed = math.inf
    for weight, slow, fast in zip(em.WEIGHTS, vanishing, expected, strict=True):
        # Either copy of the alternative alone, or both at the pace of the slower.
        alone = ((weight * em.VANISHING, slow), (weight * (1 - em.VANISHING), fast))
        for stake, growth in (*alone, (weight, min(slow, fast))):
            if growth > 0:
                needed = min(needed, (bound - math.log(stake)) / growth)
    return needed
