"""Evidence by example: values worked out another way, what is refused, and looks that cannot count."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from fractions import Fraction
from typing import Any

import pytest

from controller.api.errors import CanaryError
from controller.core.evidence.dispersion import REMEMBERED, Dispersion
from controller.core.evidence.e_values import WEIGHTS, Counts, Line
from controller.core.evidence.question import EvidenceError, Question, Verdict
from controller.core.evidence.sequential import RateTest, SequentialTest

EXPONENTS, FURTHEST = (0.25, 0.5, 1, 2, 3, 4), (1, 1, 1, 1, 4, 12)
INCIDENTS = 1.0062  # what is paid at every look for looks at which the primary has an incident
LINES: dict[str, Any] = {"harmless": Line(1.0), "harmful": Line(2.0)}
WIDE: dict[str, Any] = {"harmless": Line(1.0), "harmful": Line(16.0)}
MARGINS: dict[str, Any] = {"harmless": Line(1.25, 0.001), "harmful": Line(2.0, 0.02)}


def counts(canary_bad=0.0, canary_total=100.0, primary_bad=0.0, primary_total=900.0):
    return Counts(canary_total, canary_bad, primary_total, primary_bad)


def begun(**question):
    return SequentialTest.start(Question(**LINES | question))


def likelihood_ratio(look: Counts, alternative, null) -> float:
    """Of two binomials, by hand; a point is the bad rates of canary and primary."""
    sides = ((look.canary_total, look.canary_bad), (look.primary_total, look.primary_bad))
    return math.prod(
        float(a / b) ** bad * float((1 - a) / (1 - b)) ** (total - bad)
        for (total, bad), a, b in zip(sides, alternative, null, strict=True)
    )


def divergence(a: float, b: float) -> float:
    return sum(part * math.log(part / other) for part, other in ((a, b), (1 - a, 1 - b)) if part)


def nearest(look: Counts, line: Line, alternative: tuple[float, float]) -> tuple[float, float]:
    """The point of a line that is nearest to an alternative, cutting off the worse third again and again."""

    def distance(t: float) -> float:
        parts = zip((look.canary_total, look.primary_total), alternative, (line.at(t), t), strict=True)
        return sum(total * divergence(a, b) for total, a, b in parts)

    low, high = 1e-12, min(1, (1 - line.margin) / line.ratio) - 1e-12
    for _ in range(200):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, right) if distance(left) < distance(right) else (left, high)
    return line.at(low), low


def odds(rate: float) -> float:
    return rate / (1 - rate)


def e_values(look: Counts, question: Question, rate: float, *, harm: bool) -> list[float]:
    """Of one look, for every alternative at one rate of the primary."""
    near, far = (question.harmless, question.harmful) if harm else (question.harmful, question.harmless)
    step = far.ratio / near.ratio if harm else odds(near.at(rate)) / odds(far.at(rate))
    values = []
    for exponent, least in zip(EXPONENTS, FURTHEST, strict=True):
        factor = min(max(step**exponent, least), 1e4)
        moved = odds(near.at(rate)) * (factor if harm else 1 / factor)
        alternative = min(moved / (1 + moved), 0.99), rate
        values.append(likelihood_ratio(look, alternative, nearest(look, near, alternative)))
    return [value / INCIDENTS for value in values] if harm else values


def mean(values) -> float:
    return sum(weight * value for weight, value in zip(WEIGHTS, values, strict=True))


def capped(evidence: float) -> float:
    """The evidence of a first look."""
    return min(evidence, math.exp(2.0))


EXAMPLES = [
    ("no errors anywhere", {"canary_bad": 0, "primary_bad": 0}),
    ("one error, on the canary", {"canary_bad": 1, "primary_bad": 0}),
    ("errors by share", {"canary_bad": 1, "primary_bad": 9}),
    ("the canary worse", {"canary_bad": 4, "primary_bad": 9}),
    ("an even split", {"canary_bad": 5, "primary_bad": 2, "canary_total": 500, "primary_total": 500}),
]


@pytest.mark.parametrize(("name", "look"), EXAMPLES)
def test_the_first_look_against_equal_rates_worked_out_with_fractions(name, look):
    look = counts(**look)

    test = begun(**WIDE).look([look])

    values = []
    for factor in (2, 4, 16, 256, 4096, 10_000):  # 16 to the powers of the alternatives, 10^4 at most
        primary = Fraction(1, 100)
        canary = min(Fraction(factor, factor + 99), Fraction(99, 100))
        requests = int(look.canary_total), int(look.primary_total)
        equal = (requests[0] * canary + requests[1] * primary) / sum(requests)  # the nearest point has a closed form
        values.append(likelihood_ratio(look, (canary, primary), (equal, equal)) / INCIDENTS)
    assert test.evidence == pytest.approx(0.9 * mean(values) + 0.1, rel=3e-4)


@pytest.mark.parametrize(("name", "look"), EXAMPLES)
@pytest.mark.parametrize("lines", [WIDE, MARGINS], ids=["no margins", "margins"])
def test_the_first_look_against_the_nearest_point_of_a_line(name, look, lines):
    look, question = counts(**look), Question(**lines)

    test = SequentialTest.start(question).look([look])

    fail = capped(0.9 * mean(e_values(look, question, 0.01, harm=True)) + 0.1)
    assert test.evidence == pytest.approx(fail, rel=3e-4)
    assert test.pass_evidence == pytest.approx(capped(mean(e_values(look, question, 0.01, harm=False))), rel=3e-4)


@pytest.mark.parametrize("lines", [WIDE, MARGINS], ids=["no margins", "margins"])
def test_later_looks_multiply_and_late_stakes_enter_one_by_one(lines):
    look, question = counts(canary_bad=1, canary_total=20, primary_bad=1, primary_total=180), Question(**lines)
    test = SequentialTest.start(question)
    # Each alternative twice: at a rate of 1%, and at that of the looks before.
    in_play, mirrored = [[0.9] * 6, [0.9] * 6], [[1.0] * 6, [1.0] * 6]
    for number in (1, 2, 3):
        test = test.look([look])
        entry = 0.1 * 20 / ((19 + number) * (20 + number))
        before = number - 1
        for copy, guess in enumerate((0.01, (before + 0.1) / (180 * before + 10))):
            harm, good = (e_values(look, question, guess, harm=harm) for harm in (True, False))
            in_play[copy] = [money * value + entry for money, value in zip(in_play[copy], harm, strict=True)]
            mirrored[copy] = [money * value for money, value in zip(mirrored[copy], good, strict=True)]

    assert test.evidence == pytest.approx(0.1 * mean(in_play[0]) + 0.9 * mean(in_play[1]) + 0.1 * 20 / 23, rel=2e-3)
    assert test.pass_evidence == pytest.approx(0.1 * mean(mirrored[0]) + 0.9 * mean(mirrored[1]), rel=2e-3)
    (rate,) = test.rates
    assert (rate.looks, rate.seen.canary_bad, rate.seen.primary_total) == (3, 3, 540)


def at_dispersion(phi: float) -> RateTest:
    """A test that knows from before the rollout how much bad requests clump."""
    return RateTest(dispersion=Dispersion(squares=phi * REMEMBERED, seeded=True))


def test_dispersion_takes_the_root_of_what_a_look_says():
    look, question = counts(4, 100, 9, 900), Question(**WIDE)

    test = at_dispersion(3).look(question, look)

    roots = [(value * INCIDENTS) ** (1 / 3) / INCIDENTS for value in e_values(look, question, 0.01, harm=True)]
    assert math.exp(test.log_evidence) == pytest.approx(0.9 * mean(roots) + 0.1, rel=3e-4)
    roots = [value ** (1 / 3) for value in e_values(look, question, 0.01, harm=False)]
    assert math.exp(test.log_pass_evidence) == pytest.approx(mean(roots), rel=3e-4)


def test_no_look_decides_alone():
    broken, good = counts(100, 100, 0, 900), counts(0, 1e6, 0, 1e6)
    for look, evidence in ((broken, "log_evidence"), (good, "log_pass_evidence")):
        test = SequentialTest.start()
        for number in (1, 2, 3):
            test = test.look([look])
            assert getattr(test, evidence) == pytest.approx(2.0 * number, abs=1e-3)


def test_an_incident_of_the_primary_takes_no_evidence_of_harm_away():
    before = begun().look([counts(3, 100, 9, 900)])
    quiet, incident = (before.look([counts(0, 100, bad, 900)]) for bad in (9, 300))
    paid = math.log(INCIDENTS)
    assert quiet.log_evidence < before.log_evidence - 0.1
    assert before.log_evidence - paid - 1e-3 <= incident.log_evidence <= before.log_evidence
    assert incident.log_pass_evidence > before.log_pass_evidence + 1.9


@pytest.mark.parametrize(
    ("name", "looks", "verdict"),
    [
        ("nothing seen yet", [], Verdict.INCONCLUSIVE),
        ("one canary error, one time", [counts(1)], Verdict.INCONCLUSIVE),
        ("ten times the errors, one look", [counts(10, 200, 14, 2800)], Verdict.INCONCLUSIVE),
        ("ten times the errors, two looks", [counts(10, 200, 14, 2800)] * 2, Verdict.FAIL),
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
            [*[counts(20, 200, 14, 2800)] * 2, *[counts(0, 200, 14, 2800)] * 40],
            Verdict.FAIL,
        ),
        (
            "good, then worse: FAIL outranks PASS",
            [*[counts(1, 200, 14, 2800)] * 40, *[counts(20, 200, 14, 2800)] * 4],
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


@pytest.mark.parametrize(
    ("name", "looks", "verdict"),
    [
        ("three canary errors in 100,000, no others", [counts(3, 1e5, 0, 1e5)] * 2, Verdict.PASS),
        ("the same, one by one", [counts(1, 33_000, 0, 33_000)] * 3, Verdict.PASS),
        ("one canary error in 300, no others", [counts(1, 300, 0, 2700)], Verdict.INCONCLUSIVE),
        ("no errors anywhere, little traffic", [counts()] * 3, Verdict.INCONCLUSIVE),
        ("no errors anywhere", [counts(0, 300, 0, 2700)] * 3, Verdict.PASS),
        ("as many errors, for long", [counts(1, 200, 14, 2800)] * 30, Verdict.PASS),
        ("a quarter more of common errors", [counts(250, 1000, 1800, 9000)] * 30, Verdict.PASS),
        ("half more of common errors", [counts(300, 1000, 1800, 9000)] * 9, Verdict.FAIL),
        ("ten times the errors", [counts(10, 200, 14, 2800)] * 2, Verdict.FAIL),
        ("less than the margin above none", [counts(0.4, 1000, 0, 9000)] * 30, Verdict.PASS),
        ("half a percent above none", [counts(5, 1000, 0, 9000)] * 3, Verdict.FAIL),
        ("all requests bad on the canary", [counts(100, 100, 0, 900)] * 2, Verdict.FAIL),
    ],
)
def test_verdict_by_the_defaults(name, looks, verdict):
    test = SequentialTest.start()
    for look in looks:
        test = test.look([look])
    assert test.verdict is verdict


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
    assert needed == [2, 4]


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
    assert test.rates[0].ratio.value == pytest.approx(1.0)
    assert begun().look([counts(3)]).rates[0].ratio.value is None


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
        (
            {"harmless": Line(0)},
            "the harmful ratio must be above the harmless ratio, both above 0 and at most 1000; they are 2.0 and 0",
        ),
        (
            {"harmful": Line(1.25)},
            "the harmful ratio must be above the harmless ratio, both above 0 and at most 1000; they are 1.25 and 1.25",
        ),
        (
            {"harmful": Line(math.inf)},
            "the harmful ratio must be above the harmless ratio, both above 0 and at most 1000; they are inf and 1.25",
        ),
        (
            {"harmful": Line(2.0, 0.0)},
            "the harmful margin must not be below the harmless margin, both from 0 to 0.5; they are 0.0 and 0.0005",
        ),
        (
            {"harmless": Line(1.0, -0.1)},
            "the harmful margin must not be below the harmless margin, both from 0 to 0.5; they are 0.005 and -0.1",
        ),
        (
            {"harmful": Line(2.0, 0.51)},
            "the harmful margin must not be below the harmless margin, both from 0 to 0.5; they are 0.51 and 0.0005",
        ),
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
    test = SequentialTest.start(Question(**LINES), rates=3).look(look)
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
    test = SequentialTest.start(Question(**LINES), rates=3)
    for _ in range(40):
        test = test.look(look)
    assert test.verdict is verdict


def test_one_rate_that_cannot_be_read_leaves_the_evidence_of_all():
    before = SequentialTest.start(rates=3).look(slower(45, 20, 1))
    after = before.look([*slower(45, 20, 1)[:2], counts(canary_bad=math.nan)])
    assert after == before.skip("nan bad requests of the canary since the last look are not a count")
