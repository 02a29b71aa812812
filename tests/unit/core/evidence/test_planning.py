"""Planned requests, by example."""

from __future__ import annotations

import math
from typing import Any

import pytest

from controller.core.evidence.e_values import Counts, Line
from controller.core.evidence.planning import requests_left_to_pass, requests_to_fail, requests_to_pass
from controller.core.evidence.question import EvidenceError, Question, Verdict
from controller.core.evidence.sequential import SequentialTest

LINES: dict[str, Any] = {"harmless": Line(1.0), "harmful": Line(2.0)}
LOG_STAKE = math.log(22 / 32 * 0.9)


def test_rare_errors_and_a_small_share_give_the_formula_on_paper():
    question = Question(alpha=0.05, **LINES)
    growth = 1e-4 * (2 * math.log(2) - 2 + 1)
    on_paper = (math.log(1 / 0.05) - LOG_STAKE - math.log(0.9)) / growth
    planned = requests_to_fail(question, primary_rate=1e-4, ratio=2, canary_share=1e-4)
    assert planned == pytest.approx(on_paper, rel=1e-2)

    on_paper = (math.log(1 / 0.05) - LOG_STAKE) / (1e-4 * (2 - 1 - math.log(2)))
    planned = requests_to_pass(question, primary_rate=1e-4, canary_share=1e-4)
    assert planned == pytest.approx(on_paper, rel=1e-2)


@pytest.mark.parametrize("margin", [0.001, 0.005, 0.05])
def test_without_errors_each_request_speaks_against_the_harmful_margin_as_on_paper(margin):
    question = Question(harmless=Line(1.25, 0.0), harmful=Line(2.0, margin))
    planned = requests_to_pass(question, primary_rate=0, canary_share=0.1)
    assert planned == pytest.approx((math.log(1 / 0.05) - LOG_STAKE) / -math.log(1 - margin), rel=1e-3)


def test_what_is_left_is_what_was_planned_less_what_was_seen():
    question, look = Question(), Counts(100, 0, 900, 0)
    test = SequentialTest.start(question)
    left = [planned := requests_to_pass(question, primary_rate=0, canary_share=0.1)]
    while test.verdict is not Verdict.PASS:
        test = test.look([look])
        left.append(requests_left_to_pass(question, test.rates[0]))
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0
    assert 100 * len(left[1:]) == pytest.approx(planned, rel=0.35)
    assert left[3] == pytest.approx(planned - 300, rel=0.35)


def test_nothing_is_known_of_what_is_left_where_the_test_cannot_tell():
    question = Question(harmless=Line(1.0), harmful=Line(1.0001))
    (rate,) = SequentialTest.start(question).look([Counts(100, 0, 900, 0)]).rates
    assert requests_left_to_pass(question, rate) > 1e6


@pytest.mark.parametrize(
    ("name", "plan", "ratio"),
    [
        ("a canary as good never fails", requests_to_fail, 1),
        ("a canary hardly worse never fails", requests_to_fail, 1.02),
        ("a canary twice as bad never passes", requests_to_pass, 2),
    ],
)
def test_what_the_test_cannot_tell_takes_for_ever(name, plan, ratio):
    assert plan(Question(**LINES), primary_rate=0.01, ratio=ratio, canary_share=0.1) == math.inf


def test_worse_canaries_sharper_questions_and_fewer_metrics_need_fewer_requests():
    def needed(ratio, **question):
        return requests_to_fail(Question(**LINES | question), primary_rate=0.01, ratio=ratio, canary_share=0.1)

    assert needed(10) < needed(4) < needed(2) < needed(1.5)
    assert needed(2, alpha=0.1) < needed(2) < needed(2, alpha=0.01)
    assert needed(2) < needed(2, metrics=3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"primary_rate": -0.1}, "primary rate must be from 0 and below 1, is -0.1"),
        ({"primary_rate": 1}, "primary rate must be from 0 and below 1, is 1"),
        ({"primary_rate": math.nan}, "primary rate must be from 0 and below 1, is nan"),
        ({"canary_share": 1}, "canary share must be above 0 and below 1, is 1"),
        ({"ratio": 200}, "ratio times primary rate must be from 0 to 1, is 200 times 0.01"),
        ({"ratio": -1}, "ratio times primary rate must be from 0 to 1, is -1 times 0.01"),
    ],
)
def test_a_plan_for_what_cannot_be_is_refused(given, message):
    for plan in (requests_to_fail, requests_to_pass):
        with pytest.raises(EvidenceError) as caught:
            plan(Question(), **{"primary_rate": 0.01, "ratio": 1, "canary_share": 0.1} | given)
        assert str(caught.value) == message
