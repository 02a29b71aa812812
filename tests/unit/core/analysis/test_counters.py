"""Which counters are asked for, and what two readings of them say about the time between."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api.metric import CompareErrors, CompareLatency
from controller.core.analysis.counters import (
    Reading,
    bucket_key,
    errors_query,
    latency_query,
    latest,
    read_samples,
    since,
    total_of,
)
from controller.core.evidence.question import EvidenceError
from controller.core.model import Sample
from tests.builders import make_canary
from tests.golden_files import assert_golden

CANARY, PRIMARY = "backend", "backend-primary"

NAMES: Mapping[str, dict[str, Any]] = {
    "plain names": {},
    "a target whose name has dots, a Service of another name": {
        "name": "web",
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web.v2.eu"},
        "service": {"name": "front"},
    },
}


@pytest.mark.parametrize("name", NAMES)
def test_the_queries(name):
    canary = make_canary(**NAMES[name])
    assert_golden(
        f"core/counter-queries-{name.replace(' ', '-').replace(',', '')}",
        {
            "errors": errors_query(canary, CompareErrors()),
            "errors by other codes": errors_query(canary, CompareErrors(response_codes="5..|429")),
            "latency": latency_query(canary, CompareLatency(edges=("100ms", "2.5s"))),
        },
    )


@pytest.mark.parametrize(
    ("codes", "string"),
    [
        pytest.param('5.."', r'"5..\""', id="a quote"),
        pytest.param(r"5\d\d", r'"5\\d\\d"', id="a backslash"),
        pytest.param("5..\n", r'"5..\n"', id="a line break"),
        pytest.param('") or vector(0) #', r'"\") or vector(0) #"', id="what would be a query of its own"),
        pytest.param("5é.", '"5é."', id="a letter that is not ASCII"),
    ],
)
def test_response_codes_stay_within_their_string(codes, string):
    query = errors_query(make_canary(), CompareErrors(response_codes=codes))
    assert query.endswith(f', "bad", "true", "response_code", {string}))')


@pytest.mark.parametrize(
    ("edge", "wanted"),
    [
        pytest.param("100ms", r"100|100\\.0", id="a whole number is 100.0 in Prometheus 3"),
        pytest.param("0.5ms", r"0\\.5", id="a part of a millisecond is the same in both"),
        pytest.param("9ms", r"9|9\\.0", id="a number that 0.009 * 1000 misses by a bit"),
        pytest.param("30m", r"1800000|1\\.8e\\+06", id="from a million on Prometheus 3 has an exponent"),
        pytest.param("1h", r"3600000|3\\.6e\\+06", id="the last edge of Istio"),
        pytest.param("1234.567s", r"1234567|1\\.234567e\\+06", id="no digit is lost"),
    ],
)
def test_an_edge_is_asked_for_as_every_prometheus_spells_it(edge, wanted):
    query = latency_query(make_canary(), CompareLatency(edges=(edge,)))
    assert query.endswith(rf',le=~"{wanted}|\\+Inf"}})')


def requests(
    workload: str, instance: str, good: float, bad: float = 0, *, reporter: str = "destination"
) -> list[Sample]:
    labels = {"destination_workload": workload, "reporter": reporter, "instance": instance}
    return [Sample(labels, good), *([Sample({**labels, "bad": "true"}, bad)] if bad else [])]


def bucket(le: str, count: float, instance: str = "a") -> Sample:
    labels = {"destination_workload": CANARY, "reporter": "destination", "instance": instance, "le": le}
    return Sample(labels, count)


@pytest.mark.parametrize(
    ("samples", "reading"),
    [
        pytest.param([], Reading(), id="nothing was counted yet"),
        pytest.param(
            [*requests(CANARY, "a", 90, 10), *requests(PRIMARY, "b", 900)],
            Reading({"destination/a": {"total": 100, "bad": 10}}, {"destination/b": {"total": 900, "bad": 0}}),
            id="good and bad of a pod are its total",
        ),
        pytest.param(
            [*requests(CANARY, "a", 90), *requests(CANARY, "gateway", 0, 5, reporter="source")],
            Reading({"destination/a": {"total": 90, "bad": 0}, "source/gateway": {"total": 5, "bad": 5}}),
            id="what a gateway could not bring to a pod is a series of its own",
        ),
        pytest.param(
            [Sample({"destination_workload": CANARY, "reporter": "destination", "bad": "true", "instance": "a"}, 3)],
            Reading({"destination/a": {"total": 3, "bad": 3}}),
            id="a pod that only fails",
        ),
        pytest.param(requests("frontend", "a", 90), Reading(), id="another workload is nobody's"),
        pytest.param(
            [bucket("100", 5), bucket("1000", 8), bucket("+Inf", 9)],
            Reading({"destination/a": {"100": 5, "1000": 8, "inf": 9}}),
            id="edges in the spelling of Envoy and Prometheus 2",
        ),
        pytest.param(
            [bucket("100.0", 5), bucket("1.8e+06", 8), bucket("+Inf", 9)],
            Reading({"destination/a": {"100": 5, "1800000": 8, "inf": 9}}),
            id="edges in the spelling of Prometheus 3",
        ),
        pytest.param(
            [bucket("100", 5), bucket("100.0", 7), bucket("+Inf", 9)],
            Reading({"destination/a": {"100": 7, "inf": 9}}),
            id="of both spellings after an upgrade the one that still counts",
        ),
    ],
)
def test_samples_are_read_by_side_and_series(samples, reading):
    assert read_samples(make_canary(), samples) == reading


@pytest.mark.parametrize("value", [math.nan, -1.0, -math.inf])
def test_a_sample_that_is_no_count_is_not_taken_for_one(value):
    read = read_samples(make_canary(), requests(CANARY, "a", value, 5))
    assert math.isnan(read.canary["destination/a"]["total"])


def totals(**counts: tuple[float, float]) -> dict[str, dict[str, float]]:
    return {f"destination/{pod}": {"total": total, "bad": bad} for pod, (total, bad) in counts.items()}


SIDES = [
    pytest.param(totals(a=(100, 5)), totals(a=(150, 7)), totals(a=(50, 2)), id="a counter that rose"),
    pytest.param(totals(a=(100, 5)), totals(a=(100, 5)), totals(a=(0, 0)), id="a counter that stood still"),
    pytest.param(totals(a=(100, 5)), totals(a=(30, 1)), totals(a=(30, 1)), id="one that fell began again at 0"),
    pytest.param(
        totals(a=(100, 5)), totals(a=(130, 1)), totals(a=(130, 1)), id="it is enough that the bad ones fell: a restart"
    ),
    pytest.param(
        totals(a=(100, 5), b=(100, 5)),
        totals(a=(110, 5)),
        totals(a=(10, 0)),
        id="a pod that is gone counts nothing",
    ),
    pytest.param({}, {}, {}, id="nothing at all"),
]


@pytest.mark.parametrize(("before", "now", "counted"), SIDES)
def test_what_a_side_counted_between_two_readings(before, now, counted):
    assert since(Reading(before, {}), Reading(now, {})) == Reading(counted, {})
    assert since(Reading({}, before), Reading({}, now)) == Reading({}, counted)


def test_a_new_pod_of_the_canary_began_at_0():
    counted = since(Reading(totals(a=(100, 5))), Reading(totals(a=(110, 5), b=(20, 1))))
    assert counted.canary == totals(a=(10, 0), b=(20, 1))


def test_a_new_pod_of_the_primary_may_be_an_old_one_and_counts_from_its_second_reading_on():
    before, now, later = (
        Reading({}, totals(**pods))
        for pods in (
            {"a": (100, 5)},
            {"a": (110, 5), "b": (90_000, 800)},
            {"a": (120, 5), "b": (90_011, 801)},
        )
    )
    assert since(before, now).primary == totals(a=(10, 0))
    assert since(latest(before, now), later).primary == totals(a=(10, 0), b=(11, 1))


def test_requests_that_reached_no_pod_of_the_primary_count_at_once():
    now = Reading({}, {"source/gateway": {"total": 5, "bad": 5}})
    assert since(Reading(), now) == now


def test_a_pod_that_misses_a_scrape_brings_what_it_counted_with_the_next():
    readings = [Reading({}, totals(**pods)) for pods in ({"a": (100, 5)}, {}, {"a": (130, 6)})]
    missed = latest(readings[0], readings[1])
    assert missed == readings[0]
    assert since(missed, readings[2]).primary == totals(a=(30, 1))


def test_what_is_no_count_is_not_kept_for_the_next_look():
    kept = latest(Reading(totals(a=(100, 5))), Reading(totals(a=(math.nan, 5), b=(math.inf, 0), c=(1, 0))))
    assert kept == Reading(totals(a=(100, 5), c=(1, 0)))


def test_the_sum_of_a_side():
    assert total_of(totals(a=(10, 1), b=(20, 2))) == {"total": 30, "bad": 3}


def test_a_reading_survives_the_status():
    reading = Reading(totals(a=(100, 5)), {"destination/b": {"100": 5.5, "inf": 1e15}})
    assert Reading.from_status(reading.to_status()) == reading


@pytest.mark.parametrize(
    "saved",
    [
        {},
        {"canary": {}},
        {"canary": {}, "primary": []},
        {"canary": {}, "primary": {"destination/a": 5}},
        {"canary": {}, "primary": {"destination/a": {"total": "many"}}},
        {"canary": {}, "primary": {"destination/a": {"total": math.nan}}},
        {"canary": {}, "primary": {"destination/a": {"total": None}}},
    ],
)
def test_a_malformed_reading_is_refused(saved):
    with pytest.raises(EvidenceError, match="saved evidence: "):
        Reading.from_status(saved)


def test_a_bucket_has_one_name():
    assert [bucket_key(edge) for edge in (100.0, 0.5, 1.8e6, 9.000000000000002, math.inf)] == [
        "100",
        "0.5",
        "1800000",
        "9",
        "inf",
    ]


POD = st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans(), st.booleans())
"""In one look: good and bad requests, whether the scrape missed it, whether its proxy had restarted before."""


def served_and_counted(looks: Sequence[Sequence[tuple[int, int, bool, bool]]]) -> tuple[float, float]:
    """Requests that the canary's pods served, and those that looks counted."""
    before, served, counted = Reading(), 0.0, 0.0
    pods: dict[str, tuple[float, float]] = {}
    for look in looks:
        seen: dict[str, tuple[float, float]] = {}
        for name, (good, bad, missed, restarted) in zip("ab", look, strict=True):
            total, failed = (0.0, 0.0) if restarted else pods.get(name, (0.0, 0.0))
            pods[name] = total + good + bad, failed + bad
            served += good + bad
            if not missed:
                seen[name] = pods[name]
        now = Reading(totals(**seen))
        counted += total_of(since(before, now).canary).get("total", 0.0)
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
