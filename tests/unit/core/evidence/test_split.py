"""The sample-ratio check: silent while requests follow the weights, and not when they do not."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from itertools import accumulate

import pytest

from controller.core.evidence.question import EvidenceError
from controller.core.evidence.split import Served, Split, Traffic, log_evidence

LADDER = tuple(range(5, 51, 5))


def served(weights: Sequence[float], seconds: float, requests: float) -> Iterator[tuple[float, float]]:
    """What both sides have had by each look, the canary at these shares (percent), from nothing on."""
    yield 0.0, 0.0
    of_canary = accumulate(requests * seconds * weight / 100 for weight in weights)
    of_primary = accumulate(requests * seconds * (1 - weight / 100) for weight in weights)
    yield from zip(of_canary, of_primary, strict=True)


def after(
    weights: Sequence[int],
    *,
    shares: Sequence[float] | None = None,
    seconds: float = 60.0,
    requests: float = 50.0,
    direct: float = 0.0,
    bypassing: float = 0.0,
) -> Split:
    """Looks at these weights, so many seconds apart, at so many requests a second.

    The canary has ``shares``, else its weights, but a part of all requests goes to one side whatever these are.
    """
    shares = [100 * direct + (1 - direct - bypassing) * share for share in shares or weights]
    split = Split()
    for number, (canary, primary) in enumerate(served(shares, seconds, requests)):
        weight = weights[number - 1] if number else 0
        now = number * seconds
        split = split.look(weight, now - seconds, Traffic(Served(canary, now), Served(primary, now)))
    return split


@pytest.mark.parametrize(
    ("split", "mismatch", "observed"),
    [
        pytest.param(Split(), "", None, id="no look"),
        pytest.param(after([]), "", None, id="the first reading"),
        pytest.param(after(LADDER), "", 50.0, id="as the weights say"),
        pytest.param(after(LADDER, direct=0.6), "more", 80.0, id="a load test calls the canary"),
        pytest.param(after(LADDER, bypassing=0.7), "less", 15.0, id="most callers have no sidecar"),
        pytest.param(after([10, 20, 30], shares=[10, 10, 10]), "less", 10.0, id="routes that never arrived"),
        pytest.param(after([10, 20, 30], shares=[10, 10, 30]), "", 30.0, id="routes that arrived at last"),
        pytest.param(after([10, 20, 30], shares=[10, 20, 20]), "", 20.0, id="a look within the tolerance"),
        pytest.param(after([20], shares=[0]), "less", 0.0, id="no request at all"),
        pytest.param(after([100] * 9, requests=0.5), "", 100.0, id="all of them"),
        pytest.param(after([100] * 9, bypassing=0.5), "less", 50.0, id="all of them, but for some"),
        pytest.param(after(LADDER, requests=0.02, direct=0.6), "", 80.0, id="too few to say"),
        pytest.param(after(LADDER, requests=0), "", None, id="none"),
        pytest.param(after([10, 20, 30], seconds=10, bypassing=1), "less", 0.0, id="quick steps are taken together"),
        pytest.param(after([10], seconds=15, bypassing=1), "", None, id="scrapes that are too close"),
    ],
)
def test_a_share_that_weights_do_not_explain_is_a_mismatch(split, mismatch, observed):
    assert (split.mismatch, split.observed) == (mismatch, observed)


@pytest.mark.parametrize("lag", [0, 10, 29])
@pytest.mark.parametrize("apart", [-15, 0, 15, 29])
@pytest.mark.parametrize("seconds", [10, 30, 60])
def test_scrapes_that_come_late_or_apart_are_no_mismatch(lag, apart, seconds):
    """The counters are ``lag`` seconds old, and those of the primary another ``apart``; scrapes come every 30 s."""

    def scraped(now: float, offset: float) -> float:
        return max(0.0, math.floor((now - offset) / 30) * 30 + offset)

    def had(until: float, *, canary: bool) -> float:
        """Requests until that second, at 50 a second, as the weights were."""
        total = 0.0
        for second in range(int(until)):
            step = second // seconds
            weight = LADDER[min(step, len(LADDER) - 1)]
            total += 50 * (weight if canary else 100 - weight) / 100
        return total

    split = Split()
    for number in range(len(LADDER) + 1):
        now = number * seconds
        at = scraped(now, lag), scraped(now, lag + apart)
        traffic = Traffic(Served(had(at[0], canary=True), at[0]), Served(had(at[1], canary=False), at[1]))
        split = split.look(LADDER[number - 1] if number else 0, now - seconds, traffic)
        assert split.mismatch == "", (number, split)


def test_chance_alone_is_no_mismatch():
    draw = random.Random(7)
    for _ in range(300):
        split, canary, primary = Split().look(0, 0.0, Traffic(Served(), Served())), 0, 0
        for number, weight in enumerate(LADDER, 1):
            tried = sum(draw.random() * 100 < weight for _ in range(40))
            canary, primary, now = canary + tried, primary + 40 - tried, 60.0 * number
            split = split.look(weight, now - 60, Traffic(Served(canary, now), Served(primary, now)))
            assert split.mismatch == ""


def test_pods_that_are_gone_begin_a_new_look():
    split = after([50, 50])
    assert split.start == Traffic(Served(3000, 120), Served(3000, 120))
    fallen = split.look(50, 0.0, Traffic(Served(10, 180), Served(6000, 180)))
    assert (fallen.mismatch, fallen.observed, fallen.start) == ("", 50.0, Traffic(Served(10, 180), Served(6000, 180)))


@pytest.mark.parametrize("number", [math.nan, math.inf, -1.0])
def test_what_is_no_number_of_requests_is_refused(number):
    with pytest.raises(EvidenceError):
        Served(number, 0.0)
    with pytest.raises(EvidenceError):
        Served(0.0, number)


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
