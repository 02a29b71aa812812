"""Evidence by example: values worked out with fractions, what is refused, and looks that cannot count."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError
from fractions import Fraction

import pytest

from controller.api.errors import CanaryError
from controller.core.evidence.e_values import WEIGHTS
from controller.core.evidence.sequential import EvidenceError, LatencyTest, RateTest, Verdict

# With a harmful ratio of 16 the alternatives are whole numbers: 16^(1/4), 16^(1/2), 16, 16^2, 16^3, and 10^4 for 16^4.
FACTORS = (2, 4, 16, 256, 4096, 10_000)
STAKES = [Fraction(weight) for weight in WEIGHTS]


def counts(canary_bad=0.0, canary_total=100.0, primary_bad=0.0, primary_total=900.0):
    return {
        "canary_total": canary_total,
        "canary_bad": canary_bad,
        "primary_total": primary_total,
        "primary_bad": primary_bad,
    }


def likelihood_ratio(factor, null_ratio, *, canary_total, canary_bad, primary_total, primary_bad):
    """Binomial(x+y, p_f) against Binomial(x+y, p), by hand."""
    at_null = Fraction(null_ratio * canary_total, null_ratio * canary_total + primary_total)
    weighted = factor * null_ratio * canary_total
    at_factor = Fraction(weighted) / (weighted + primary_total)
    return (at_factor / at_null) ** canary_bad * ((1 - at_factor) / (1 - at_null)) ** primary_bad


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

    test = RateTest.start(harmful_ratio=16).look(**look)

    ratios = [likelihood_ratio(factor, 1, **look) for factor in FACTORS]
    in_play = sum(stake * ratio for stake, ratio in zip(STAKES, ratios, strict=True))
    assert test.evidence == pytest.approx(float(Fraction(4, 5) * in_play + Fraction(1, 5)), rel=3e-4)
    mirrored = [likelihood_ratio(Fraction(1, factor), 16, **look) for factor in FACTORS]
    assert test.pass_evidence == pytest.approx(
        float(sum(stake * ratio for stake, ratio in zip(STAKES, mirrored, strict=True))), rel=3e-4
    )


def test_later_looks_multiply_and_late_stakes_enter_one_by_one():
    look = counts(canary_bad=2, canary_total=10_000, primary_bad=4, primary_total=90_000)
    test = RateTest.start(harmful_ratio=16)
    in_play, mirrored = [Fraction(4, 5)] * 6, [Fraction(1)] * 6
    for number in (1, 2, 3):
        test = test.look(**look)
        entry = Fraction(1, 5) * 20 / ((19 + number) * (20 + number))
        in_play = [
            money * likelihood_ratio(factor, 1, **look) + entry for money, factor in zip(in_play, FACTORS, strict=True)
        ]
        mirrored = [
            money * likelihood_ratio(Fraction(1, factor), 16, **look)
            for money, factor in zip(mirrored, FACTORS, strict=True)
        ]
    held_back = Fraction(1, 5) * 20 / 23

    # The other copy of each alternative expects the primary's 4 in 90,000: so rare that E hardly differs.
    expected = float(sum(s * money for s, money in zip(STAKES, in_play, strict=True)) + held_back)
    assert test.evidence == pytest.approx(expected, rel=2e-3)
    expected = float(sum(s * money for s, money in zip(STAKES, mirrored, strict=True)))
    assert test.pass_evidence == pytest.approx(expected, rel=2e-3)
    assert (test.looks, test.seen.canary_bad, test.seen.primary_total) == (3, 6, 270_000)


def test_dispersion_takes_the_root_of_what_a_look_says():
    look = counts(canary_bad=7, canary_total=100, primary_bad=3, primary_total=900)

    test = RateTest.start(harmful_ratio=16).look(**look, dispersion=3)

    roots = [float(likelihood_ratio(factor, 1, **look)) ** (1 / 3) for factor in FACTORS]
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
    test = RateTest.start()
    for look in looks:
        test = test.look(**look)
    assert test.skipped is None
    assert test.verdict is verdict
    assert math.isfinite(test.evidence)
    assert math.isfinite(test.pass_evidence)
    assert 0 < test.p_value <= 1
    assert (test.verdict is Verdict.FAIL) == (test.p_value <= 0.05)


def test_a_pass_lapses_when_the_canary_gets_worse_though_not_bad_enough_to_fail():
    test = RateTest.start()
    while test.verdict is not Verdict.PASS:
        test = test.look(**counts(1, 200, 14, 2800))
    test = test.look(**counts(4, 200, 14, 2800))
    assert test.verdict is Verdict.INCONCLUSIVE


def test_harm_that_begins_late_is_found_almost_as_soon_as_harm_from_the_start():
    healthy, harmed = counts(5, 1000, 45, 9000), counts(20, 1000, 45, 9000)
    late = RateTest.start()
    for _ in range(200):
        late = late.look(**healthy)
    early = RateTest.start()
    needed = [0, 0]
    for index, test in enumerate((early, late)):
        while test.verdict is not Verdict.FAIL:
            test = test.look(**harmed)  # noqa: PLW2901 - the loop is over starting points
            needed[index] += 1
    assert needed in ([1, 1], [1, 2])


def test_sharing_alpha_raises_the_bar_for_fail_alone():
    one, four = RateTest.start(), RateTest.start(metrics=4)
    verdicts = []
    for _ in range(12):
        one, four = (test.look(**counts(3, 200, 14, 2800)) for test in (one, four))
        verdicts.append((one.verdict, four.verdict))
    assert (Verdict.FAIL, Verdict.INCONCLUSIVE) in verdicts
    assert verdicts[-1] == (Verdict.FAIL, Verdict.FAIL)
    assert one.p_value == four.p_value

    one, four = RateTest.start(), RateTest.start(metrics=4)
    for _ in range(30):
        one, four = (test.look(**counts(1, 200, 14, 2800)) for test in (one, four))
        assert one.verdict is four.verdict
    assert four.verdict is Verdict.PASS


def test_the_ratio_for_messages_is_free_of_simpsons_paradox():
    # Both sides alike in each look, but the canary has most of its requests in the bad hour.
    test = RateTest.start().look(**counts(1, 100, 9, 900)).look(**counts(50, 500, 50, 500))
    assert test.observed_ratio == pytest.approx(1.0)
    assert RateTest.start().look(**counts(3)).observed_ratio is None


@pytest.mark.parametrize(
    ("look", "reason"),
    [
        (counts(canary_total=-1), "canary_total is -1: a count since the last look cannot be negative"),
        (counts(primary_bad=-0.5), "primary_bad is -0.5: a count since the last look cannot be negative"),
        (counts(canary_bad=math.nan), "canary_bad is nan, not a number of requests"),
        (counts(primary_total=math.inf), "primary_total is inf, not a number of requests"),
        (counts(primary_total=1e16), "primary_total is 1e+16: more than 1e+15 requests in one look cannot be"),
        (counts(canary_bad=101), "canary_bad 101 is more than canary_total 100"),
        (counts(primary_bad=901), "primary_bad 901 is more than primary_total 900"),
        (counts(canary_total=0), "the canary had no requests since the last look"),
        (counts(primary_total=0), "the primary had no requests since the last look"),
        (
            counts() | {"dispersion": 0.9},
            "dispersion is 0.9; it must be a finite number from 1, less would invent evidence",
        ),
        (
            counts() | {"dispersion": math.nan},
            "dispersion is nan; it must be a finite number from 1, less would invent evidence",
        ),
    ],
)
def test_a_look_that_cannot_count_leaves_the_evidence_and_says_why(look, reason):
    before = RateTest.start().look(**counts(4, 100, 9, 900))
    after = before.look(**look)
    assert after == before.skip(reason)
    assert after.look(**counts(1)) == before.look(**counts(1))


def test_bad_above_total_by_rounding_alone_counts_as_all_bad():
    test = RateTest.start().look(**counts(canary_total=10.0, canary_bad=10.000000001))
    assert test.skipped is None
    assert test.seen.canary_bad == 10.0


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
        ({"metrics": 0}, "metrics, how many tests share alpha, must be a whole number from 1, is 0"),
        ({"metrics": 1.5}, "metrics, how many tests share alpha, must be a whole number from 1, is 1.5"),
        ({"metrics": True}, "metrics, how many tests share alpha, must be a whole number from 1, is True"),
    ],
)
def test_a_question_out_of_range_is_refused_in_words(settings, message):
    for start in (RateTest.start, lambda **given: LatencyTest.start(edges_ms=[100], **given)):
        with pytest.raises(EvidenceError) as caught:
            start(**settings)
        assert str(caught.value) == message
        assert isinstance(caught.value, CanaryError)
        assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([], "edges_ms must name at least one upper edge of the histogram, is empty"),
        ([100, 100], "edges_ms must rise, is 100, 100"),
        ([250, 100], "edges_ms must rise, is 250, 100"),
        ([0, 100], "edges_ms must be finite and above 0 (+Inf is implied), is 0, 100"),
        ([100, math.inf], "edges_ms must be finite and above 0 (+Inf is implied), is 100, +Inf"),
    ],
)
def test_edges_that_are_none_are_refused(edges, message):
    with pytest.raises(EvidenceError) as caught:
        LatencyTest.start(edges_ms=edges)
    assert str(caught.value) == message


def test_a_test_is_a_value():
    test = RateTest.start()
    with pytest.raises(FrozenInstanceError):
        test.looks = 5  # type: ignore[misc]
    assert test.look(**counts(5)) == test.look(**counts(5))
    assert test == RateTest.start()


def buckets(total, *below):
    return {**dict(zip((100, 250, 500), below, strict=True)), math.inf: total}


PRIMARY = buckets(1000, 600, 900, 980)


def test_latency_is_the_mean_over_edges_for_fail_and_the_least_for_pass():
    canary = buckets(100, 55, 80, 99)
    test = LatencyTest.start(edges_ms=[100, 250, 500]).look(canary_buckets=canary, primary_buckets=PRIMARY)

    slow = ((45, 400), (20, 100), (1, 20))
    alone = [RateTest.start(harmful_ratio=1.5).look(**counts(x, 100, y, 1000)) for x, y in slow]
    assert test.tests == tuple(alone)
    assert test.evidence == pytest.approx(sum(each.evidence for each in alone) / 3)
    assert test.pass_evidence == pytest.approx(min(each.pass_evidence for each in alone))
    assert test.strongest_edge_ms == 250


@pytest.mark.parametrize(
    ("name", "canary", "verdict"),
    [
        ("alike", buckets(1000, 600, 900, 980), Verdict.PASS),
        ("a little slower", buckets(1000, 560, 885, 976), Verdict.FAIL),
        ("slow in the tail alone", buckets(1000, 600, 900, 950), Verdict.FAIL),
        ("faster", buckets(1000, 700, 950, 990), Verdict.PASS),
    ],
)
def test_latency_verdict_after_twenty_looks(name, canary, verdict):
    test = LatencyTest.start(edges_ms=[100, 250, 500])
    for _ in range(20):
        test = test.look(canary_buckets=canary, primary_buckets=PRIMARY)
    assert test.verdict is verdict


@pytest.mark.parametrize(
    ("canary", "primary", "reason"),
    [
        ({100: 5, 250: 6, 500: 6}, PRIMARY, "the canary's histogram has no bucket up to +Inf ms; it has 100, 250, 500"),
        (PRIMARY, {math.inf: 9}, "the primary's histogram has no bucket up to 100, 250, 500 ms; it has +Inf"),
        (PRIMARY, {}, "the primary's histogram has no bucket up to 100, 250, 500, +Inf ms; it has none"),
        (
            buckets(100, 60, 50, 98),
            PRIMARY,
            "the canary's bucket up to 250 ms holds 50, less than the 60 up to 100 ms: cumulative counts cannot fall",
        ),
        (
            PRIMARY,
            buckets(97, 60, 70, 98),
            "the primary's bucket up to +Inf ms holds 97, less than the 98 up to 500 ms: cumulative counts cannot fall",
        ),
        (buckets(100, -1, 50, 98), PRIMARY, "the canary's bucket up to 100 ms is -1, not a number of requests"),
        (buckets(100, 1, math.nan, 98), PRIMARY, "the canary's bucket up to 250 ms is nan, not a number of requests"),
        (buckets(0, 0, 0, 0), PRIMARY, "the canary had no requests since the last look"),
    ],
)
def test_histograms_that_cannot_be_read_leave_the_evidence_and_say_why(canary, primary, reason):
    before = LatencyTest.start(edges_ms=[100, 250, 500]).look(
        canary_buckets=buckets(100, 50, 80, 99), primary_buckets=PRIMARY
    )
    assert before.look(canary_buckets=canary, primary_buckets=primary) == before.skip(reason)


def test_histograms_may_have_more_edges_than_the_test():
    finer = {50: 20, **buckets(100, 55, 80, 99), 1000: 100}
    plain = LatencyTest.start(edges_ms=[250])
    assert plain.look(canary_buckets=finer, primary_buckets=PRIMARY) == plain.look(
        canary_buckets=buckets(100, 55, 80, 99), primary_buckets=PRIMARY
    )


def test_status_in_full():
    test = RateTest.start(metrics=2).look(**counts(3, 100, 9, 900)).skip("Prometheus gave no answer")
    assert test.to_status() == {
        "alpha": 0.05,
        "harmlessRatio": 1.0,
        "harmfulRatio": 2.0,
        "metrics": 2,
        "looks": 1,
        "canaryTotal": 100.0,
        "canaryBad": 3.0,
        "primaryTotal": 900.0,
        "primaryBad": 9.0,
        "weightedBad": [2.7, 0.9],
        "worse": list(test.worse),
        "better": list(test.better),
        "peak": test.peak,
        "skipped": "Prometheus gave no answer",
    }
    assert all(round(value, 4) == value for value in (*test.worse, *test.better, test.peak))
    assert len(json.dumps(test.to_status())) < 600


SAVED = RateTest.start().look(**counts(3)).to_status()
SAVED_LATENCY = LatencyTest.start(edges_ms=[100]).to_status()


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        (SAVED | {"peak": None}, "saved evidence: peak must be a finite number, is None"),
        (SAVED | {"peak": math.nan}, "saved evidence: peak must be a finite number, is nan"),
        (SAVED | {"looks": 1.5}, "saved evidence: looks must be a whole number from 0, is 1.5"),
        (SAVED | {"looks": "3"}, "saved evidence: looks must be a finite number, is '3'"),
        (SAVED | {"worse": [1.0]}, "saved evidence: worse must be a list of 12 numbers, is [1.0]"),
        (SAVED | {"better": [*[0.0] * 11, True]}, "saved evidence: better[11] must be a finite number, is True"),
        (SAVED | {"skipped": 3}, "saved evidence: skipped must be text, is 3"),
        (SAVED | {"alpha": 2}, "alpha, the risk of a false alarm, must be above 0 and at most 0.5, is 2.0"),
    ],
)
def test_a_saved_test_that_is_damaged_is_refused_with_the_field(saved, message):
    with pytest.raises(EvidenceError) as caught:
        RateTest.from_status(saved)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        (SAVED_LATENCY | {"edges": None}, "saved evidence: edges must be a list of objects, is None"),
        (SAVED_LATENCY | {"edges": [3]}, "saved evidence: edges must be a list of objects, is [3]"),
        (SAVED_LATENCY | {"edges": []}, "edges_ms must name at least one upper edge of the histogram, is empty"),
        (SAVED_LATENCY | {"edges": [{}]}, "saved evidence: ms must be a finite number, is None"),
    ],
)
def test_a_saved_latency_test_that_is_damaged_is_refused_with_the_field(saved, message):
    with pytest.raises(EvidenceError) as caught:
        LatencyTest.from_status(saved)
    assert str(caught.value) == message
