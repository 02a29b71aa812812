"""What differs where a canary was rolled back: the kinds of failures that it had more of, in words."""

from __future__ import annotations

from datetime import timedelta
from math import inf, nan

import pytest

from controller.core.analysis.failures import describe_failures, plan_failures
from controller.core.probes import NoValues, QueryFailed, Sample, Samples
from tests.builders import NOW, make_canary

Row = tuple[str, str, str, str, float]


def samples(*rows: Row, side: str = "backend") -> list[Sample]:
    """Caller, code, gRPC status, response flags, requests."""
    labels = ("source_workload", "response_code", "grpc_response_status", "response_flags")
    return [Sample({"destination_workload": side, **dict(zip(labels, row[:4], strict=True))}, row[4]) for row in rows]


def told(canary: list[Sample], primary: list[Sample]) -> str:
    return describe_failures(make_canary(), Samples((*canary, *primary)))


def healthy(requests: float, side: str) -> list[Sample]:
    return samples(("frontend", "200", "", "-", requests), side=side)


GOOD = healthy(9000, "backend-primary")


@pytest.mark.parametrize(
    ("failed", "primary", "text"),
    [
        pytest.param(
            [("frontend", "503", "", "UF", 30)],
            [],
            "code 503 UF to frontend: 30 of 1,000 requests (primary 0 of 9,000)",
            id="a code and its flag",
        ),
        pytest.param(
            [("unknown", "500", "", "-", 30)],
            [],
            "code 500: 30 of 1,000 requests (primary 0 of 9,000)",
            id="a caller that nobody knows",
        ),
        pytest.param(
            [("frontend", "200", "14", "-", 30)],
            [],
            "gRPC status 14 to frontend: 30 of 1,000 requests (primary 0 of 9,000)",
            id="a gRPC status",
        ),
        pytest.param(
            [("frontend", "0", "", "DC", 30)],
            [],
            "code 0 DC to frontend: 30 of 1,000 requests (primary 0 of 9,000)",
            id="a caller that gave up",
        ),
        pytest.param(
            [("frontend", "500", "", "-", 20), ("gateway", "503", "", "-", 30), ("other", "504", "", "-", 1)],
            [],
            "code 503 to gateway: 30 of 1,000 requests (primary 0 of 9,000), "
            "code 500 to frontend: 20 of 1,000 requests (primary 0 of 9,000)",
            id="the two that matter, the most first",
        ),
        pytest.param(
            [("frontend", "500", "", "-", 30), ("gateway", "503", "", "-", 10)],
            [("gateway", "503", "", "-", 90)],
            "code 500 to frontend: 30 of 1,000 requests (primary 0 of 9,000)",
            id="what the primary has as well is no difference",
        ),
        pytest.param([("frontend", "404", "", "-", 300)], [], "", id="what did not fail"),
        pytest.param([], [("frontend", "500", "", "-", 30)], "", id="the primary alone failed"),
    ],
)
def test_the_kinds_of_failures_that_the_canary_had_more_of(failed, primary, text):
    good = healthy(1000 - sum(row[4] for row in failed), "backend")
    kept = [
        *healthy(9000 - sum(row[4] for row in primary), "backend-primary"),
        *samples(*primary, side="backend-primary"),
    ]
    assert told([*good, *samples(*failed)], kept) == text


@pytest.mark.parametrize("answer", [NoValues(), QueryFailed("refused"), Samples(())])
def test_without_an_answer_nothing_is_said(answer):
    assert describe_failures(make_canary(), answer) == ""


@pytest.mark.parametrize("value", [nan, inf, -1.0, 1e300])
def test_a_value_that_is_no_number_of_requests_is_left_out(value):
    assert told(samples(("frontend", "500", "", "-", value)), GOOD) == ""


@pytest.mark.parametrize(("seconds", "window"), [(0, "60s"), (300, "300s"), (90_000, "3600s")])
def test_the_query_reaches_back_to_the_first_traffic(seconds, window):
    probe = plan_failures(make_canary(metricsServer="http://own:9090"), NOW - timedelta(seconds=seconds), NOW)
    assert f"[{window}]" in probe.query
    assert probe.key == "traffic/failures"
    assert probe.provider is not None
    assert probe.provider.address == "http://own:9090"
