"""Every query of every panel of the dashboards has an answer on a real Prometheus, and the alert rules are loaded."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from components.observability.dashboard import canary_dashboard
from components.observability.overview import controller_dashboard, rollouts_dashboard
from components.observability.panels import Dashboard
from components.observability.rules import build_rules
from tests.e2e.world import World

CHOSEN = {"$namespace": "prod", "$primary": "backend-primary", "$canary": "backend", "$__rate_interval": "30s"}
SECONDS = 240
BOARDS = (canary_dashboard(), rollouts_dashboard(), controller_dashboard("canary-controller"))
ANALYSIS = {
    "interval": "8s",
    "stepWeight": 25,
    "maxWeight": 50,
    "metrics": {  # nearly all requests take longer than that, so that there is a ratio
        "slow": {"compare": {"with": "primary", "latency": {"edges": ["1ms"]}, "warmup": "4s"}, "dryRun": True},
    },
}


def queries(board: Dashboard) -> Iterator[tuple[str, str]]:
    """What is asked, by dashboard, panel and legend."""
    asked = [
        (f"{board.title}: {panel.title}: {legend}", query)
        for row in board.rows
        for panel in row.panels
        for legend, query in panel.queries.items()
    ]
    for name, query in asked:
        for variable, value in CHOSEN.items():
            query = query.replace(variable, value)  # noqa: PLW2901 -- one variable after the other
        yield name, query


def ask(world: World, path: str, **parameters: str) -> Any:
    port = world.sandbox.node.instance.ports().prometheus
    address = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(address, timeout=10) as response:
        return json.load(response)["data"]


@pytest.fixture(scope="module")
def seen(world: World) -> Mapping[str, str]:
    """The queries without an answer at any time of a rollout, and after one that was rolled back."""
    missing = dict(each for board in BOARDS for each in queries(board))
    world.settle("backend")
    mark = world.mark()
    world.deploy("backend", analysis=ANALYSIS, env={"REVISION": "for the dashboards"})
    world.wait_for_phase("backend", "Progressing", after=mark)
    deadline = time.monotonic() + SECONDS
    while missing and time.monotonic() < deadline:
        missing = {name: query for name, query in missing.items() if not ask(world, "query", query=query)["result"]}
        time.sleep(2)
    return missing


def test_every_query_of_every_panel_has_an_answer(seen):
    assert seen == {}


def test_the_rules_are_loaded_and_can_be_evaluated(world: World):
    rules = [rule for group in ask(world, "rules")["groups"] for rule in group["rules"]]
    expected = [rule["alert"] for group in build_rules()["groups"] for rule in group["rules"]]
    assert [rule["name"] for rule in rules] == expected
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
    assert "CanaryControllerDown" not in firing
