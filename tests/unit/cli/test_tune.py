"""``canary tune``: a patch that can be applied, and the evidence for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from controller.api import parse_canary
from controller.cli import app
from controller.cli.recording import save_recording
from controller.core.simulation.replay import plan_recording
from tests.builders import ERROR_RATE, canary_manifest, error_rate_template
from tests.unit.core.evidence.traffic import PRIMARIES, Served, Traffic, recorded

ERRORS = {"name": "errors", "compare": {"errors": {}, "sensitivity": "low", "warmup": "5m"}}
ANALYSIS: dict[str, Any] = {
    "interval": "30s",
    "threshold": 3,
    "stepWeight": 10,
    "maxWeight": 50,
    "metrics": [ERRORS, {**ERROR_RATE, "templateRef": {"name": "error-rate"}}],
}
POINTS = 240


def tune(folder: Path, serves: Callable[[int], Served], analysis: dict[str, Any] = ANALYSIS) -> tuple[int, str]:
    """Exit status and output over two hours in which the pods served like that."""
    documents = [canary_manifest(analysis=analysis), error_rate_template().to_dict()]
    documents[1]["metadata"]["namespace"] = "prod"
    (folder / "canary.yaml").write_text(yaml.safe_dump_all(documents))
    canary = parse_canary(documents[0])
    series = Traffic(POINTS, serves).series()
    templates = {"prod/error-rate": error_rate_template()}
    recording = recorded(POINTS, dict.fromkeys(plan_recording(canary, templates), series), step=30.0)
    save_recording(folder / "hours.json", recording)
    called = ["tune", "-f", str(folder / "canary.yaml"), "--recorded", str(folder / "hours.json")]
    result = CliRunner().invoke(app, [*called, "--quiet-runs", "4"])
    return result.exit_code, result.output


def alike(requests: int) -> Callable[[int], Served]:
    """Three pods that fail 1% of their requests, as chance has it."""
    random = Random(3)
    counted = [
        {pod: (requests, sum(random.random() < 0.01 for _ in range(requests))) for pod in PRIMARIES}
        for _ in range(POINTS)
    ]
    return lambda point: counted[point]


def test_the_patch_is_a_valid_analysis_with_the_evidence_above_it(tmp_path):
    code, shown = tune(tmp_path, alike(1000))
    assert code == 0, shown
    evidence = [line for line in shown.splitlines() if line.startswith("# ")]
    assert evidence[0].startswith("# prod/backend, 2026-01-01 12:00:00 to 2026-01-01 13:59:30 UTC, 717,000 requests")
    assert evidence[1].startswith("# errors: 1.00% of the primary's requests are bad, in clumps of 1.0")
    assert evidence[2].startswith(
        "# errors: 0 false alarms in 4 runs with one pod of the primary as the canary; the risk"
    )
    assert evidence[3] == "# errors: 4 runs cannot show a risk of 5.0%; that takes 20 or more"
    assert evidence[-1] == "# errors: a doubling of the bad requests is found after 2m; before: not in the plan"
    patch = yaml.safe_load(shown)["spec"]["analysis"]
    assert patch == {
        "metrics": [
            {"name": "errors", "compare": {"errors": {}, "sensitivity": "high", "warmup": "0s"}},
            ANALYSIS["metrics"][1],
        ]
    }
    parse_canary(canary_manifest(analysis={**ANALYSIS, **patch}))


def test_a_service_with_few_requests_is_told_to_look_less_often(tmp_path):
    code, shown = tune(tmp_path, alike(50))
    assert code == 0, shown
    patch = yaml.safe_load(shown)["spec"]["analysis"]
    assert patch["interval"] in ("2m", "3m", "5m", "10m")
    assert f", with an interval of {patch['interval']}; before: not in the plan" in shown


@pytest.mark.parametrize(
    ("serves", "said"),
    [
        (
            lambda _: {PRIMARIES[0]: (1000, 10)},
            "# errors: no setting could be tried: that needs ",
        ),
        (lambda _: {}, "# errors: no requests were counted"),
        (
            lambda _: {pod: (3000, 1500 if pod is PRIMARIES[0] else 30) for pod in PRIMARIES},
            "settings raise more false alarms than the risk of 5.0%: use dryRun",
        ),
    ],
    ids=["one pod", "no traffic", "pods that differ without end"],
)
def test_where_nothing_can_be_proposed_the_reason_is_said_and_the_status_is_1(tmp_path, serves, said):
    code, shown = tune(tmp_path, serves)
    assert (code, shown.strip().splitlines()[-1]) == (1, "canary tune: no setting can be proposed")
    assert said in shown
    assert "spec:" not in shown


def test_a_canary_without_a_comparison_of_shares_is_refused(tmp_path):
    code, shown = tune(tmp_path, alike(10), {**ANALYSIS, "metrics": [ANALYSIS["metrics"][1]]})
    assert (code, "no metric compares a share of requests" in shown) == (1, True)
