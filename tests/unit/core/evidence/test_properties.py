"""What holds for all counts: the mean of a look's e-value under the null, finite evidence, no evidence from nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.core.evidence import e_values as em
from controller.core.evidence.dispersion import REMEMBERED, Dispersion
from controller.core.evidence.e_values import Counts, Line
from controller.core.evidence.question import LEAST_REQUESTS, Question, Verdict
from controller.core.evidence.ratio import RatioEstimate
from controller.core.evidence.sequential import RateTest, SequentialTest

unhurried = settings(deadline=None)  # the machine may be busy; time is not what is tested

rates = st.floats(0.001, 0.999)
margins = st.just(0.0) | st.floats(0, 0.4)
lines = st.builds(Line, st.floats(0.2, 5), margins)
factors_above_one = st.floats(1.01, 100)
requests = st.integers(1, 9)


def binomial(n, p):
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


def mean_e(totals, q_c, q_p, log_e):
    """The mean of a look's e-value over every outcome, when the sides fail with chances q_c and q_p."""
    n_c, n_p = totals
    return sum(
        chance_x * chance_y * math.exp(log_e(Counts(n_c, x, n_p, y)))
        for x, chance_x in enumerate(binomial(n_c, q_c))
        for y, chance_y in enumerate(binomial(n_p, q_p))
        if chance_x * chance_y > 0
    )


@st.composite
def nulls(draw, line, *, harm):
    """Rates of both sides at or beyond the line: the canary's at most there (FAIL), or at least (PASS)."""
    most = 1.0 if harm else (1 - line.margin) / line.ratio
    q_p = min(1.0, most) * draw(st.one_of(st.just(1.0), st.floats(0, 1), st.floats(0, 0.01)))
    at = min(1.0, line.at(q_p))
    within = draw(st.one_of(st.just(1.0), st.floats(0, 1)))
    return (within * at if harm else 1 - within * (1 - at)), q_p


@unhurried
@given(st.data(), st.tuples(requests, requests), lines, factors_above_one, st.floats(0, 1))
def test_mean_evidence_of_a_look_is_at_most_one_wherever_the_null_holds(data, totals, line, factor, guess):
    for harm, towards in ((True, factor), (False, 1 / factor)):
        q_c, q_p = data.draw(nulls(line, harm=harm))
        assert mean_e(totals, q_c, q_p, lambda c, f=towards: em.log_e_values(c, line, [f], guess)[0]) <= 1 + 1e-9


questions = st.builds(
    Question,
    alpha=st.floats(1e-6, 0.5),
    harmless=st.builds(Line, st.floats(0.1, 3), st.just(0.0) | st.floats(0, 0.01)),
    harmful=st.builds(Line, st.floats(3.01, 900), st.floats(0.01, 0.5)),
    metrics=st.integers(1, 20),
)
tests = st.builds(
    RateTest,
    looks=st.integers(0, 50),
    primary=st.tuples(st.floats(0, 1e4), st.floats(0, 1)).map(lambda side: (side[0], side[0] * side[1])),
    dispersion=st.builds(Dispersion, squares=st.floats(1, 5).map(lambda phi: phi * REMEMBERED), seeded=st.just(True)),
    worse=st.tuples(*[st.floats(-20, 5)] * em.SLOTS),
    better=st.tuples(*[st.floats(-20, 5)] * em.SLOTS),
)
"""With any money on any alternative."""


@settings(deadline=None, max_examples=60)
@given(st.data(), questions, tests, st.tuples(requests, st.integers(1, 4)), st.booleans())
def test_nor_is_it_more_with_all_that_a_look_does_to_it(data, question, before, totals, harm):
    """With late stakes, the cap, the dispersion, and the incidents of the primary that are paid for."""
    q_c, q_p = data.draw(nulls(question.harmless if harm else question.harmful, harm=harm))
    evidence = (lambda test: test.log_evidence) if harm else (lambda test: test.log_pass_evidence)
    grown = mean_e(totals, q_c, q_p, lambda counts: evidence(before.look(question, counts)) - evidence(before))
    assert grown <= 1 + 1e-9


@pytest.mark.parametrize(("n_c", "n_p", "rate"), [(47, 3, 0.03), (40, 5, 0.02), (12, 12, 0.3)])
def test_incidents_of_the_primary_by_chance_are_paid_for_where_it_has_few_requests(n_c, n_p, rate):
    question = Question(harmless=Line(1.0), harmful=Line(2.0))
    before = RateTest().learn(1e4, 1e4 * rate)
    assert mean_e((n_c, n_p), rate, rate, lambda counts: before.look(question, counts).log_evidence) <= 1


@unhurried
@given(requests, requests, lines, factors_above_one, rates)
def test_evidence_is_not_wasted_where_the_guess_of_the_rate_is_right(n_c, n_p, line, factor, q):
    # At the nearest null point itself the mean is exactly one: the test is as sharp as it may be.
    a_p = line.within(q)
    odds = factor * line.at(a_p) / (1 - line.at(a_p))
    t = em.nearest_null(Counts(n_c, 0, n_p, 0), line, min(odds / (1 + odds), em.RATE_MOST_CANARY), a_p)
    mean = mean_e((n_c, n_p), line.at(t), t, lambda look: em.log_e_values(look, line, [factor], q)[0])
    assert mean == pytest.approx(1)


@unhurried
@given(st.floats(0.1, 1e6), st.floats(0.1, 1e6), lines, rates, rates)
def test_the_nearest_null_point_is_the_least_divergence(n_c, n_p, line, a_c, a_p):
    most = min(1.0, (1 - line.margin) / line.ratio)

    def divergence(t):
        return n_c * kl(a_c, line.at(t)) + n_p * kl(a_p, t)

    t = em.nearest_null(Counts(n_c, 0, n_p, 0), line, a_c, a_p)
    assert 0 < t < most
    grid = [most * (k + 0.5) / 200 for k in range(200)]
    for other in (t * 0.999, t * 1.001, t + 1e-4 * (most - t), *grid):
        if 0 < other < most and line.at(other) < 1:
            assert divergence(t) <= divergence(other) * (1 + 1e-9) + 1e-9


def kl(a, b):
    return a * math.log(a / b) + (1 - a) * math.log((1 - a) / (1 - b))


@st.composite
def looks(draw, most=1e12):
    def side():
        total = draw(st.one_of(st.integers(0, 50), st.floats(0, most)))
        return total, total * draw(st.one_of(st.just(0.0), st.just(1.0), st.floats(0, 1), st.floats(0, 1e-4)))

    return Counts(*side(), *side())


@unhurried
@given(questions, st.lists(looks(), min_size=1, max_size=12))
def test_what_is_shown_is_finite_and_agrees_with_the_verdict(question, sequence):
    test, failed = SequentialTest.start(question), False
    for look in sequence:
        before, test = test, test.look([look])
        assert 0 <= test.evidence < math.inf
        assert 0 <= test.pass_evidence < math.inf
        assert 0 < test.p_value <= before.p_value
        for evidence in ("log_evidence", "log_pass_evidence"):
            assert getattr(test, evidence) <= getattr(before, evidence) + em.MOST_OF_A_LOOK + 1e-3
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
    # A look in which the primary had an incident takes nothing away; one that is no longer taken for one does.
    incident = not one.skipped and Dispersion().is_incident(look, one.question.harmless.ratio)
    assert other.log_evidence >= one.log_evidence - 1e-3 or incident
    assert other.log_pass_evidence <= one.log_pass_evidence + 1e-3


@unhurried
@given(looks(most=1e6), st.floats(1, 20))
def test_dispersion_never_adds_evidence_of_harm(look, phi):
    one, other = (
        SequentialTest(question=Question(), rates=(RateTest(dispersion=Dispersion(squares=x * REMEMBERED)),))
        for x in (1.0, phi)
    )
    one, other = one.look([look]), other.look([look])
    assert other.peak <= one.peak + 1e-3 or one.log_evidence < 0


@unhurried
@given(looks(most=1e9), st.integers(1, 30), st.floats(1, 20))
def test_the_interval_of_the_ratio_holds_the_estimate_of_looks_alike(look, number, phi):
    estimate = RatioEstimate()
    for _ in range(number if min(look.canary_total, look.primary_total) >= LEAST_REQUESTS else 0):
        estimate = estimate.look(look, phi)
    low, high = estimate.interval
    assert 0 <= low < high
    assert estimate.value is None or low <= estimate.value <= high
