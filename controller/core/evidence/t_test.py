"""Is the mean of some numbers above 0? A t-test that may be read after every number, its spread being unknown.

The evidence is the likelihood ratio of Student's t statistic, the one thing that numbers tell whatever their scale:
under a mean of d standard deviations against a mean of 0, averaged over a few d > 0 with fixed stakes. With z = sum x /
sqrt(sum x^2) of n numbers it is, for one d,

    e^(-n d^2/2) * integral of w^(n-1) e^(-w^2/2 + d z w) dw  /  integral of w^(n-1) e^(-w^2/2) dw,      w > 0,

which is a martingale of mean 1 at a mean of 0 (Perez-Ortiz, Lardy, de Heide and Gruenwald, arXiv 2208.07610). Each
ratio rises with z, and z with the mean, so at any mean below 0 the evidence is, number by number, less than at 0: the
risk holds for all of them. The mixture over a normal law of d, which has a closed form (Wang and Ramdas, 2310.03722),
asks both directions at once and needs a third more numbers.
"""

from __future__ import annotations

import math

EFFECTS = (0.5, 1.0, 2.0)
STAKES = (0.2, 0.6, 0.2)
"""Means in standard deviations of one number, and how much is put on each. Few numbers find the large ones."""

_CUT = 34.0
"""Nats below the peak from which on an integrand adds nothing to a double."""
_LEAST_SPREAD = 1e-6
"""Numbers that differ by less are taken to differ by so much: they were rounded before they came here."""


def log_e_value(count: int, mean: float, spread: float) -> float:
    """Ln of the evidence that the mean of a law is above 0, from ``count`` numbers of it.

    Args:
        count: how many numbers.
        mean: theirs.
        spread: the sum of their squared distances from it.
    """
    if count < 2:
        return 0.0
    total, squares = count * mean, spread + count * mean * mean + count * _LEAST_SPREAD**2
    z = total / math.sqrt(squares)
    logs = [
        math.log(stake) - count * d * d / 2 + _log_integral(count, d * z)
        for d, stake in zip(EFFECTS, STAKES, strict=True)
    ]
    top = max(logs)
    return top + math.log(sum(math.exp(log - top) for log in logs))


def half_width(count: int, spread: float, log_bound: float) -> float:
    """How far from the mean of ``count`` numbers that of their law may be: what evidence of e^log_bound rules out.

    Infinite while it rules nothing out.
    """
    low, high = 0.0, 1.0
    while log_e_value(count, high, spread) < log_bound:
        low, high = high, 2 * high
        if high > 1e6:
            return math.inf
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if log_e_value(count, middle, spread) >= log_bound else (middle, high)
    return high


def _log_integral(count: int, slope: float) -> float:
    """Ln of the integral of w^(count-1) e^(-w^2/2 + slope w) over w > 0, over that at slope 0.

    By the trapezoidal rule over u = ln w, whose error is beyond a double for an integrand that is smooth and dies on
    both sides; from the peak outwards.
    """
    peak = (slope + math.sqrt(slope * slope + 4 * count)) / 2
    start, width = math.log(peak), 0.5 / math.sqrt(peak * peak + count)
    top, total = count * start - peak * peak / 2 + slope * peak, 1.0
    for step in (width, -width):
        u, height = start, 0.0
        while height > -_CUT:
            u += step
            w = math.exp(u)
            height = count * u - w * w / 2 + slope * w - top
            total += math.exp(height)
    return top + math.log(total * width) - (count / 2 - 1) * math.log(2) - math.lgamma(count / 2)
