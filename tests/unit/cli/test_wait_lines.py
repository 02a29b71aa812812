"""What ``canary wait`` prints on the way."""

from __future__ import annotations

import pytest

from controller.api.parse import parse_canary
from controller.cli.wait import _line
from tests.builders import AB_TESTING, BLUE_GREEN, WEIGHTED, canary_manifest


@pytest.mark.parametrize(
    ("analysis", "status", "line"),
    [
        pytest.param(WEIGHTED, {"canaryWeight": 30}, "Progressing 30%", id="a weight"),
        pytest.param(WEIGHTED, {"message": "Halt"}, "Progressing Halt", id="no traffic, and why"),
        pytest.param(AB_TESTING, {"canaryWeight": 100, "iterations": 1}, "Progressing round 1 of 2", id="A/B"),
        pytest.param(BLUE_GREEN, {"iterations": 2}, "Progressing round 2 of 2", id="blue/green"),
        pytest.param(BLUE_GREEN, {"canaryWeight": 100, "iterations": 3}, "Progressing 100%", id="all traffic"),
    ],
)
def test_a_line_has_the_weight_or_the_round(analysis, status, line):
    manifest = canary_manifest(analysis=analysis) | {"status": {"phase": "Progressing", **status}}
    assert _line(parse_canary(manifest)) == line
