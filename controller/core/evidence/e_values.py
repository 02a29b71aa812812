"""The e-values behind `evidence`: one look against one alternative, the alternatives, and how looks are mixed.

One look gives `n_c` requests to the canary, `x` of them bad, and `n_p` to the primary, `y` bad. The null is
one-sided, with a ratio of *rates* r: "the canary's bad rate is at most r times the primary's" (FAIL) or "at least r
times" (PASS); the primary's own rate is unknown and free to change from look to look. For an alternative (a_c, a_p)
outside the null, the likelihood ratio

    e = (a_c/b_c)^x ((1-a_c)/(1-b_c))^(n_c-x) (a_p/b_p)^y ((1-a_p)/(1-b_p))^(n_p-y)

against the nearest null point (b_c, b_p) = (r t, t), the one that minimises n_c KL(a_c|b_c) + n_p KL(a_p|b_p), has
mean <= 1 under *every* point of the null (Turner and Gruenwald, arXiv 2203.09785 and, stratified, 2302.11401). The
reason fits in four lines. Let s = (a-b)/(b(1-b)) for either side. A request that is bad with chance q multiplies
the mean of e by 1 + s(q-b) <= exp(s(q-b)). At the minimum n_c s_c = m and n_p s_p = -m r, where m has the sign of
a_c - r a_p. So for mean rates q_c, q_p the mean of e is at most exp(n_c s_c (q_c-b_c) + n_p s_p (q_p-b_p)) = exp(m
(q_c - r q_p)), which is <= 1 in the null. Nothing here needs q small, requests alike, or a_p right: a poor guess of
a_p costs power, never the guarantee.

As a_p -> 0 the same formula becomes the test of x among x+y by Binomial(x+y, r n_c / (r n_c + n_p)). That
conditional test is therefore valid, but conservative, for errors that are not rare: it takes the variance of a
count for q where it is q(1-q), and gains evidence slower by about that factor. Conditioning on x+y exactly would
need Fisher's noncentral hypergeometric law, in which the *odds* ratio is free of the primary's rate; a ratio of
rates other than 1 is not, so that road is not taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# The alternatives: odds multiplied by step^exponent from the edge of the null, where step = harmful / harmless ratio,
# so the third is the harm that was named, and the first two catch less. The outer two reach at least 4 and 12,
# whatever the step, for plain breakage.
EXPONENTS = (0.25, 0.5, 1.0, 2.0, 3.0, 4.0)
WEIGHTS = (2 / 16, 3 / 16, 6 / 16, 3 / 16, 1 / 16, 1 / 16)
FURTHEST = (0.0, 0.0, 0.0, 0.0, math.log(4), math.log(12))
LOG_ODDS_LIMIT = math.log(1e4)

# Each is held twice: with the primary's rate as the looks before showed it (sharp, but it loses heavily when a high
# rate suddenly drops), and with a vanishing rate (conservative where rates are high, never far wrong). The second
# gets a tenth of the stake, which costs 0.1 nats at high rates and nothing at low ones, where the two agree.
VANISHING = 0.1
RATE_PRIOR_REQUESTS = 10.0
RATE_LEAST, RATE_MOST, RATE_MOST_CANARY = 1e-9, 0.98, 0.99
SLOTS = 2 * len(EXPONENTS)
STAKES = (*(weight * VANISHING for weight in WEIGHTS), *(weight * (1 - VANISHING) for weight in WEIGHTS))
LOG_STAKES = tuple(math.log(stake) for stake in STAKES)

# Harm that begins late: a fifth of the stake enters look by look, as LATE * SPREAD / ((SPREAD+k-1)(SPREAD+k)) after
# look k.
LATE = 0.2
SPREAD = 20.0

# Logs of evidence are rounded down to this part of a nat: what is stored is what is used, and rounding never
# invents evidence.
QUANTA = 10_000
LOG_FIRST_ENTRY = math.floor(math.log(1 - LATE) * QUANTA) / QUANTA


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests and bad requests of both sides; floats, since rates times time are not whole."""

    canary_total: float = 0.0
    canary_bad: float = 0.0
    primary_total: float = 0.0
    primary_bad: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            round(self.canary_total + other.canary_total, 6),
            round(self.canary_bad + other.canary_bad, 6),
            round(self.primary_total + other.primary_total, 6),
            round(self.primary_bad + other.primary_bad, 6),
        )

    def clamped(self) -> Counts:
        """Without the hair by which rounding may have put bad above total."""
        return Counts(
            self.canary_total,
            min(self.canary_bad, self.canary_total),
            self.primary_total,
            min(self.primary_bad, self.primary_total),
        )

    def primary_rate(self) -> float:
        """The primary's bad rate (0-1) to expect next, drawn towards zero while few requests have been seen."""
        return max(RATE_LEAST, self.primary_bad / (self.primary_total + RATE_PRIOR_REQUESTS))


def odds_factors(harmless_ratio: float, harmful_ratio: float) -> tuple[float, ...]:
    """Factors > 1 on the canary's odds, from the edge of the null outwards."""
    step = math.log(harmful_ratio / harmless_ratio)
    logs = (max(e * step, least) for e, least in zip(EXPONENTS, FURTHEST, strict=True))
    return tuple(math.exp(min(value, LOG_ODDS_LIMIT)) for value in logs)


def nearest_null(look: Counts, null_ratio: float, canary_rate: float, primary_rate: float) -> float:
    """The primary's rate t of the null point (null_ratio t, t) nearest to the alternative.

    Setting the derivative of n_c KL(a_c|r t) + n_p KL(a_p|t) to zero gives

        r (n_c + n_p) t^2 - (n_c (a_c + r) + n_p (1 + r a_p)) t + n_c a_c + n_p a_p = 0

    whose smaller root lies between a_p and a_c / r; it is taken in the form that does not cancel for small rates.
    """
    n_c, n_p = look.canary_total, look.primary_total
    square = null_ratio * (n_c + n_p)
    linear = n_c * (canary_rate + null_ratio) + n_p * (1 + null_ratio * primary_rate)
    constant = n_c * canary_rate + n_p * primary_rate
    return 2 * constant / (linear + math.sqrt(max(0.0, linear * linear - 4 * square * constant)))


def log_e_values_vanishing(look: Counts, null_ratio: float, factors: Sequence[float]) -> list[float]:
    """`log_e_values` in the limit of a rare primary rate: x of x+y bad requests are the canary's.

    At the edge of the null that is Binomial(x+y, p); with a rate `factor` times as high, Binomial(x+y, p_f). The
    logarithm x ln(p_f/p) + y ln((1-p_f)/(1-p)) comes to the line below.
    """
    weighted = null_ratio * look.canary_total
    share = weighted / (weighted + look.primary_total)
    x, both = look.canary_bad, look.canary_bad + look.primary_bad
    return [x * math.log(factor) - both * math.log1p((factor - 1) * share) for factor in factors]


def log_e_values(look: Counts, null_ratio: float, factors: Sequence[float], primary_rate: float) -> list[float]:
    """Ln e of one look for each alternative: the canary's odds are `factor` times those at the edge of the null.

    Factors above 1 test "at most null_ratio times", below 1 "at least". `primary_rate` (0-1) must come from earlier
    looks.
    """
    edge = null_ratio * min(primary_rate, RATE_MOST / max(1.0, null_ratio))
    a_p, edge_odds = edge / null_ratio, edge / (1 - edge)
    # For a ratio below 1 the null ends at (ratio, 1); an alternative past that corner has no nearest point inside.
    most = RATE_MOST_CANARY * null_ratio if null_ratio < 1 else 1.0
    x, good_c = look.canary_bad, look.canary_total - look.canary_bad
    y, good_p = look.primary_bad, look.primary_total - look.primary_bad
    values = []
    for factor in factors:
        a_c = min(factor * edge_odds / (1 + factor * edge_odds), most)
        b_p = nearest_null(look, null_ratio, a_c, a_p)
        b_c = null_ratio * b_p
        values.append(
            x * math.log(a_c / b_c)
            + y * math.log(a_p / b_p)
            + good_c * math.log1p((b_c - a_c) / (1 - b_c))
            + good_p * math.log1p((b_p - a_p) / (1 - b_p))
        )
    return values


def slot_values(look: Counts, null_ratio: float, factors: Sequence[float], primary_rate: float) -> list[float]:
    """Ln e of one look for every slot: each alternative at a vanishing rate, then at the primary's expected rate."""
    vanishing = log_e_values_vanishing(look, null_ratio, factors)
    return vanishing + log_e_values(look, null_ratio, factors, primary_rate)


def round_down(log_value: float) -> float:
    return math.floor(log_value * QUANTA) / QUANTA


def add_look(logs: Sequence[float], values: Sequence[float], dispersion: float) -> tuple[float, ...]:
    return tuple(round_down(log + value / dispersion) for log, value in zip(logs, values, strict=True))


def add_entry(logs: Sequence[float], looks: int) -> tuple[float, ...]:
    """Adds to each slot the stake that enters after look number `looks` for harm beginning at the next one."""
    entry = math.log(LATE * SPREAD / ((SPREAD + looks - 1) * (SPREAD + looks)))
    return tuple(round_down(max(log, entry) + math.log1p(math.exp(-abs(log - entry)))) for log in logs)


def log_mixture(logs: Sequence[float], uncommitted: float = 0.0) -> float:
    """Ln of the evidence: the weighted mean over slots, plus the stake not yet in play."""
    terms = [stake + log for stake, log in zip(LOG_STAKES, logs, strict=True)]
    if uncommitted > 0:
        terms.append(math.log(uncommitted))
    return log_sum(terms)


def held_back(looks: int) -> float:
    """The part of the stake of FAIL that is not in play after so many looks."""
    return LATE * SPREAD / (SPREAD + looks)


def add_weighted(weighted_bad: tuple[float, float], look: Counts) -> tuple[float, float]:
    """The two sums of the Mantel-Haenszel ratio: bad requests times the other side's share of the look's requests."""
    both = look.canary_total + look.primary_total
    canary, primary = weighted_bad
    return (
        round(canary + look.canary_bad * look.primary_total / both, 6),
        round(primary + look.primary_bad * look.canary_total / both, 6),
    )


def log_sum(logs: Sequence[float]) -> float:
    """Ln of the sum of exponentials."""
    top = max(logs)
    return top + math.log(sum(math.exp(log - top) for log in logs))
