"""The dashboards and the alert rules as Grafana and Prometheus read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from components.observability.dashboard import canary_dashboard
from components.observability.overview import controller_dashboard, rollouts_dashboard
from components.observability.panels import COLUMNS, Dashboard
from components.observability.rules import build_rules
from controller.core.rollout.phases import HOLDS, MOVES, Reason
from controller.shell.reporting.metrics import Metrics
from tests.golden_files import assert_golden_text

BOARDS = (canary_dashboard(), rollouts_dashboard(), controller_dashboard("canary-controller"))


def panels(board: Dashboard) -> Iterator[tuple[str, str]]:
    for row in board.rows:
        for panel in row.panels:
            for legend, query in panel.queries.items():
                yield f"{board.title}: {row.title}: {panel.title}: {legend}", query
    for title, query in board.annotations.items():
        yield f"{board.title}: annotation: {title}", query


def test_what_the_panels_ask():
    asked = "".join(f"{name}\n  {query}\n" for board in BOARDS for name, query in panels(board))
    assert_golden_text("program/dashboards.txt", asked)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_panels_lie_beside_and_below_each_other(board):
    taken: set[tuple[int, int]] = set()
    for panel in board.to_json()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < COLUMNS
        assert not cells & taken
        taken |= cells
    ids = [panel["id"] for panel in board.to_json()["panels"]]
    assert ids == list(range(1, len(ids) + 1))


def controller_series() -> set[str]:
    found = {family.name for family in Metrics("1").registry.collect()}
    return {f"{name}{end}" for name in found for end in ("", "_total", "_bucket", "_sum", "_count")}


def rules() -> list[dict[str, Any]]:
    return [rule for group in build_rules()["groups"] for rule in group["rules"]]


def test_the_controller_s_series_that_are_asked_for_exist():
    asked = [query for board in BOARDS for _, query in panels(board)] + [rule["expr"] for rule in rules()]
    names = {name for query in asked for name in re.findall(r"\b(?:flagger|canary)_[a-z_]+", query)}
    assert names
    assert names <= controller_series()


def test_every_reason_is_one_to_alert_of_or_one_not_to():
    """A reason that is new must be sorted: it waits for a person, or was chosen, or is a move; else it alerts."""
    by_name = {rule["alert"]: rule["expr"] for rule in rules()}
    stuck = re.search(r'reason!~"([^"]*)"', by_name["CanaryStuck"])
    gates = re.search(r'reason=~"([^"]*)"', by_name["CanaryWaitsForApproval"])
    assert stuck is not None
    assert gates is not None
    quiet = {reason for reason in stuck[1].split("|") if reason}
    assert quiet <= {*Reason}
    assert {*gates[1].split("|")} <= quiet
    moves = {reason for row in MOVES.values() for reason in row}
    holds = {*HOLDS} - quiet
    assert holds == {
        "NotSupported",
        "NotAllowed",
        "ObjectTaken",
        "TargetMissing",
        "SelectorUnusable",
        "ReferencesMissing",
        "ConfigLost",
        "TakenOver",
        "PrimaryNotReady",
        "CanaryNotReady",
        "CanaryScaledToZero",
        "CheckFailed",
        "ValuesMissing",
        "WarmingUp",
        "RoutesLate",
        "HookPending",
        "RollbackBlocked",
        "Superseded",
    }
    assert moves - quiet, "what ends a rollout leaves the phases that the rule looks at"
