"""Whole rollouts, simulated with fixed seeds: how often a healthy canary fails, how soon a bad one does."""

from __future__ import annotations

import math
from random import Random
from statistics import median

import pytest

from bench.evidence import latency
from bench.rivals import ALPHA, first_verdict, repeated_z_test
from bench.traffic import QUIET, Latencies, Traffic
from controller.core.evidence.planning import requests_to_fail, requests_to_pass
from controller.core.evidence.question import Question, Verdict

ROLLOUTS = 2000
# What a test with a risk of exactly alpha exceeds once in a thousand suites.
MOST_FALSE = ALPHA * ROLLOUTS + 3.1 * math.sqrt(ROLLOUTS * ALPHA * (1 - ALPHA))
STEPPING = (0.05,) * 4 + (0.10,) * 4 + (0.25,) * 4 + (0.50,) * 28


def jumping_shares(random):
    return [random.choice((0.02, 0.1, 0.3, 0.5, 0.8)) for _ in range(40)]


@pytest.mark.parametrize(
    ("name", "traffic", "question", "verdict"),
    [
        ("steps of the weight", {"rate": 0.005, "shares": STEPPING}, {}, Verdict.FAIL),
        (
            "a load that swings, weights that jump",
            {"rate": 0.01, "load_drift": 0.8, "requests": 1000},
            {},
            Verdict.FAIL,
        ),
        ("errors that are common", {"rate": 0.2, "shares": STEPPING, "requests": 200}, {}, Verdict.FAIL),
        (
            "half more errors, called harmless, at a third of all requests",
            {"rate": 0.3, "ratio": 1.5, "shares": STEPPING, "requests": 200},
            {"harmless_ratio": 1.5, "harmful_ratio": 2},
            Verdict.FAIL,
        ),
        ("a false PASS of twice the errors", {"rate": 0.01, "ratio": 2, "shares": STEPPING}, {}, Verdict.PASS),
        (
            "a false PASS of twice the errors, common ones",
            {"rate": 0.2, "ratio": 2, "load_drift": 0.5, "requests": 100},
            {},
            Verdict.PASS,
        ),
    ],
)
def test_a_wrong_verdict_comes_as_seldom_as_promised_over_whole_rollouts(name, traffic, question, verdict):
    random = Random(name)
    wrong = 0
    for _ in range(ROLLOUTS):
        shares = traffic.get("shares") or jumping_shares(random)
        rollout = Traffic(**traffic | {"shares": shares}).rollout(random)
        wrong += first_verdict(rollout, verdict, Question(**question)) is not None
    assert wrong <= MOST_FALSE, f"{wrong} of {ROLLOUTS}"


def test_the_same_rollouts_catch_a_test_that_is_not_valid_at_every_look():
    random = Random("steps of the weight")
    traffic = Traffic(rate=0.005, shares=STEPPING)
    wrong = sum(repeated_z_test(traffic.rollout(random)) is not None for _ in range(ROLLOUTS))
    assert wrong > 5 * MOST_FALSE


def test_clumped_errors_keep_the_risk_when_dispersion_is_measured_and_break_it_when_not():
    random = Random("clumps")
    traffic = Traffic(rate=0.005, clump=5, shares=QUIET[:30] + STEPPING[:30])
    careless = careful = 0
    for _ in range(ROLLOUTS):
        rollout = traffic.rollout(random)
        careless += careless < 500 and first_verdict(rollout, Verdict.FAIL) is not None
        careful += first_verdict(rollout, Verdict.FAIL, measured=True) is not None
    assert careful <= MOST_FALSE, f"{careful} of {ROLLOUTS}"
    assert careless == 500


@pytest.mark.parametrize(
    ("name", "traffic", "verdict", "at_most"),
    [
        ("half more errors", {"rate": 0.005, "ratio": 1.5}, Verdict.FAIL, 24),
        ("twice the errors", {"rate": 0.005, "ratio": 2}, Verdict.FAIL, 12),
        ("four times the errors", {"rate": 0.005, "ratio": 4}, Verdict.FAIL, 3),
        ("ten times the errors", {"rate": 0.005, "ratio": 10}, Verdict.FAIL, 1),
        ("four times very rare errors", {"rate": 0.0005, "ratio": 4}, Verdict.FAIL, 15),
        ("half more of common errors, little traffic", {"rate": 0.2, "ratio": 1.5, "requests": 100}, Verdict.FAIL, 17),
        ("as good as the primary", {"rate": 0.005}, Verdict.PASS, 12),
        ("a third of the errors", {"rate": 0.005, "ratio": 0.3}, Verdict.PASS, 6),
    ],
)
def test_half_of_the_rollouts_have_their_verdict_within_so_many_looks(name, traffic, verdict, at_most):
    random = Random(name)
    looks = [first_verdict(Traffic(**traffic).rollout(random), verdict) or math.inf for _ in range(400)]
    assert median(looks) <= at_most


@pytest.mark.parametrize(
    ("name", "slower", "at_most"),
    [("a tenth slower throughout", {"slowdown": 1.1}, 10), ("2% of requests ten times slower", {"stuck": 0.02}, 8)],
)
def test_half_of_the_slow_canaries_fail_within_so_many_looks(name, slower, at_most):
    random = Random(name)
    edges = (25, 50, 100, 250, 500, 1000)
    looks = [latency(Latencies(edges_ms=edges, **slower).rollout(random)) or math.inf for _ in range(40)]
    assert median(looks) <= at_most


@pytest.mark.parametrize(
    ("name", "rate", "ratio", "verdict"),
    [
        ("twice rare errors", 0.005, 2, Verdict.FAIL),
        ("four times rare errors", 0.005, 4, Verdict.FAIL),
        ("half more of common errors", 0.2, 1.5, Verdict.FAIL),
        ("as good as the primary", 0.005, 1, Verdict.PASS),
        ("as good as the primary, common errors", 0.2, 1, Verdict.PASS),
    ],
)
def test_the_plan_is_near_the_middle_of_what_happens(name, rate, ratio, verdict):
    plan = requests_to_fail if verdict is Verdict.FAIL else requests_to_pass
    planned = plan(Question(), primary_rate=rate, ratio=ratio, canary_share=0.1)
    # As many requests a look as take about 20 looks, at a canary share of a tenth.
    requests = round(planned / 0.1 / 20)
    traffic = Traffic(rate=rate, ratio=ratio, requests=requests, shares=(0.1,) * 120)
    random = Random(name)
    looks = [first_verdict(traffic.rollout(random), verdict) or math.inf for _ in range(150)]
    assert median(looks) * requests * 0.1 == pytest.approx(planned, rel=0.35)
