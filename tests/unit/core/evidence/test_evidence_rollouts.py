"""Whole rollouts, simulated with fixed seeds: how often a healthy canary fails, how soon a bad one does."""

from __future__ import annotations

import math
from random import Random
from statistics import median
from typing import Any

import pytest

from bench.evidence import latency
from bench.rivals import ALPHA, first_verdict, repeated_z_test
from bench.traffic import Clumps, Latencies, Restarts, Traffic, gamma_mixed, outage, sick_pod
from controller.core.evidence.e_values import Line
from controller.core.evidence.planning import requests_to_fail, requests_to_pass
from controller.core.evidence.question import Question, Verdict

ROLLOUTS = 400
# What a test with a risk of exactly alpha exceeds once in a thousand suites.
MOST_FALSE = ALPHA * ROLLOUTS + 3.1 * math.sqrt(ROLLOUTS * ALPHA * (1 - ALPHA))
STEPPING = (0.05,) * 4 + (0.10,) * 4 + (0.25,) * 4 + (0.50,) * 20
NO_MARGINS = Question(harmless=Line(1.0), harmful=Line(2.0))


def jumping_shares(random):
    return [random.choice((0.02, 0.1, 0.3, 0.5, 0.8)) for _ in range(30)]


@pytest.mark.parametrize(
    ("name", "traffic", "question", "verdict"),
    [
        ("steps of the weight", {"rate": 0.005, "shares": STEPPING}, NO_MARGINS, Verdict.FAIL),
        (
            "a load that swings, weights that jump",
            {"rate": 0.01, "load_drift": 0.8, "requests": 1000},
            NO_MARGINS,
            Verdict.FAIL,
        ),
        ("errors that are common", {"rate": 0.2, "shares": STEPPING, "requests": 200}, NO_MARGINS, Verdict.FAIL),
        (
            "half more errors, called harmless, at a third of all requests",
            {"rate": 0.3, "ratio": 1.5, "shares": STEPPING, "requests": 200},
            Question(harmless=Line(1.5), harmful=Line(2.0)),
            Verdict.FAIL,
        ),
        ("at the end of what is harmless by default", {"rate": 0.005, "ratio": 1.35}, Question(), Verdict.FAIL),
        ("rare errors, by default", {"rate": 0.0005, "load_drift": 0.8}, Question(), Verdict.FAIL),
        ("a false PASS of twice the errors", {"rate": 0.01, "ratio": 2, "shares": STEPPING}, NO_MARGINS, Verdict.PASS),
        ("a false PASS at the end of harm by default", {"rate": 0.005, "ratio": 3}, Question(), Verdict.PASS),
        (
            "a false PASS of twice the errors, common ones",
            {"rate": 0.2, "ratio": 2, "load_drift": 0.5, "requests": 100},
            NO_MARGINS,
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
        wrong += first_verdict(rollout, verdict, question) is not None
    assert wrong <= MOST_FALSE, f"{wrong} of {ROLLOUTS}"


def test_the_same_rollouts_catch_a_test_that_is_not_valid_at_every_look():
    random = Random("steps of the weight")
    traffic = Traffic(rate=0.005, shares=STEPPING)
    wrong = sum(repeated_z_test(traffic.rollout(random)) is not None for _ in range(ROLLOUTS))
    assert wrong > 4 * MOST_FALSE


@pytest.mark.parametrize(
    ("name", "fault", "most"),
    [
        ("clumps of 2", Clumps(2), 0.05),
        ("clumps of 5", Clumps(5), 0.05),
        ("another rate in every look", gamma_mixed, 0.12),
        ("restarts of one pod a side", Restarts((1, 1)), 0.05),
        ("restarts of two and four pods", Restarts((2, 4)), 0.10),
        ("an outage that both are scraped at another moment of", outage, 0.05),
    ],
)
def test_errors_that_do_not_come_one_by_one_keep_the_risk(name, fault, most):
    random, rollouts = Random(name), 150
    wrong = sum(
        first_verdict(Traffic(rate=0.005, fault=fault).rollout(random), Verdict.FAIL) is not None
        for _ in range(rollouts)
    )
    assert wrong <= most * rollouts + 3.1 * math.sqrt(rollouts * most * (1 - most)), f"{wrong} of {rollouts}"


@pytest.mark.parametrize("name", ["medians of pods differ by a twentieth", "the canary's one pod is busier"])
def test_pods_that_are_not_quite_alike_are_no_harm(name):
    random, rollouts = Random(name), 30
    unlike: dict[str, Any] = {"busier": 0.1} if "busier" in name else {"pods_differ": 0.05}
    kind = Latencies(edges_ms=(50, 100, 250, 500, 1000), **unlike)
    assert sum(latency(kind.rollout(random)) is not None for _ in range(rollouts)) <= 0.05 * rollouts + 4


@pytest.mark.parametrize(
    ("name", "traffic", "verdict", "at_most"),
    [
        ("twice the errors", {"rate": 0.005, "ratio": 2}, Verdict.FAIL, 17),
        ("four times the errors", {"rate": 0.005, "ratio": 4}, Verdict.FAIL, 5),
        ("ten times the errors", {"rate": 0.005, "ratio": 10}, Verdict.FAIL, 2),
        ("four times very rare errors", {"rate": 0.0005, "ratio": 4}, Verdict.FAIL, 32),
        ("twice common errors, little traffic", {"rate": 0.2, "ratio": 2, "requests": 100}, Verdict.FAIL, 17),
        (
            "four times the errors after a sick pod of the primary",
            {"rate": 0.005, "ratio": 4, "onset": 5, "fault": sick_pod},
            Verdict.FAIL,
            3 + 6,
        ),
        ("no errors on either side", {"rate": 0.0}, Verdict.PASS, 6),
        ("as good as the primary", {"rate": 0.005}, Verdict.PASS, 6),
    ],
)
def test_half_of_the_rollouts_have_their_verdict_within_so_many_looks(name, traffic, verdict, at_most):
    random = Random(name)
    looks = [first_verdict(Traffic(**traffic).rollout(random), verdict) or math.inf for _ in range(100)]
    assert median(looks) <= at_most


@pytest.mark.parametrize(
    ("name", "slower", "at_most"),
    [("a quarter slower throughout", {"slowdown": 1.25}, 12), ("2% of requests ten times slower", {"stuck": 0.02}, 10)],
)
def test_half_of_the_slow_canaries_fail_within_so_many_looks(name, slower, at_most):
    random = Random(name)
    edges = (25, 50, 100, 250, 500, 1000)
    looks = [latency(Latencies(edges_ms=edges, **slower).rollout(random)) or math.inf for _ in range(40)]
    assert median(looks) <= at_most


@pytest.mark.parametrize(
    ("name", "rate", "ratio", "verdict"),
    [
        ("three times rare errors", 0.005, 3, Verdict.FAIL),
        ("six times rare errors", 0.005, 6, Verdict.FAIL),
        ("twice common errors", 0.2, 2, Verdict.FAIL),
        ("as good as the primary", 0.005, 1, Verdict.PASS),
        ("as good as the primary, no errors", 0.0, 1, Verdict.PASS),
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
    looks = [first_verdict(traffic.rollout(random), verdict) or math.inf for _ in range(100)]
    assert median(looks) * requests * 0.1 == pytest.approx(planned, rel=0.4)
