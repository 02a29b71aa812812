"""Which side of a comparison has no requests, and what a Canary leads to before any rollout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from controller.core.analysis.sides import doubts, missing_traffic
from controller.core.evidence.readings import Reading
from controller.core.model import Routes
from tests.builders import AB_TESTING, BLUE_GREEN, WEIGHTED, make_canary, webhook

ERRORS: Mapping[str, Any] = {"name": "errors", "compare": {"errors": {}, "warmup": "0s"}}
CALL = "send the load test to the service as users do (http://backend.prod:9898/)"
BEFORE = Reading({"destination/c": (7.0, 0.0)}, {"destination/p": (900.0, 9.0)})


@pytest.mark.parametrize(
    ("analysis", "routes", "served", "said"),
    [
        pytest.param(WEIGHTED, Routes(10), (1, 9), None, id="both sides"),
        pytest.param(
            WEIGHTED,
            Routes(10),
            (1, 0),
            f"the primary had no requests: {CALL}, not to backend-canary",
            id="nobody calls the primary",
        ),
        pytest.param(WEIGHTED, Routes(10), (0, 9), f"the canary had no requests: {CALL}", id="nobody calls the canary"),
        pytest.param(
            WEIGHTED, Routes(10), (0, 0), f"no requests were counted on either side: {CALL}", id="nobody calls"
        ),
        pytest.param(
            WEIGHTED,
            Routes(100),
            (9, 0),
            "the primary had no requests: the canary has all the traffic",
            id="the canary has all users",
        ),
        pytest.param(
            AB_TESTING,
            Routes(100),
            (0, 9),
            "the canary had no requests: send requests that meet analysis.match",
            id="nobody matches",
        ),
        pytest.param(
            BLUE_GREEN,
            Routes(),
            (0, 9),
            "the canary had no requests: set analysis.mirror: true to copy the primary's",
            id="nothing is mirrored",
        ),
        pytest.param(
            {**BLUE_GREEN, "mirror": True},
            Routes(mirrored=True),
            (0, 9),
            f"the canary had no requests: {CALL}",
            id="a copy of nothing",
        ),
    ],
)
def test_a_side_without_requests_is_named_with_what_to_do(analysis, routes, served, said):
    canary, primary = served
    now = Reading({"destination/c": (7.0 + canary, 0.0)}, {"destination/p": (900.0 + primary, 9.0)})
    assert missing_traffic(make_canary(analysis={**analysis, "metrics": [ERRORS]}), routes, BEFORE, now) == said


def calling(command: str, type_: str = "rollout") -> dict[str, Any]:
    return {"webhooks": [{**webhook("load-test", type_), "metadata": {"cmd": command}}]}


CANARY_ONLY = "load-test calls backend-canary only, and the primary may have no requests to compare with"


@pytest.mark.parametrize(
    ("analysis", "field", "said"),
    [
        pytest.param(
            calling("hey http://backend-canary.prod:9898/"),
            "webhooks[0]",
            CANARY_ONLY,
            id="the canary's Service",
        ),
        pytest.param(
            calling("curl http://backend-canary/ | grep backend-canary-2"),
            "webhooks[0]",
            CANARY_ONLY,
            id="by its name",
        ),
        pytest.param(calling("hey http://backend.prod:9898/"), "", "", id="as users do"),
        pytest.param(calling("hey http://backend.prod/ http://backend-canary.prod/"), "", "", id="both"),
        pytest.param(calling("hey -host example.com http://gateway.istio-system/"), "", "", id="through a gateway"),
        pytest.param(calling("hey http://my-backend-canary.prod/"), "", "", id="another app"),
        pytest.param(calling("curl http://backend-canary.prod/", "pre-rollout"), "", "", id="a test before traffic"),
        pytest.param(
            {"maxWeight": 100},
            "metrics[1].compare",
            "at weight 100 the primary has no requests to compare with; set analysis.maxWeight below 100",
            id="all users",
        ),
        pytest.param({"maxWeight": None}, "metrics[1].compare", "at weight 100 the primary ", id="all by default"),
        pytest.param({"maxWeight": 99}, "", "", id="nearly all users"),
    ],
)
def test_a_comparison_without_requests_on_a_side_is_doubted_beforehand(analysis, field, said):
    spec = {**WEIGHTED, "metrics": [{"name": "request-duration"}, ERRORS], **analysis}
    found = list(doubts(make_canary(analysis={key: value for key, value in spec.items() if value is not None})))
    assert [path for path, _ in found] == ([f"spec.analysis.{field}"] if field else [])
    assert all(message.startswith(said) for _, message in found)


def test_without_a_comparison_nothing_is_doubted():
    analysis = {**WEIGHTED, "maxWeight": 100, **calling("hey http://backend-canary.prod:9898/")}
    assert not list(doubts(make_canary(analysis=analysis)))


REQUESTS = "counts HTTP requests, of which service.appProtocol: tcp has none; use a query of your own"


@pytest.mark.parametrize(
    ("metric", "doubted"),
    [
        ({"name": "request-success-rate", "thresholdRange": {"min": 99}}, True),
        ({"name": "request-duration", "query": "up", "thresholdRange": {"max": 1}}, False),
        ({"name": "errors", "compare": {"errors": {}}}, True),
        ({"name": "slow", "compare": {"latency": {"edges": ["1s"]}}}, True),
        ({"name": "cpu", "compare": {"value": {"query": "cpu{{workload}}", "better": "lower"}}}, False),
        ({"name": "orders", "compare": {"counters": {"bad": "b{{workload}}", "total": "a{{workload}}"}}}, False),
    ],
)
def test_metrics_of_requests_are_doubted_where_connections_are_routed(metric, doubted):
    spec: dict[str, Any] = {"analysis": {**WEIGHTED, "metrics": [metric]}}
    assert list(doubts(make_canary(service={"appProtocol": "TCP"}, **spec))) == (
        [("spec.analysis.metrics[0]", REQUESTS)] if doubted else []
    )
    assert list(doubts(make_canary(service={"appProtocol": "http"}, **spec))) == []
