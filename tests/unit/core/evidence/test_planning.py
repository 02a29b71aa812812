"""Planned requests and measured dispersion, by example."""

from __future__ import annotations

import math

import pytest

from controller.core.evidence.dispersion import Dispersion
from controller.core.evidence.planning import requests_to_fail, requests_to_pass
from controller.core.evidence.question import EvidenceError, Question


def test_rare_errors_and_a_small_share_give_the_formula_on_paper():
    question = Question(alpha=0.05, harmful_ratio=2)
    stake, first_entry = 6 / 16, 0.8
    growth = 1e-4 * (2 * math.log(2) - 2 + 1)
    on_paper = (math.log(1 / 0.05) - math.log(stake * first_entry)) / growth
    planned = requests_to_fail(question, primary_rate=1e-4, ratio=2, canary_share=1e-4)
    assert planned == pytest.approx(on_paper, rel=1e-2)

    on_paper = (math.log(1 / 0.05) - math.log(stake)) / (1e-4 * (2 - 1 - math.log(2)))
    planned = requests_to_pass(question, primary_rate=1e-4, canary_share=1e-4)
    assert planned == pytest.approx(on_paper, rel=1e-2)


@pytest.mark.parametrize(
    ("name", "plan", "ratio"),
    [
        ("a canary as good never fails", requests_to_fail, 1),
        ("a canary hardly worse never fails", requests_to_fail, 1.02),
        ("a canary twice as bad never passes", requests_to_pass, 2),
    ],
)
def test_what_the_test_cannot_tell_takes_for_ever(name, plan, ratio):
    assert plan(Question(), primary_rate=0.01, ratio=ratio, canary_share=0.1) == math.inf


def test_worse_canaries_sharper_questions_and_fewer_metrics_need_fewer_requests():
    def needed(ratio, **question):
        return requests_to_fail(Question(**question), primary_rate=0.01, ratio=ratio, canary_share=0.1)

    assert needed(10) < needed(4) < needed(2) < needed(1.5)
    assert needed(2, alpha=0.1) < needed(2) < needed(2, alpha=0.01)
    assert needed(2) < needed(2, metrics=3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"primary_rate": 0}, "primary rate must be above 0 and below 1, is 0"),
        ({"primary_rate": math.nan}, "primary rate must be above 0 and below 1, is nan"),
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


@pytest.mark.parametrize(
    ("name", "pods", "chi_square", "degrees"),
    [
        ("pods alike", [(100, 5), (100, 5)], 0, 1),
        ("all errors in one of two pods", [(100, 10), (100, 0)], 100 / 9.5, 1),
        ("a pod without requests is left out", [(100, 10), (100, 0), (0, 0)], 100 / 9.5, 1),
        ("one pod teaches nothing", [(100, 10)], 0, 0),
        ("no errors teach nothing", [(100, 0), (100, 0)], 0, 0),
        ("errors alone teach nothing", [(100, 100), (50, 50)], 0, 0),
        ("counts that cannot be teach nothing", [(100, 10), (100, -1)], 0, 0),
        ("more bad than total teaches nothing", [(100, 10), (100, 101)], 0, 0),
        ("what is not a number teaches nothing", [(100, 10), (math.nan, 0)], 0, 0),
    ],
)
def test_dispersion_of_one_look(name, pods, chi_square, degrees):
    after = Dispersion().look(pods)
    assert after.chi_square == pytest.approx(chi_square, abs=1e-6)
    assert after.degrees == degrees


def test_dispersion_is_chi_square_over_df_and_a_standard_error_and_at_least_one():
    assert Dispersion().value == 1
    assert Dispersion(chi_square=300, degrees=100).value == pytest.approx(3 * (1 + math.sqrt(2 / 100)))
    assert Dispersion(chi_square=50, degrees=100).value == 1


@pytest.mark.parametrize("estimate", [(-1.0, 1), (math.inf, 1), (math.nan, 1), (1.0, -1)])
def test_a_dispersion_that_cannot_be_is_refused(estimate):
    with pytest.raises(EvidenceError, match="dispersion must be finite and not negative"):
        Dispersion(chi_square=estimate[0], degrees=estimate[1])
