"""How much bad requests clump, by example."""

from __future__ import annotations

import math
from random import Random

import pytest

from controller.core.evidence.dispersion import REMEMBERED, Dispersion, clumping
from controller.core.evidence.e_values import Counts
from controller.core.evidence.question import EvidenceError, Question
from controller.core.evidence.sequential import SequentialTest

START = Dispersion()


def counts(canary_bad: float, primary_bad: float, canary_total: float = 1000, primary_total: float = 1000) -> Counts:
    return Counts(canary_total, canary_bad, primary_total, primary_bad)


def after(*looks: Counts, estimate: Dispersion = START) -> Dispersion:
    for look in looks:
        estimate = estimate.look(look)
    return estimate


def test_it_is_half_the_squared_difference_of_z_from_look_to_look_worked_out_by_hand():
    # Half of the requests each: of 100 bad ones 50 are the canary's, give or take 5.
    one, other = counts(60, 40), counts(45, 55)
    assert after(one).last == 2.0
    assert after(one).squares == REMEMBERED
    assert after(one, other).last == -1.0
    assert after(one, other).squares == pytest.approx(0.9 * 10 + (2 + 1) ** 2 / 2)
    assert after(one, other, one).squares == pytest.approx(0.9 * (0.9 * 10 + 4.5) + 4.5)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_z_is_by_the_canary_s_share_of_the_requests(share):
    estimate = after(counts(30, 70, 1000 * share, 1000 * (1 - share)))
    assert estimate.last == pytest.approx((30 - 100 * share) / math.sqrt(100 * share * (1 - share)), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "looks", "phi"),
    [
        ("nothing", [], 1.0),
        ("one look, whatever it says", [counts(100, 0)], 1.0),
        ("no errors", [counts(0, 0)] * 20, 1.0),
        ("a canary that is always as bad", [counts(30, 10)] * 40, 1.0),
        ("a canary that becomes bad once", [counts(10, 10)] * 5 + [counts(30, 10)] * 40, 1.0),
        ("what chance brings", [counts(10, 10), counts(14, 6), counts(9, 11), counts(6, 14)] * 10, 1.0),
        ("bursts on the canary", [counts(0, 10), counts(40, 10)] * 20, 27.0),
        ("bursts on the primary", [counts(10, 0), counts(10, 40)] * 20, 27.0),
    ],
)
def test_clumps_raise_it_and_a_canary_that_is_worse_does_not(name, looks, phi):
    assert after(*looks).value == pytest.approx(phi, abs=0.5)


def test_clumps_are_forgotten():
    clumped = after(*[counts(0, 20), counts(20, 0)] * 10)
    assert clumped.value > 5
    assert after(*[counts(10, 10)] * 10, estimate=clumped).value < clumped.value / 2
    assert after(*[counts(10, 10)] * 40, estimate=clumped).value == 1.0


def test_looks_with_few_bad_requests_are_taken_together_until_they_say_something():
    one = after(counts(1, 0))
    assert (one.last, one.excess, one.variance) == (None, 0.5, 0.25)
    assert after(counts(1, 0), counts(1, 0)) == Dispersion(last=round(math.sqrt(2), 6))


def test_an_incident_of_the_primary_teaches_nothing():
    test = SequentialTest.start().look([counts(10, 10)])
    (before,) = test.rates
    (incident,) = test.look([counts(10, 500)]).rates
    assert incident.dispersion == before.dispersion
    assert test.look([counts(500, 10)]).rates[0].dispersion != before.dispersion


@pytest.mark.parametrize(
    ("name", "look", "ratio", "incident"),
    [
        ("alike", counts(10, 10), 1.25, False),
        ("a canary that is worse", counts(500, 10), 1.25, False),
        ("no errors", counts(0, 0), 1.25, False),
        ("a primary that is much worse", counts(10, 50), 1.25, True),
        ("a single error where the canary has nearly all requests", counts(0, 1, 1000, 50), 1.0, False),
        ("half the errors, as was asked", counts(25, 50), 0.5, False),
        ("half the errors, which is not below what was asked", counts(250, 500), 0.5, False),
        ("a fifth of the errors where half was asked", counts(20, 100), 0.5, True),
    ],
)
def test_what_chance_brings_is_no_incident(name, look, ratio, incident):
    assert START.is_incident(look, ratio) is incident


def test_where_bad_requests_clump_it_takes_more_for_an_incident():
    look = counts(10, 50)
    assert START.is_incident(look, 1.0)
    assert not Dispersion(squares=10 * REMEMBERED).is_incident(look, 1.0)


def test_it_is_known_from_the_primary_s_looks_before_the_rollout():
    # Of 1,000 requests 1% fail, give or take 3.15: of two looks the rates differ by 1.
    estimate = Dispersion.seed([(1000, 0), (1000, 20)])
    assert estimate.seeded
    assert estimate.squares == pytest.approx(0.9 * 10 + 20**2 / (2 * 1000 * 0.01 * 0.99), abs=1e-3)
    assert Dispersion.seed([(1000, 10)] * 30).value == 1.0
    assert Dispersion.seed([(1000, 0), (1000, 60)] * 15).value > 5


@pytest.mark.parametrize("primary", [[(1000, 0)] * 9, [(1000, 1000)] * 9])
def test_a_primary_that_fails_never_or_always_teaches_nothing(primary):
    assert Dispersion.seed(primary) == START


def test_evidence_is_divided_by_what_was_known_before_and_else_by_what_the_look_shows_too():
    looks, burst = [counts(4, 10), counts(40, 10)] * 4, counts(60, 10)
    test = SequentialTest.start(Question())
    for look in looks:
        test = test.look([look])
    (rate,) = test.rates
    assert rate.dispersion.value > 1
    seeded = SequentialTest.start(Question()).seed([(1000, 10)] * 30)
    assert seeded.rates[0].dispersion.seeded
    assert seeded.look([burst]).evidence > test.look([burst]).evidence / test.evidence


@pytest.mark.parametrize(
    ("clump", "expected"), [(1, pytest.approx(1)), (5, pytest.approx(5, rel=0.25)), (20, pytest.approx(20, rel=0.4))]
)
def test_over_many_looks_it_is_the_size_of_the_clumps(clump, expected):
    random = Random(1)
    looks = [(3000.0, clump * sum(random.random() < 0.01 for _ in range(3000 // clump))) for _ in range(200)]
    assert clumping(looks) == expected


@pytest.mark.parametrize("looks", [[], [(100, 1)], [(0, 0), (0, 0)], [(100, 0)] * 9, [(100, 100)] * 9])
def test_looks_that_say_nothing_have_no_clumps(looks):
    assert clumping(looks) == 1.0


@pytest.mark.parametrize(
    "change", [{"squares": -1.0}, {"squares": math.inf}, {"squares": math.nan}, {"variance": -1.0}]
)
def test_a_dispersion_that_cannot_be_is_refused(change):
    with pytest.raises(EvidenceError, match="dispersion must be finite and not negative"):
        Dispersion(**change)
