"""What two readings of many pods' counters say about the time between."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.evidence.readings import MAX_COUNTS, Reading, latest, since, totals


def one_sided(side: str, counts: Mapping[str, tuple[float, ...]], *callers: str) -> Reading:
    canary, primary = (counts if side == name else {} for name in ("canary", "primary"))
    return Reading(canary, primary, callers)


def pods(**counts: tuple[float, ...]) -> dict[str, tuple[float, ...]]:
    return {f"destination/{pod}": count for pod, count in counts.items()}


SIDES = [
    pytest.param(pods(a=(100, 5)), pods(a=(150, 7)), pods(a=(50, 2)), id="a counter that rose"),
    pytest.param(pods(a=(100, 5)), pods(a=(100, 5)), pods(a=(0, 0)), id="a counter that stood still"),
    pytest.param(pods(a=(100, 5)), pods(a=(49, 1)), pods(a=(49, 1)), id="one that fell to less than half began again"),
    pytest.param(
        pods(a=(100, 5)), pods(a=(50, 1)), pods(a=(0, 0)), id="one that fell by less is of another Prometheus"
    ),
    pytest.param(pods(a=(100, 5)), pods(a=(130, 4)), pods(a=(30, 0)), id="of two that disagree none counts below 0"),
    pytest.param(
        pods(a=(100, 5), b=(100, 5)),
        pods(a=(110, 5)),
        pods(a=(10, 0)),
        id="a removed pod counts nothing",
    ),
    pytest.param({}, {}, {}, id="nothing at all"),
]


@pytest.mark.parametrize(("before", "now", "counted"), SIDES)
def test_what_a_side_counted_between_two_readings(before, now, counted):
    assert since(Reading(before, {}), Reading(now, {})) == Reading(counted, {})
    assert since(Reading({}, before), Reading({}, now)) == Reading({}, counted)


def test_a_new_pod_of_the_canary_began_at_0():
    counted = since(Reading(pods(a=(100, 5))), Reading(pods(a=(110, 5), b=(20, 1))))
    assert counted.canary == pods(a=(10, 0), b=(20, 1))


def test_a_new_pod_of_the_primary_may_be_an_old_one_and_counts_from_its_second_reading_on():
    before, now, later = (
        Reading({}, pods(**counts))
        for counts in (
            {"a": (100, 5)},
            {"a": (110, 5), "b": (90_000, 800)},
            {"a": (120, 5), "b": (90_011, 801)},
        )
    )
    assert since(before, now).primary == pods(a=(10, 0))
    assert since(latest(before, now), later).primary == pods(a=(10, 0), b=(11, 1))


@pytest.mark.parametrize("side", ["canary", "primary"])
def test_requests_that_reached_no_pod_count_at_once_where_their_caller_was_read_before(side):
    now = one_sided(side, {"source/gateway": (5, 5), "source/new": (9, 9)}, "gateway", "new")
    counted = since(Reading(callers=("gateway",)), now)
    assert counted == one_sided(side, {"source/gateway": (5, 5)})
    assert latest(Reading(callers=("gateway",)), now) == now
    later = one_sided(side, {"source/gateway": (5, 5), "source/new": (11, 10)}, "gateway", "new")
    assert since(now, later) == one_sided(side, {"source/gateway": (0, 0), "source/new": (2, 1)})


def test_callers_are_remembered_though_a_scrape_misses_them_until_they_are_too_many():
    assert latest(Reading(callers=("a", "b")), Reading(callers=("b", "c"))).callers == ("a", "b", "c")
    many = tuple(f"{number:04}" for number in range(MAX_COUNTS))
    assert latest(Reading(callers=many), Reading(callers=("0000",))).callers == many
    assert latest(Reading(callers=many), Reading(callers=("new",))).callers == ("new",)


def test_of_two_prometheus_the_furthest_is_kept_and_no_request_counts_twice():
    ahead, behind, further = (Reading(pods(a=count)) for count in ((100.0, 5.0), (90.0, 4.0), (110.0, 6.0)))
    kept = latest(ahead, behind)
    assert kept == ahead
    assert since(kept, further).canary == pods(a=(10, 1))


def test_a_pod_that_misses_a_scrape_brings_what_it_counted_with_the_next():
    readings = [Reading({}, pods(**counts)) for counts in ({"a": (100, 5)}, {}, {"a": (130, 6)})]
    missed = latest(readings[0], readings[1])
    assert missed == readings[0]
    assert since(missed, readings[2]).primary == pods(a=(30, 1))


def test_what_makes_a_reading_incomparable_is_reported_for_the_time_before_it_and_not_kept():
    now = Reading(pods(a=(math.nan, 5)), problem="no bucket")
    assert since(Reading(), now).problem == "no bucket"
    assert latest(Reading(), now) == Reading()


def test_removed_pods_are_forgotten_once_there_are_too_many():
    before = Reading(pods(**{f"old{number}": (1, 0) for number in range(MAX_COUNTS // 2)}))
    assert len(latest(before, Reading()).canary) == MAX_COUNTS // 2
    assert latest(before, Reading(pods(new=(1, 0)))).canary == pods(new=(1, 0))


def test_what_is_no_count_is_not_kept_for_the_next_look():
    kept = latest(Reading(pods(a=(100, 5))), Reading(pods(a=(math.nan, 5), b=(math.inf, 0), c=(1, 0))))
    assert kept == Reading(pods(a=(100, 5), c=(1, 0)))


def test_the_sum_of_a_side():
    assert totals(pods(a=(10, 1), b=(20, 2)), rates=1) == (30, 3)
    assert totals({}, rates=2) == (0, 0, 0)


POD = st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans(), st.booleans())
"""In one look: good and bad requests, whether the scrape missed it, whether its proxy had restarted before."""


def served_and_counted(looks: Sequence[Sequence[tuple[int, int, bool, bool]]]) -> tuple[float, float]:
    """Requests that the canary's pods served, and those that looks counted."""
    before, served, counted = Reading(), 0.0, 0.0
    counters: dict[str, tuple[float, float]] = {}
    for look in looks:
        seen: dict[str, tuple[float, float]] = {}
        for name, (good, bad, missed, restarted) in zip("ab", look, strict=True):
            total, failed = (0.0, 0.0) if restarted else counters.get(name, (0.0, 0.0))
            counters[name] = total + good + bad, failed + bad
            served += good + bad
            if not missed:
                seen[name] = counters[name]
        now = Reading(pods(**seen))
        counted += totals(since(before, now).canary, rates=1)[0]
        before = latest(before, now)
    return served, counted


@given(st.lists(st.tuples(POD, POD), max_size=8))
def test_no_request_is_counted_twice(looks):
    served, counted = served_and_counted(looks)
    assert counted <= served


@given(st.lists(st.tuples(POD, POD), max_size=8))
def test_without_restarts_every_request_is_counted_once_all_pods_are_seen_again(looks):
    steady = [[(good, bad, missed, False) for good, bad, missed, _ in look] for look in looks]
    served, counted = served_and_counted([*steady, [(0, 0, False, False)] * 2])
    assert counted == served
