"""How much traffic comes next."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api.analysis import Analysis
from controller.api.webhook import HookType
from controller.core.model import Routes
from controller.core.rollout.strategies import fits, next_promotion_weight, next_weight, walk_steps, weight_ladder
from tests.builders import make_canary

LADDERS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "steps up to the limit": ({"stepWeight": 10, "maxWeight": 50}, (10, 20, 30, 40, 50)),
    "the last step is cut to the limit": ({"stepWeight": 25, "maxWeight": 60}, (25, 50, 60)),
    "a step above the limit is cut to it": ({"stepWeight": 80, "maxWeight": 50}, (50,)),
    "without a limit the steps go to 100": ({"stepWeight": 40}, (40, 80, 100)),
    "a limit of 0 is none": ({"stepWeight": 50, "maxWeight": 0}, (50, 100)),
    "one step of everything": ({"stepWeight": 100}, (100,)),
    "listed weights end at their last": ({"stepWeights": [1, 2, 10, 80]}, (1, 2, 10, 80)),
    "listed weights are cut to the limit, once": ({"stepWeights": [1, 10, 60, 80], "maxWeight": 30}, (1, 10, 30)),
    "listed weights below the limit end where they end": ({"stepWeights": [1, 10], "maxWeight": 30}, (1, 10)),
    "a listed weight that repeats is one step": ({"stepWeights": [5, 5, 20]}, (5, 20)),
    "rounds have no ladder": ({"iterations": 5}, ()),
}


def analysis_of(**fields: object) -> Analysis:
    return make_canary(analysis={"interval": "10s", "threshold": 1, **fields}).spec.analysis


@pytest.mark.parametrize("name", LADDERS)
def test_ladder(name):
    fields, ladder = LADDERS[name]
    assert weight_ladder(analysis_of(**fields)) == ladder


@given(step=st.integers(1, 100), limit=st.integers(0, 100))
def test_a_ladder_of_steps_rises_and_ends_at_its_limit(step, limit):
    ladder = weight_ladder(analysis_of(stepWeight=step, maxWeight=limit))
    assert ladder[-1] == (limit or 100)
    gaps = [after - before for before, after in zip((0, *ladder), ladder, strict=False)]
    assert all(0 < gap <= step for gap in gaps)


@given(weights=st.lists(st.integers(1, 100), min_size=1, max_size=8).map(sorted), limit=st.integers(0, 100))
def test_a_ladder_of_listed_weights_rises_and_ends_at_its_last_or_the_limit(weights, limit):
    ladder = weight_ladder(analysis_of(stepWeights=weights, maxWeight=limit))
    assert ladder[-1] == min(weights[-1], limit or 100)
    assert list(ladder) == sorted(set(ladder))


@given(step=st.integers(1, 100), limit=st.integers(1, 100), weight=st.integers(0, 100))
def test_the_next_weight_is_above_this_one_and_within_the_limit(step, limit, weight):
    following = next_weight(analysis_of(stepWeight=step, maxWeight=limit), weight)
    assert (following is None) == (weight >= limit)
    assert following is None or weight < following <= limit


@pytest.mark.parametrize(("step", "weight", "expected"), [(0, 50, 0), (20, 50, 30), (20, 10, 0), (100, 100, 0)])
def test_a_promotion_gives_the_traffic_back(step, weight, expected):
    assert next_promotion_weight(analysis_of(stepWeight=10, stepWeightPromotion=step), weight) == expected


HELD = {"stepWeight": 25, "maxWeight": 50, "holdback": {"weight": 5, "duration": "25s"}}


def test_a_holdback_keeps_a_share_on_the_primary_for_so_many_checks():
    steps = [
        (step.routes.canary_weight, step.iterations, step.announcement.format(canary="b.n"), step.gate)
        for step in walk_steps(analysis_of(**HELD), lambda _: False)
    ]
    assert steps == [
        (25, 0, "Advance b.n canary weight 25", HookType.CONFIRM_TRAFFIC_INCREASE),
        (50, 0, "Advance b.n canary weight 50", HookType.CONFIRM_TRAFFIC_INCREASE),
        (95, 1, "Advance b.n canary weight 95", HookType.CONFIRM_PROMOTION),
        (95, 2, "Advance b.n canary iteration 2/3", None),
        (95, 3, "Advance b.n canary iteration 3/3", None),
    ]


@pytest.mark.parametrize(
    ("weight", "iterations", "edit", "fit"),
    [
        (95, 2, {}, True),
        (50, 0, {}, True),
        (95, 0, {}, False),
        (95, 4, {}, False),
        (95, 2, {"holdback": None}, False),
        (95, 2, {"holdback": {"weight": 10, "duration": "25s"}}, False),
        (95, 2, {"holdback": {"weight": 5, "duration": "10s"}}, False),
    ],
)
def test_a_holdback_that_is_edited_must_still_lead_to_the_traffic_of_the_canary(weight, iterations, edit, fit):
    fields = {key: value for key, value in {**HELD, **edit}.items() if value is not None}
    assert fits(analysis_of(**fields), Routes(weight), iterations) is fit
