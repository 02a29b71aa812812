"""What holds for all counts: the mean of a look's e-value under the null, finite evidence, no evidence from nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.evidence import e_values as em
from controller.core.evidence.e_values import Counts
from controller.core.evidence.question import LEAST_REQUESTS, Question, Verdict
from controller.core.evidence.sequential import SequentialTest

unhurried = settings(deadline=None)  # the machine may be busy; time is not what is tested

rates = st.floats(0.001, 0.999)
ratios = st.floats(0.2, 5)
factors_above_one = st.floats(1.01, 100)
requests = st.integers(1, 9)


def binomial(n, p):
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


def mean_e(n_c, n_p, q_c, q_p, log_e):
    """The mean of a look's e-value over every outcome, when the sides fail with chances q_c and q_p."""
    return sum(
        chance_x * chance_y * math.exp(log_e(Counts(n_c, x, n_p, y)))
        for x, chance_x in enumerate(binomial(n_c, q_c))
        for y, chance_y in enumerate(binomial(n_p, q_p))
    )


@unhurried
@given(st.tuples(requests, requests), ratios, factors_above_one, rates, st.tuples(rates, st.floats(0, 1)))
def test_mean_evidence_of_a_look_is_at_most_one_wherever_the_null_holds(totals, ratio, factor, guess, truth):
    (n_c, n_p), (q_p, within) = totals, truth
    # FAIL: the canary's rate is at most ratio times the primary's, down to none.
    q_c = within * min(1.0, ratio * q_p)
    for log_e in (
        lambda look: em.log_e_values(look, ratio, [factor], guess)[0],
        lambda look: em.log_e_values_vanishing(look, ratio, [factor])[0],
    ):
        assert mean_e(n_c, n_p, q_c, q_p, log_e) <= 1 + 1e-9
    # PASS: at least ratio times, up to always.
    least = ratio * q_p
    if least <= 1:
        q_c = least + within * (1 - least)
        for log_e in (
            lambda look: em.log_e_values(look, ratio, [1 / factor], guess)[0],
            lambda look: em.log_e_values_vanishing(look, ratio, [1 / factor])[0],
        ):
            assert mean_e(n_c, n_p, q_c, q_p, log_e) <= 1 + 1e-9


@unhurried
@given(requests, requests, factors_above_one, rates)
def test_evidence_is_not_wasted_where_the_guess_of_the_rate_is_right(n_c, n_p, factor, q):
    # At the nearest null point itself the mean is exactly one: the test is as sharp as it may be.
    odds = factor * q / (1 - q)
    a_c = odds / (1 + odds)
    t = em.nearest_null(Counts(n_c, 0, n_p, 0), 1.0, a_c, min(q, em.RATE_MOST))
    mean = mean_e(n_c, n_p, t, t, lambda look: em.log_e_values(look, 1.0, [factor], q)[0])
    assert mean == pytest.approx(1) or q > em.RATE_MOST


@unhurried
@given(st.floats(0.1, 1e6), st.floats(0.1, 1e6), ratios, rates, rates)
def test_the_nearest_null_point_is_the_least_divergence(n_c, n_p, ratio, a_c, a_p):
    def divergence(t):
        return n_c * kl(a_c, ratio * t) + n_p * kl(a_p, t)

    t = em.nearest_null(Counts(n_c, 0, n_p, 0), ratio, a_c, a_p)
    assert 0 < t < min(1.0, 1 / ratio)
    for other in (t * 0.999, t * 1.001, t + 1e-4 * (min(1.0, 1 / ratio) - t)):
        if other < min(1.0, 1 / ratio):
            assert divergence(t) <= divergence(other) * (1 + 1e-9)


def kl(a, b):
    return a * math.log(a / b) + (1 - a) * math.log((1 - a) / (1 - b))


@unhurried
@given(st.tuples(*[st.floats(1, 1e5), st.floats(0, 1)] * 2), ratios, factors_above_one)
def test_both_forms_agree_where_errors_are_rare(look, ratio, factor):
    n_c, part_c, n_p, part_p = look
    look = Counts(n_c, part_c * min(n_c, 20), n_p, part_p * min(n_p, 20))
    rare = em.log_e_values(look, ratio, [factor, 1 / factor], 1e-12)
    assert em.log_e_values_vanishing(look, ratio, [factor, 1 / factor]) == pytest.approx(rare, abs=1e-4)


@st.composite
def looks(draw, most=1e12):
    def side():
        total = draw(st.one_of(st.integers(0, 50), st.floats(0, most)))
        return total, total * draw(st.one_of(st.just(0.0), st.just(1.0), st.floats(0, 1), st.floats(0, 1e-4)))

    return Counts(*side(), *side())


dispersions = st.one_of(st.just(1.0), st.floats(1, 20))
questions = st.builds(
    Question,
    alpha=st.floats(1e-6, 0.5),
    harmless_ratio=st.floats(0.1, 3),
    harmful_ratio=st.floats(3.01, 900),
    metrics=st.integers(1, 20),
)


@unhurried
@given(questions, st.lists(st.tuples(looks(), dispersions), min_size=1, max_size=12))
def test_what_is_shown_is_finite_and_agrees_with_the_verdict(question, sequence):
    test, failed = SequentialTest.start(question), False
    for look, dispersion in sequence:
        before, test = test, test.look([look], dispersion)
        assert 0 <= test.evidence < math.inf
        assert 0 <= test.pass_evidence < math.inf
        assert 0 < test.p_value <= before.p_value
        failed = failed or test.log_evidence >= math.log(test.question.metrics / test.question.alpha) + 1e-4
        if failed:
            assert test.verdict is Verdict.FAIL
        empty = min(look.canary_total, look.primary_total) < LEAST_REQUESTS
        assert (test.skipped is not None) == empty
        if test.skipped is not None:
            assert test == before.skip(test.skipped)


@unhurried
@given(looks(most=1e6))
def test_more_bad_requests_on_the_canary_never_speak_for_it(look):
    worse = replace(look, canary_bad=min(look.canary_total, look.canary_bad + 1))
    one, other = SequentialTest.start().look([look]), SequentialTest.start().look([worse])
    assert other.log_evidence >= one.log_evidence - 1e-3
    assert other.log_pass_evidence <= one.log_pass_evidence + 1e-3


@unhurried
@given(looks(most=1e6), st.floats(1, 20))
def test_dispersion_never_adds_evidence_of_harm(look, dispersion):
    one, other = SequentialTest.start().look([look]), SequentialTest.start().look([look], dispersion)
    assert other.peak <= one.peak + 1e-3 or one.log_evidence < 0
