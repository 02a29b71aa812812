"""How many times the primary's rate the canary's is, by example."""

from __future__ import annotations

import math

import pytest

from controller.core.evidence.e_values import Counts
from controller.core.evidence.question import EvidenceError
from controller.core.evidence.ratio import GRID, RatioEstimate


def after(*looks: tuple[float, float, float, float], phi: float = 1.0) -> RatioEstimate:
    estimate = RatioEstimate()
    for look in looks:
        estimate = estimate.look(Counts(*look), phi)
    return estimate


def test_one_look_by_hand():
    # Of 12 bad requests the canary has 9, at a tenth of the requests: 27 times. Guessed before anything was seen: once.
    estimate = after((1000, 9, 9000, 3))
    assert (estimate.canary, estimate.primary) == (8.1, 0.3)
    assert estimate.value == pytest.approx(27)
    at_ten = 10 * 1000 / (10 * 1000 + 9000)
    for ratio, share in ((1, 0.1), (10, at_ten)):
        against = 9 * math.log(0.1 / share) + 3 * math.log(0.9 / (1 - share))
        assert estimate.against[GRID.index(ratio)] == pytest.approx(against, abs=1e-4)


def test_the_next_look_is_guessed_by_those_before():
    estimate = after((500, 3, 500, 1), (500, 2, 500, 2))
    guess = (1.5 + 0.5) / (0.5 + 0.5)
    chances = [(3, 1, 1.0), (2, 2, guess)]
    against = sum(
        x * math.log(rho / (1 + rho) * 2) + y * math.log(1 / (1 + rho) * 2) for x, y, rho in chances
    )  # of a ratio of 1
    assert estimate.against[GRID.index(1)] == pytest.approx(against, abs=2e-4)
    assert estimate.value == pytest.approx(5 / 3)


def test_dispersion_divides_the_evidence_against_a_ratio():
    one, other = after((1000, 90, 9000, 30)), after((1000, 90, 9000, 30), phi=3)
    assert other.against == pytest.approx([log / 3 for log in one.against], abs=1e-4)
    assert other.value == one.value


@pytest.mark.parametrize(
    ("name", "looks", "low", "high"),
    [
        ("nothing seen", [], 0, math.inf),
        ("no errors", [(1000, 0, 9000, 0)] * 9, 0, math.inf),
        ("errors on the primary alone", [(1000, 0, 1000, 9)] * 9, 0, 0.25),
        ("errors on the canary alone", [(1000, 9, 1000, 0)] * 9, 5, math.inf),
        ("alike", [(1000, 10, 9000, 90)] * 9, 0.6, 1.6),
        ("three times", [(1000, 30, 9000, 90)] * 9, 2, 4.5),
        ("so many that no ratio of the grid is left", [(1e6, 110_000, 1e6, 100_000)], 1, 1.22),
    ],
)
def test_the_interval(name, looks, low, high):
    assert after(*looks).interval == pytest.approx((low, high), rel=0.25)


def test_evidence_against_other_ratios_is_refused():
    with pytest.raises(EvidenceError, match="must be for 25 of them"):
        RatioEstimate(against=(0.0,))
