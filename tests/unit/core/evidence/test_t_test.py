"""The t-test that may be read after every number, against the integrals that define it and against chance."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.evidence.t_test import EFFECTS, STAKES, half_width, log_e_value


def moments(numbers: Sequence[float]) -> tuple[int, float, float]:
    mean = sum(numbers) / len(numbers)
    return len(numbers), mean, sum((number - mean) ** 2 for number in numbers)


def brute_force(numbers: Sequence[float]) -> float:
    """The evidence by its definition: likelihoods of the numbers, integrated over their standard deviation."""

    def marginal(effect: float) -> float:
        total = 0.0
        for step in range(-3000, 3000):
            sigma = math.exp(step / 200)
            squares = sum((number - effect * sigma) ** 2 for number in numbers)
            total += math.exp(-squares / (2 * sigma * sigma)) / sigma ** len(numbers)  # d sigma / sigma = d ln sigma
        return total

    return sum(stake * marginal(effect) for effect, stake in zip(EFFECTS, STAKES, strict=True)) / marginal(0.0)


@pytest.mark.parametrize(
    "numbers",
    [(1.0, 2.0), (0.3, -0.1, 0.4), (-1.0, -2.0, -0.5), (0.4, 0.5, 0.45, 0.52, 0.38), (2.0, -2.0, 2.1, -1.9)],
    ids=str,
)
def test_it_is_the_likelihood_ratio_that_its_definition_says(numbers):
    assert math.exp(log_e_value(*moments(numbers))) == pytest.approx(brute_force(numbers), rel=1e-5)


def test_its_mean_is_1_where_the_mean_is_0_and_less_below():
    """As far as chance shows it; a heavy tail is cut, which only makes the mean smaller."""
    for effect, most in ((0.0, 1.1), (-0.3, 0.5)):
        rng = random.Random(1)
        runs = [[rng.gauss(effect, 1) for _ in range(6)] for _ in range(4000)]
        assert sum(math.exp(log_e_value(*moments(run))) for run in runs) / len(runs) < most


finite = st.floats(-50, 50)


@given(st.lists(finite, min_size=2, max_size=9), st.floats(0, 5))
def test_larger_numbers_are_more_evidence_that_the_mean_is_above_0(numbers, more):
    count, mean, spread = moments(numbers)
    assert log_e_value(count, mean + more, spread) >= log_e_value(count, mean, spread) - 1e-9


@given(st.integers(0, 10**5), st.floats(-1e3, 1e3), st.floats(0, 1e6))
def test_any_numbers_have_finite_evidence(count, mean, spread):
    assert math.isfinite(log_e_value(count, mean, spread))


@pytest.mark.parametrize("numbers", [(), (3.0,)])
def test_one_number_says_nothing(numbers):
    assert log_e_value(len(numbers), 3.0, 0.0) == 0.0


def test_numbers_that_do_not_differ_from_0_are_no_evidence():
    assert log_e_value(50, 0.0, 0.0) < 0.0


def test_the_interval_ends_where_the_evidence_does():
    count, mean, spread = moments([0.4, 0.5, 0.45, 0.52, 0.38, 0.41])
    width = half_width(count, spread, math.log(40))
    assert log_e_value(count, width, spread) == pytest.approx(math.log(40), abs=1e-6)
    assert mean - width < 0.44 < mean + width
    assert half_width(2, spread, math.log(40)) == math.inf
