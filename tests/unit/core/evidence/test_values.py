"""The evidence of one number a side and look: which looks count, and what they come to."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api.compare import Compare
from controller.core.evidence.question import EvidenceError, Question, Verdict
from controller.core.evidence.readings import Reading
from controller.core.evidence.t_test import log_e_value
from controller.core.evidence.values import VALUE, Better, ValueComparison, most_scatter
from tests.builders import NOW


def compare_of(better: Better = "lower", **more: Any) -> Compare:
    return Compare.model_validate({"value": {"query": "cpu{{workload}}", "better": better}, "warmup": "0s", **more})


def started(better: Better = "lower", window: float = 0.0, *, metrics: int = 1, **compare: Any) -> ValueComparison:
    question = Question.of(compare_of(better, **compare), metrics)
    return ValueComparison(question=question, better=better, since=NOW, query="q", window=window)


def reading(canary: float | None, primary: float | None, problem: str | None = None) -> Reading:
    sides = [{} if each is None else {VALUE: (each,)} for each in (canary, primary)]
    return Reading(sides[0], sides[1], problem=problem)


def looked(comparison: ValueComparison, *looks: tuple[float | None, float | None]) -> ValueComparison:
    """After more looks, one every ten seconds."""
    compare, begun = compare_of(comparison.better), comparison.counted_at or NOW
    for number, look in enumerate(looks, start=1):
        comparison = comparison.look(compare, reading(*look), begun + timedelta(seconds=10 * number))
    return comparison


def scattered(ratio: float, looks: int, *, scatter: float = 0.3, seed: int = 3) -> Iterator[tuple[float, float]]:
    """Numbers of both sides around a mean, the canary's ``ratio`` times as high."""
    rng = random.Random(seed)
    for _ in range(looks):
        load = rng.lognormvariate(0, 1)
        yield ratio * load * rng.lognormvariate(0, scatter), load * rng.lognormvariate(0, scatter)


WORSE: dict[str, tuple[Better, float, Verdict]] = {
    "twice as much where less is better": ("lower", 2.0, Verdict.FAIL),
    "half as much where less is better": ("lower", 0.5, Verdict.PASS),
    "as much": ("lower", 1.0, Verdict.PASS),
    "half as much where more is better": ("higher", 0.5, Verdict.FAIL),
    "twice as much where more is better": ("higher", 2.0, Verdict.PASS),
    "twice as much where neither is": ("either", 2.0, Verdict.FAIL),
    "half as much where neither is": ("either", 0.5, Verdict.FAIL),
    "as much where neither is": ("either", 1.0, Verdict.PASS),
}


@pytest.mark.parametrize("name", WORSE)
def test_the_direction_says_what_is_worse(name):
    better, ratio, verdict = WORSE[name]
    comparison = looked(started(better), *scattered(ratio, 20))
    assert comparison.verdict(compare_of(better)) is verdict
    assert comparison.ratio == pytest.approx(ratio, rel=0.2)


def test_the_evidence_is_that_of_the_log_ratios_beyond_what_is_harmless():
    pairs = [(1.5, 1.0), (1.2, 1.1), (2.0, 0.9), (1.7, 1.3)]
    logs = [math.log(canary / primary) - math.log(1.1) for canary, primary in pairs]
    mean = sum(logs) / len(logs)
    comparison = looked(started(harmlessRatio=1.1), *pairs)
    spread = sum((log - mean) ** 2 for log in logs)
    assert comparison.log_evidence == pytest.approx(log_e_value(len(logs), mean, spread))
    assert comparison.looks == 4


@pytest.mark.parametrize(
    ("ratio", "harmless", "harmful", "verdict"),
    [
        (1.5, 1.0, 2.0, Verdict.FAIL),
        (1.5, 1.6, 3.0, Verdict.PASS),
        (1.5, 1.6, 1.7, Verdict.INCONCLUSIVE),
        (1.0, 0.7, 2.0, Verdict.FAIL),
    ],
)
def test_the_ratios_move_the_verdict(ratio, harmless, harmful, verdict):
    comparison = looked(started(harmlessRatio=harmless, harmfulRatio=harmful), *scattered(ratio, 25))
    assert comparison.verdict(compare_of()) is verdict


def test_a_fail_stands_and_a_pass_may_lapse():
    failed = looked(started(), *scattered(2.0, 20))
    assert looked(failed, *scattered(0.1, 60)).verdict(compare_of()) is Verdict.FAIL
    passed = looked(started(harmlessRatio=1.5), *scattered(1.3, 20))
    assert passed.verdict(compare_of()) is Verdict.PASS
    assert looked(passed, *scattered(4.0, 8)).verdict(compare_of()) is not Verdict.PASS


def test_more_tests_that_share_the_risk_need_more_evidence():
    looks = [*scattered(1.6, 9)]
    alone = looked(started(), *looks)
    many = looked(started(metrics=20), *looks)
    assert alone.log_evidence == many.log_evidence
    assert [each.verdict(compare_of()) for each in (alone, many)] == [Verdict.FAIL, Verdict.INCONCLUSIVE]


@pytest.mark.parametrize(
    ("canary", "primary", "said"),
    [
        pytest.param(0.0, 1.0, "the canary's value is 0, and a ratio needs values above 0", id="nothing"),
        pytest.param(1.0, -2.5, "the primary's value is -2.5, and a ratio needs values above 0", id="below nothing"),
        pytest.param(math.inf, 1.0, "the canary's value is inf, and a ratio needs values above 0", id="infinite"),
        pytest.param(1.0, math.nan, "the primary's value is nan, and a ratio needs values above 0", id="no number"),
        pytest.param(None, 1.0, "the canary has no value", id="no value of the canary"),
        pytest.param(None, None, "the canary has no value", id="no value at all"),
    ],
)
def test_a_number_without_a_logarithm_is_a_word_and_changes_no_evidence(canary, primary, said):
    before = looked(started(), (1.0, 1.1), (1.2, 1.1))
    after = before.look(compare_of(), reading(canary, primary), NOW + timedelta(seconds=60))
    assert replace(after, skipped=None) == before
    assert after.describe(compare_of()).endswith(f"; the last look did not count: {said}")
    again = after.look(compare_of(), reading(1.0, 1.0), NOW + timedelta(seconds=70))
    assert (again.looks, again.skipped) == (3, None)


@pytest.mark.parametrize(
    ("window", "warmup", "every", "counted"),
    [
        pytest.param(0, "0s", 10, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], id="numbers of the moment"),
        pytest.param(60, "0s", 10, [6, 12], id="looks that share most of what they see"),
        pytest.param(25, "0s", 10, [3, 6, 9, 12], id="a window that is no whole number of looks"),
        pytest.param(60, "0s", 60, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], id="as often as the window is long"),
        pytest.param(30, "30s", 10, [6, 9, 12], id="a window must begin after the warm-up"),
        pytest.param(60, "0s", 59.5, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], id="a tick that comes a little early"),
    ],
)
def test_what_a_query_has_seen_before_does_not_count_again(window, warmup, every, counted):
    compare, comparison, seen = compare_of(warmup=warmup), started(window=window), []
    for number in range(1, 13):
        after = comparison.look(compare, reading(1.0, 1.0), NOW + timedelta(seconds=every * number))
        seen += [number] if after.looks > comparison.looks else []
        comparison = after
    assert seen == counted


def test_new_pods_of_the_same_revision_warm_up_again_and_keep_their_evidence():
    compare, before = compare_of(warmup="30s"), looked(started(window=10), *scattered(1.6, 5))
    again = before.resume(compare, reading(9.0, 1.0), NOW + timedelta(seconds=100))
    assert (again.looks, again.mean) == (before.looks, before.mean)
    assert again.look(compare, reading(9.0, 1.0), NOW + timedelta(seconds=120)).looks == before.looks
    assert again.look(compare, reading(9.0, 1.0), NOW + timedelta(seconds=140)).looks == before.looks + 1


SENTENCES: dict[str, tuple[Callable[[], ValueComparison], str]] = {
    "nothing": (started, "nothing counted yet, inconclusive"),
    "one look": (
        lambda: looked(started(), (0.52, 0.4)),
        "1.3 times the primary's in 1 look, 0.52 against 0.4 now, p = 1, inconclusive",
    ),
    "several": (
        lambda: looked(started(), *[(0.52, 0.4), (0.5, 0.41), (0.53, 0.39), (0.5, 0.4), (0.51, 0.4)]),
        "1.3 times the primary's in 5 looks (95% interval 1.1 to 1.4), 0.51 against 0.4 now, p = 0.013, fail",
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_the_evidence_in_words(name):
    comparison, sentence = SENTENCES[name]
    assert comparison().describe(compare_of()) == sentence


numbers = st.none() | st.floats() | st.sampled_from([0.0, 5e-324, 1e308, -1.0])


@given(st.lists(st.tuples(numbers, numbers), max_size=12), st.sampled_from(["lower", "higher", "either"]))
def test_no_numbers_make_evidence_that_cannot_be_kept(looks, better):
    comparison = looked(started(better), *looks)
    kept = (comparison.mean, comparison.spread, comparison.peak, comparison.canary, comparison.primary)
    assert all(map(math.isfinite, (*kept, comparison.evidence, comparison.pass_evidence, comparison.p_value)))
    assert comparison.looks == sum(all(each is not None and 0 < each < math.inf for each in look) for look in looks)
    assert comparison.describe(compare_of(better))


def test_a_load_that_moves_both_sides_alike_is_no_evidence():
    loads = [10.0 ** (number % 5) for number in range(20)]
    steady, moving = (looked(started(), *[(1.1 * each, each) for each in load]) for load in ([1.0] * 20, loads))
    assert moving.log_evidence == pytest.approx(steady.log_evidence, rel=1e-6)


@pytest.mark.parametrize(
    "broken",
    [{"looks": -1}, {"spread": -1.0}, {"spread": math.inf}, {"mean": math.nan}, {"since": NOW.replace(tzinfo=None)}],
    ids=str,
)
def test_evidence_that_contradicts_itself_is_refused(broken):
    with pytest.raises(EvidenceError):
        replace(started(), **broken)


def test_evidence_answers_for_the_same_question_only():
    ours = looked(started(), (1.0, 1.0))
    assert ours.answers(started(window=60))
    for other in (started("higher"), started(harmfulRatio=3.0)):
        assert not ours.answers(other)


@pytest.mark.parametrize("looks", [5, 10, 40])
def test_with_the_scatter_that_planning_allows_about_half_of_the_canaries_have_a_verdict(looks):
    scatter = most_scatter(started().question, looks)
    found = [
        looked(started(), *scattered(ratio, looks, scatter=scatter / math.sqrt(2), seed=seed))
        for ratio in (1.0, 2.0)
        for seed in range(60)
    ]
    decided = sum(each.verdict(compare_of()) is not Verdict.INCONCLUSIVE for each in found)
    assert 0.4 < decided / len(found) < 0.9
    assert most_scatter(started().question, 3) == 0.0
