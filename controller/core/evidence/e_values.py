"""The e-values behind `sequential`: one look against one alternative, the alternatives, and how looks are mixed.

One look gives `n_c` requests to the canary, `x` of them bad, and `n_p` to the primary, `y` bad. The null is
one-sided and ends at a line: "the canary's bad rate is at most r times the primary's plus f" (FAIL), or "at least" so
much (PASS); the primary's own rate is unknown and free to change from look to look. For an alternative (a_c, a_p)
beyond the line, the likelihood ratio

    e = (a_c/b_c)^x ((1-a_c)/(1-b_c))^(n_c-x) (a_p/b_p)^y ((1-a_p)/(1-b_p))^(n_p-y)

against the nearest point (b_c, b_p) = (r t + f, t) of the line, the one that minimises n_c KL(a_c|b_c) + n_p
KL(a_p|b_p), has mean <= 1 under *every* point of the null (Turner and Gruenwald, arXiv 2203.09785 and, stratified,
2302.11401). The reason fits in four lines. Let s = (a-b)/(b(1-b)) for either side. A request that is bad with chance
q multiplies the mean of e by 1 + s(q-b) <= exp(s(q-b)). At the minimum n_c s_c = m and n_p s_p = -m r, where m has
the sign of a_c - r a_p - f. So for mean rates q_c, q_p the mean of e is at most exp(n_c s_c (q_c-b_c) + n_p s_p
(q_p-b_p)) = exp(m (q_c - r q_p - f)), which is <= 1 in the null. Nothing here needs q small, requests alike, or a_p
right: a poor guess of a_p costs power, never the guarantee.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

# The alternatives: odds moved from the line by step^exponent, where step leads to the harm (FAIL) or to the harmless
# (PASS) that was named: the third. The first two catch less. The outer two move them at least 4 and 12 times,
# whatever the step, for plain breakage.
EXPONENTS = (0.25, 0.5, 1.0, 2.0, 3.0, 4.0)
WEIGHTS = (1 / 32, 2 / 32, 22 / 32, 4 / 32, 2 / 32, 1 / 32)
FURTHEST = (0.0, 0.0, 0.0, 0.0, math.log(4), math.log(12))
LOG_ODDS_LIMIT = math.log(1e4)

# Each is held twice: at the primary's rate as it was before (sharp, but it loses where a rate that was high suddenly
# drops), and at a rate that any service might have. The latter is also what is expected before anything was seen.
ANY_RATE = 0.01
ANY_RATE_STAKE = 0.1
ANY_RATE_REQUESTS = 10.0
RATE_LEAST, RATE_MOST, RATE_MOST_CANARY = 1e-9, 0.98, 0.99
SLOTS = 2 * len(EXPONENTS)
LOG_STAKES = tuple(math.log(part * weight) for part, weight in product((ANY_RATE_STAKE, 1 - ANY_RATE_STAKE), WEIGHTS))

# Harm that begins late: a tenth of the stake enters look by look, as LATE * SPREAD / ((SPREAD+k-1)(SPREAD+k)) after
# look k.
LATE = 0.1
SPREAD = 20.0

# No look decides alone: what one adds to the log of the evidence ends here. Shrinking an e-value keeps its mean <= 1.
MOST_OF_A_LOOK = 2.0

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


@dataclass(frozen=True, slots=True)
class Line:
    """The end of a null: the canary's bad rate is ``ratio`` times the primary's plus ``margin``. Rates are 0 to 1."""

    ratio: float
    margin: float = 0.0

    def at(self, primary_rate: float) -> float:
        return self.ratio * primary_rate + self.margin

    def within(self, primary_rate: float) -> float:
        """The primary's rate, moved to where the line is inside of the square of possible rates."""
        return max(RATE_LEAST, min(primary_rate, (RATE_MOST - self.margin) / max(1.0, self.ratio)))


def expected_rate(primary_total: float, primary_bad: float) -> float:
    """The primary's bad rate (0-1) to expect after so many requests; `ANY_RATE` before the first."""
    return (primary_bad + ANY_RATE * ANY_RATE_REQUESTS) / (primary_total + ANY_RATE_REQUESTS)


def worse_factors(harmless: Line, harmful: Line) -> tuple[float, ...]:
    """Factors > 1 on the canary's odds, from the harmless line outwards."""
    return _factors(math.log(harmful.ratio / harmless.ratio))


def better_factors(harmless: Line, harmful: Line, primary_rate: float) -> tuple[float, ...]:
    """Factors < 1 on the canary's odds, from the harmful line at the primary's rate inwards."""
    rate = harmful.within(primary_rate)
    gap = _log_odds(harmful.at(rate)) - _log_odds(max(RATE_LEAST, harmless.at(rate)))
    return tuple(1 / factor for factor in _factors(gap))


def _factors(step: float) -> tuple[float, ...]:
    logs = (max(exponent * step, least) for exponent, least in zip(EXPONENTS, FURTHEST, strict=True))
    return tuple(math.exp(min(value, LOG_ODDS_LIMIT)) for value in logs)


def _log_odds(rate: float) -> float:
    return math.log(rate / (1 - rate))


def nearest_null(look: Counts, line: Line, canary_rate: float, primary_rate: float) -> float:
    """The primary's rate t of the point (line.at(t), t) nearest to the alternative.

    The derivative of n_c KL(a_c|b) + n_p KL(a_p|t) with b = r t + f, times b(1-b) t(1-t), is a cubic,

        n_c r (a_c - b) t (1 - t) + n_p (a_p - t) b (1 - b)

    that falls through zero between a_p and the rate at which the line reaches a_c: Newton's steps, kept in between.
    """
    n_c, n_p, r, f, a_p = look.canary_total, look.primary_total, line.ratio, line.margin, primary_rate
    above = canary_rate - f
    cubic = r * r * (n_c + n_p)
    square = -n_c * r * (above + r) - n_p * r * (r * a_p + 1 - 2 * f)
    linear = n_c * r * above + n_p * (a_p * r * (1 - 2 * f) - f * (1 - f))
    constant = n_p * a_p * f * (1 - f)
    low, high = sorted((a_p, above / r))
    low, high = max(low, 0.0), min(high, 1.0, (1 - f) / r)
    t = min(max((n_c * canary_rate + n_p * a_p) / (n_c * r + n_p), low), high)
    for _ in range(100):
        value = ((cubic * t + square) * t + linear) * t + constant
        slope = (3 * cubic * t + 2 * square) * t + linear
        low, high = (t, high) if value > 0 else (low, t)
        before, t = t, t - value / slope if slope else low
        if not low <= t <= high:
            t = (low + high) / 2
        if abs(t - before) <= 1e-14 * t:
            break
    return t


def log_e_values(look: Counts, line: Line, factors: Sequence[float], primary_rate: float) -> list[float]:
    """Ln e of one look for each alternative: the canary's odds are `factor` times those on the line.

    Factors above 1 test "at most", below 1 "at least". `primary_rate` (0-1) must come from earlier looks.
    """
    a_p = line.within(primary_rate)
    odds = line.at(a_p) / (1 - line.at(a_p))
    x, good_c = look.canary_bad, look.canary_total - look.canary_bad
    y, good_p = look.primary_bad, look.primary_total - look.primary_bad
    values = []
    for factor in factors:
        a_c = min(factor * odds / (1 + factor * odds), RATE_MOST_CANARY)
        b_p = nearest_null(look, line, a_c, a_p)
        b_c = line.at(b_p)
        values.append(
            x * math.log(a_c / b_c)
            + y * math.log(a_p / b_p)
            + good_c * math.log1p((b_c - a_c) / (1 - b_c))
            + good_p * math.log1p((b_p - a_p) / (1 - b_p))
        )
    return values


def round_down(log_value: float) -> float:
    return math.floor(log_value * QUANTA) / QUANTA


def add_look(logs: Sequence[float], values: Sequence[float], uncommitted: float = 0.0) -> tuple[float, ...]:
    """The money on every alternative after one more look, which adds at most `MOST_OF_A_LOOK` to the evidence."""
    after = [log + value for log, value in zip(logs, values, strict=True)]
    most = log_mixture(logs, uncommitted) + MOST_OF_A_LOOK
    if uncommitted > 0:
        most += math.log1p(-math.exp(math.log(uncommitted) - most))
    over = max(0.0, log_mixture(after) - most)
    return tuple(round_down(log - over) for log in after)


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


def log_sum(logs: Sequence[float]) -> float:
    """Ln of the sum of exponentials."""
    top = max(logs)
    return top + math.log(sum(math.exp(log - top) for log in logs))
