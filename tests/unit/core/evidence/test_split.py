"""The sample-ratio check: silent while requests follow the weights, and not when they do not."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest

from controller.core.evidence.split import Split, log_evidence

LADDER = tuple(range(5, 51, 5))


def after(weights: Sequence[int], *, requests: float = 3000, direct: float = 0, bypassing: float = 0) -> Split:
    """Looks of so many requests at these weights; of all requests a part goes to one side whatever the weights."""
    split = Split()
    for weight in weights:
        canary = requests * (direct + (1 - direct - bypassing) * weight / 100)
        split = split.look(weight, canary, requests - canary)
    return split


@pytest.mark.parametrize(
    ("split", "mismatch"),
    [
        pytest.param(Split(), None, id="no look"),
        pytest.param(after(LADDER), None, id="as the weights say"),
        pytest.param(after(LADDER, direct=0.6), "more", id="a load test calls the canary"),
        pytest.param(after(LADDER, bypassing=0.7), "less", id="most callers have no sidecar"),
        pytest.param(after([50] * 30, requests=3e5, bypassing=0.15), "less", id="little, for long"),
        pytest.param(after([100] * 9, requests=30), None, id="all of them"),
        pytest.param(after([100] * 9, bypassing=0.5), "less", id="all of them, but for some"),
        pytest.param(after(LADDER[:4], direct=0.6), None, id="too soon to say"),
        pytest.param(after(LADDER, requests=1, direct=0.6), None, id="too few to say"),
        pytest.param(after(LADDER, requests=0), None, id="none"),
    ],
)
def test_a_share_that_weights_do_not_explain_is_a_mismatch(split, mismatch):
    assert split.mismatch == mismatch


@pytest.mark.parametrize("late", [0, 1, 2])
@pytest.mark.parametrize("ahead", [-1, 0, 1])
def test_counters_that_come_late_or_apart_are_no_mismatch(late, ahead):
    """Requests of ``late`` looks before, and one side a scrape ahead of the other."""
    split = Split()
    for number, weight in enumerate(LADDER):
        was = LADDER[max(0, number - late)]
        first = number == 0
        canary = 3000 * was / 100 * (1 + ahead * first)
        split = split.look(weight, canary, 3000 * (100 - was) / 100)
        assert split.mismatch is None


def test_pods_that_are_scraped_less_often_than_looked_at_are_no_mismatch():
    """The canary's pod and one of the primary's at every sixth look, the primary's other pod a look later."""
    split, unseen = Split(), [0.0, 0.0, 0.0]
    for number, weight in enumerate(range(2, 99, 3)):
        served = (30.0 * weight, 15.0 * (100 - weight), 15.0 * (100 - weight))
        unseen = [before + more for before, more in zip(unseen, served, strict=True)]
        scraped = [pod for pod, at in enumerate((0, 0, 1)) if number % 6 == at]
        canary, *primary = (unseen[pod] if pod in scraped else 0.0 for pod in range(3))
        split = split.look(weight, canary, sum(primary))
        unseen = [0.0 if pod in scraped else count for pod, count in enumerate(unseen)]
        assert split.mismatch is None
    assert split.looks > 5


def test_chance_alone_is_no_mismatch():
    draw = random.Random(7)
    for _ in range(300):
        split = Split()
        for weight in LADDER:
            canary = sum(draw.random() * 100 < weight for _ in range(40))
            split = split.look(weight, canary, 40 - canary)
            assert split.mismatch is None


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.99])
@pytest.mark.parametrize("requests", [1, 2, 9, 40])
def test_the_mean_of_the_evidence_is_one_while_the_share_is_what_it_should_be(share, requests):
    mean = sum(
        math.comb(requests, canary)
        * share**canary
        * (1 - share) ** (requests - canary)
        * math.exp(log_evidence(canary, requests - canary, share))
        for canary in range(requests + 1)
    )
    assert mean == pytest.approx(1.0)
