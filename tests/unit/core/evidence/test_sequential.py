"""Evidence by example: values worked out with fractions, what is refused, and looks that cannot count."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from fractions import Fraction

import pytest

from controller.api.errors import CanaryError
from controller.core.evidence.e_values import WEIGHTS, Counts
from controller.core.evidence.question import EvidenceError, Question, Verdict
from controller.core.evidence.sequential import SequentialTest

# With a harmful ratio of 16 the alternatives are whole numbers: 16^(1/4), 16^(1/2), 16, 16^2, 16^3, and 10^4 for 16^4.
FACTORS = (2, 4, 16, 256, 4096, 10_000)
STAKES = [Fraction(weight) for weight in WEIGHTS]


def counts(canary_bad=0.0, canary_total=100.0, primary_bad=0.0, primary_total=900.0):
    return Counts(canary_total, canary_bad, primary_total, primary_bad)


def begun(**question):
    return SequentialTest.start(Question(**question))


def likelihood_ratio(factor, null_ratio, look):
    """Binomial(x+y, p_f) against Binomial(x+y, p), by hand."""
    at_null = Fraction(null_ratio * look.canary_total, null_ratio * look.canary_total + look.primary_total)
    weighted = factor * null_ratio * look.canary_total
    at_factor = Fraction(weighted) / (weighted + look.primary_total)
    return (at_factor / at_null) ** look.canary_bad * ((1 - at_factor) / (1 - at_null)) ** look.primary_bad


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("no errors anywhere", {"canary_bad": 0, "primary_bad": 0}),
        ("one error, on the canary", {"canary_bad": 1, "primary_bad": 0}),
        ("errors by share", {"canary_bad": 1, "primary_bad": 9}),
        ("the canary much worse", {"canary_bad": 7, "primary_bad": 3}),
        ("an even split", {"canary_bad": 5, "primary_bad": 2, "canary_total": 500, "primary_total": 500}),
    ],
)
def test_the_first_look_is_the_conditional_test_worked_out_with_fractions(name, look):
    look = counts(**{"canary_total": 100, "primary_total": 900} | look)

    test = begun(harmful_ratio=16).look([look])

    ratios = [likelihood_ratio(factor, 1, look) for factor in FACTORS]
    in_play = sum(stake * ratio for stake, ratio in zip(STAKES, ratios, strict=True))
    assert test.evidence == pytest.approx(float(Fraction(4, 5) * in_play + Fraction(1, 5)), rel=3e-4)
    mirrored = [likelihood_ratio(Fraction(1, factor), 16, look) for factor in FACTORS]
    assert test.pass_evidence == pytest.approx(
        float(sum(stake * ratio for stake, ratio in zip(STAKES, mirrored, strict=True))), rel=3e-4
    )


def test_later_looks_multiply_and_late_stakes_enter_one_by_one():
    look = counts(canary_bad=2, canary_total=10_000, primary_bad=4, primary_total=90_000)
    test = begun(harmful_ratio=16)
    in_play, mirrored = [Fraction(4, 5)] * 6, [Fraction(1)] * 6
    for number in (1, 2, 3):
        test = test.look([look])
        entry = Fraction(1, 5) * 20 / ((19 + number) * (20 + number))
        in_play = [
            money * likelihood_ratio(factor, 1, look) + entry for money, factor in zip(in_play, FACTORS, strict=True)
        ]
        mirrored = [
            money * likelihood_ratio(Fraction(1, factor), 16, look)
            for money, factor in zip(mirrored, FACTORS, strict=True)
        ]
    held_back = Fraction(1, 5) * 20 / 23

    # The other copy of each alternative expects the primary's 4 in 90,000: so rare that E hardly differs.
    expected = float(sum(s * money for s, money in zip(STAKES, in_play, strict=True)) + held_back)
    assert test.evidence == pytest.approx(expected, rel=2e-3)
    expected = float(sum(s * money for s, money in zip(STAKES, mirrored, strict=True)))
    assert test.pass_evidence == pytest.approx(expected, rel=2e-3)
    (rate,) = test.rates
    assert (rate.looks, rate.seen.canary_bad, rate.seen.primary_total) == (3, 6, 270_000)


def test_dispersion_takes_the_root_of_what_a_look_says():
    look = counts(canary_bad=7, canary_total=100, primary_bad=3, primary_total=900)

    test = begun(harmful_ratio=16).look([look], dispersion=3)

    roots = [float(likelihood_ratio(factor, 1, look)) ** (1 / 3) for factor in FACTORS]
    in_play = sum(weight * root for weight, root in zip(WEIGHTS, roots, strict=True))
    assert test.evidence == pytest.approx(0.8 * in_play + 0.2, rel=3e-4)


@pytest.mark.parametrize(
    ("name", "looks", "verdict"),
    [
        ("nothing seen yet", [], Verdict.INCONCLUSIVE),
        ("one canary error, one time", [counts(1)], Verdict.INCONCLUSIVE),
        ("ten times the errors, one look", [counts(10, 200, 14, 2800)], Verdict.FAIL),
        ("twice the errors, one look", [counts(2, 200, 14, 2800)], Verdict.INCONCLUSIVE),
        ("twice the errors, for long", [counts(2, 200, 14, 2800)] * 20, Verdict.FAIL),
        ("as many errors, one look", [counts(1, 200, 14, 2800)], Verdict.INCONCLUSIVE),
        ("as many errors, for long", [counts(1, 200, 14, 2800)] * 30, Verdict.PASS),
        ("fewer errors", [counts(0, 200, 14, 2800)] * 10, Verdict.PASS),
        ("no errors anywhere, however long", [counts(0, 1e6, 0, 1e6)] * 50, Verdict.INCONCLUSIVE),
        ("a fifth of all requests, alike", [counts(200, 1000, 1800, 9000)] * 2, Verdict.PASS),
        ("a fifth of all requests, half more", [counts(300, 1000, 1800, 9000)] * 2, Verdict.FAIL),
        ("nine in ten on the primary, all on the canary", [counts(100, 100, 810, 900)] * 4, Verdict.FAIL),
        ("all requests bad on both", [counts(100, 100, 900, 900)] * 9, Verdict.PASS),
        ("a million million requests, alike", [counts(5e9, 1e12, 5e9, 1e12)] * 3, Verdict.PASS),
        ("a million million requests, a third worse", [counts(6.7e9, 1e12, 5e9, 1e12)] * 3, Verdict.FAIL),
        ("parts of requests", [counts(0.3, 20.5, 1.5, 280.25)] * 5, Verdict.INCONCLUSIVE),
        (
            "worse, then good: a rollback stands",
            [counts(20, 200, 14, 2800), *[counts(0, 200, 14, 2800)] * 40],
            Verdict.FAIL,
        ),
        (
            "good, then worse: FAIL outranks PASS",
            [*[counts(1, 200, 14, 2800)] * 40, *[counts(20, 200, 14, 2800)] * 2],
            Verdict.FAIL,
        ),
    ],
)
def test_verdict(name, looks, verdict):
    test = begun()
    for look in looks:
        test = test.look([look])
    assert test.skipped is None
    assert test.verdict is verdict
    assert math.isfinite(test.evidence)
    assert math.isfinite(test.pass_evidence)
    assert 0 < test.p_value <= 1
    assert (test.verdict is Verdict.FAIL) == (test.p_value <= 0.05)


def test_a_pass_lapses_when_the_canary_gets_worse_though_not_bad_enough_to_fail():
    test = begun()
    while test.verdict is not Verdict.PASS:
        test = test.look([counts(1, 200, 14, 2800)])
    test = test.look([counts(4, 200, 14, 2800)])
    assert test.verdict is Verdict.INCONCLUSIVE


def test_harm_that_begins_late_is_found_almost_as_soon_as_harm_from_the_start():
    healthy, harmed = counts(5, 1000, 45, 9000), counts(20, 1000, 45, 9000)
    late = begun()
    for _ in range(200):
        late = late.look([healthy])
    early = begun()
    needed = [0, 0]
    for index, test in enumerate((early, late)):
        while test.verdict is not Verdict.FAIL:
            test = test.look([harmed])  # noqa: PLW2901 - the loop is over starting points
            needed[index] += 1
    assert needed in ([1, 1], [1, 2])


def test_sharing_alpha_raises_the_bar_for_fail_alone():
    one, four = begun(), begun(metrics=4)
    verdicts = []
    for _ in range(12):
        one, four = (test.look([counts(3, 200, 14, 2800)]) for test in (one, four))
        verdicts.append((one.verdict, four.verdict))
    assert (Verdict.FAIL, Verdict.INCONCLUSIVE) in verdicts
    assert verdicts[-1] == (Verdict.FAIL, Verdict.FAIL)
    assert one.p_value == four.p_value

    one, four = begun(), begun(metrics=4)
    for _ in range(30):
        one, four = (test.look([counts(1, 200, 14, 2800)]) for test in (one, four))
        assert one.verdict is four.verdict
    assert four.verdict is Verdict.PASS


def test_the_ratio_for_messages_is_free_of_simpsons_paradox():
    # Both sides alike in each look, but the canary has most of its requests in the bad hour.
    test = begun().look([counts(1, 100, 9, 900)]).look([counts(50, 500, 50, 500)])
    assert test.rates[0].observed_ratio == pytest.approx(1.0)
    assert begun().look([counts(3)]).rates[0].observed_ratio is None


@pytest.mark.parametrize(
    ("look", "reason"),
    [
        (counts(canary_total=-1), "-1 requests of the canary since the last look are not a count"),
        (counts(primary_bad=-0.5), "-0.5 bad requests of the primary since the last look are not a count"),
        (counts(canary_bad=math.nan), "nan bad requests of the canary since the last look are not a count"),
        (counts(primary_total=math.inf), "inf requests of the primary since the last look are not a count"),
        (counts(primary_total=1e16), "1e+16 requests of the primary since the last look are not a count"),
        (counts(canary_bad=101), "the canary has more bad requests (101) than requests (100)"),
        (counts(primary_bad=901), "the primary has more bad requests (901) than requests (900)"),
        (counts(canary_total=0), "the canary had no requests since the last look"),
        (counts(primary_total=0), "the primary had no requests since the last look"),
    ],
)
def test_a_look_that_cannot_count_leaves_the_evidence_and_says_why(look, reason):
    before = begun().look([counts(4, 100, 9, 900)])
    after = before.look([look])
    assert after == before.skip(reason)
    assert after.look([counts(1)]) == before.look([counts(1)])


@pytest.mark.parametrize("dispersion", [0.9, math.nan, math.inf])
def test_less_dispersion_than_one_would_invent_evidence_and_is_refused(dispersion):
    with pytest.raises(EvidenceError, match="a dispersion from 1"):
        begun().look([counts()], dispersion)


def test_a_look_has_counts_for_every_rate():
    with pytest.raises(EvidenceError, match="a look needs 1 counts"):
        begun().look([counts(), counts()])


def test_bad_above_total_by_rounding_alone_counts_as_all_bad():
    test = begun().look([counts(canary_total=10.0, canary_bad=10.000000001)])
    assert test.skipped is None
    assert test.rates[0].seen.canary_bad == 10.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 0}, "alpha, the risk of a false alarm, must be above 0 and at most 0.5, is 0"),
        ({"alpha": 0.51}, "alpha, the risk of a false alarm, must be above 0 and at most 0.5, is 0.51"),
        ({"alpha": math.nan}, "alpha, the risk of a false alarm, must be above 0 and at most 0.5, is nan"),
        ({"harmless_ratio": 0}, "harmless ratio must be above 0 and below 1000, is 0"),
        ({"harmful_ratio": 1}, "harmful ratio must be above the harmless ratio 1 and at most 1000, is 1"),
        (
            {"harmless_ratio": 3, "harmful_ratio": 2},
            "harmful ratio must be above the harmless ratio 3 and at most 1000, is 2",
        ),
        ({"harmful_ratio": math.inf}, "harmful ratio must be above the harmless ratio 1 and at most 1000, is inf"),
        ({"metrics": 0}, "metrics, how many tests share alpha, must be at least 1, is 0"),
    ],
)
def test_a_question_out_of_range_is_refused_in_words(settings, message):
    with pytest.raises(EvidenceError) as caught:
        Question(**settings)
    assert str(caught.value) == message
    assert isinstance(caught.value, CanaryError)
    assert isinstance(caught.value, ValueError)


def test_a_test_without_a_rate_is_refused():
    with pytest.raises(EvidenceError, match="at least one rate"):
        SequentialTest.start(rates=0)


def test_a_test_is_a_value():
    test = begun()
    with pytest.raises(FrozenInstanceError):
        test.peak = 5
    assert test.look([counts(5)]) == test.look([counts(5)])
    assert test == begun()


def slower(*canary, primary=(400, 100, 20)):
    """A look at 100 requests of the canary and 1,000 of the primary: those above each of three edges."""
    return [counts(x, 100, y, 1000) for x, y in zip(canary, primary, strict=True)]


def test_of_several_rates_fail_takes_the_mean_and_pass_the_least():
    look = slower(45, 20, 1)
    test = SequentialTest.start(rates=3).look(look)
    alone = [begun().look([now]) for now in look]
    assert test.rates == tuple(each.rates[0] for each in alone)
    assert test.evidence == pytest.approx(sum(each.evidence for each in alone) / 3)
    assert test.pass_evidence == pytest.approx(min(each.pass_evidence for each in alone))
    assert test.strongest == 1


@pytest.mark.parametrize(
    ("name", "look", "verdict"),
    [
        ("alike", slower(40, 10, 2), Verdict.PASS),
        ("a little slower", slower(44, 12, 2.5), Verdict.FAIL),
        ("slow in the tail alone", slower(40, 10, 6), Verdict.FAIL),
        ("faster", slower(30, 5, 1), Verdict.PASS),
    ],
)
def test_verdict_by_three_rates_after_forty_looks(name, look, verdict):
    test = SequentialTest.start(rates=3)
    for _ in range(40):
        test = test.look(look)
    assert test.verdict is verdict


def test_one_rate_that_cannot_be_read_leaves_the_evidence_of_all():
    before = SequentialTest.start(rates=3).look(slower(45, 20, 1))
    after = before.look([*slower(45, 20, 1)[:2], counts(canary_bad=math.nan)])
    assert after == before.skip("nan bad requests of the canary since the last look are not a count")
