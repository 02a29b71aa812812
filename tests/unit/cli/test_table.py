"""The table of Canaries: what a status says, and how it is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from controller.api import Phase, parse_canary
from controller.cli.get import print_rows
from controller.cli.options import Output
from controller.cli.table import draw_canaries
from controller.core.analysis.findings import Finding
from controller.core.probes import NoValues
from controller.core.status import state_from_status
from controller.views.rows import CanaryRow, read_rows
from tests.builders import AB_TESTING, BLUE_GREEN, WEIGHTED, canary_manifest, make_deployment
from tests.golden_files import assert_golden_text
from tests.unit.cli.rollouts import ANALYSIS, rolling_out
from tests.unit.core.cluster import rolled_out


def read_row(manifest: Mapping[str, Any]) -> CanaryRow:
    (row,) = read_rows([manifest])
    return row


def test_a_status_is_read_with_its_checks_and_its_evidence():
    canary = rolling_out().canary
    row = read_row(canary)
    threshold, errors, latency = row.metrics
    assert (row.namespace, row.name, row.phase, row.weight, row.failed_checks, row.threshold) == (
        "prod",
        "backend",
        "Progressing",
        30,
        0,
        3,
    )
    assert threshold == Finding("error-rate", "passed", "error-rate 0.50", value=0.5)
    assert (errors.metric, errors.verdict, errors.ratio, errors.value) == ("errors", "PASS", 2.0, None)
    assert errors.detail.startswith("errors 2% of 2,000 requests against the primary's 1% of 6,000, 2 times (")
    assert errors.p_value == state_from_status(parse_canary(canary)).evidence["errors"].p_value
    assert (latency.verdict, latency.ratio, latency.p_value) == ("INCONCLUSIVE", None, 1.0)
    assert row.message == ""
    assert latency.detail.startswith("no requests were counted on either side: send the load test")


def test_a_rollback_shows_its_verdict_and_its_reason():
    row = read_row(rolling_out(bad=300).canary)
    errors = next(each for each in row.metrics if each.metric == "errors")
    assert (row.phase, row.reason, errors.verdict) == ("Failed", "CanaryHarmful", "FAIL")
    assert row.message.startswith(
        "Rolling back backend.prod errors: errors 30% of 2,000 requests against the primary's 1%"
    )


def test_a_promotion_without_proof_says_so_for_good():
    cluster = rolling_out(bad=10, looks=10)
    rolled_out(cluster)
    row = read_row(cluster.canary)
    assert row.phase == "Succeeded"
    assert row.message.startswith("Promotion finished without proof: latency: no requests were counted on either side")


def test_a_failed_check_is_shown_with_its_value():
    row = read_row(rolling_out(error_rate=7.0).canary)
    assert (row.failed_checks, row.metrics[0]) == (
        2,
        Finding("error-rate", "failed", "error-rate 7.00 > 1", value=7.0),
    )


def with_dry_run(*names: str) -> dict[str, Any]:
    dry_runs = [{**metric, "dryRun": metric["name"] in names} for metric in ANALYSIS["metrics"]]
    return {**ANALYSIS, "metrics": dry_runs}


def test_the_verdict_of_a_dry_run_is_called_one():
    row = read_row(rolling_out(error_rate=7.0, analysis=with_dry_run("error-rate", "latency")).canary)
    assert [each.dry_run for each in row.metrics] == [True, False, True]
    shown = drawn(row)
    assert "failed (dry run)" in shown
    assert "INCONCLUSIVE (dry run)" in shown


def test_a_canary_without_status_is_new():
    row = read_row(canary_manifest())
    assert (row.phase, row.metrics, row.message) == ("", (), "")


def test_evidence_that_cannot_be_read_does_not_hide_the_canary():
    manifest = rolling_out().canary
    manifest["status"]["evidence"]["errors"] = {"test": {"alpha": "a lot"}}
    reading = next(each for each in read_row(manifest).metrics if each.metric == "errors")
    assert (reading.verdict, reading.p_value) == ("passed", None)


def test_a_canary_with_an_invalid_spec_shows_its_status_and_what_is_wrong():
    manifest = rolling_out().canary
    manifest["spec"]["analysis"]["interval"] = "soon"
    row = read_row(manifest)
    assert (row.phase, row.weight, row.threshold) == ("Progressing", 30, None)
    assert row.message.startswith('invalid: spec.analysis.interval: Invalid value: "soon"')


def drawn(*rows: CanaryRow, width: int = 80) -> str:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(draw_canaries(rows))
    return capture.get()


def test_each_canary_is_a_block_with_its_versions_its_metrics_and_its_message():
    workloads = [make_deployment(image="podinfo:6.1.1"), make_deployment("backend-primary", image="podinfo:6.1.0")]
    rows = read_rows([canary_manifest(name="other"), rolling_out(bad=300).canary], workloads)
    assert_golden_text("cli/get.txt", without_trailing_space(drawn(*rows)))


def without_trailing_space(shown: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in shown.splitlines())


def test_in_a_pipe_a_message_is_on_one_line(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    message = "Halt backend.prod advancement " + "error-rate 100.00 > 1; " * 8
    (row,) = read_rows([canary_manifest()])
    print_rows([replace(row, message=message)], Output.TABLE)
    assert f"  {message}".rstrip() in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "failed"),
    [
        pytest.param({"phase": "Progressing", "failedChecks": 2}, "2/3", id="under way"),
        pytest.param({"phase": "Failed", "reason": "ChecksFailed"}, "3/3", id="they have ended it"),
        pytest.param({"phase": "Failed", "reason": "CanaryHarmful"}, "0/3", id="something else has"),
    ],
)
def test_a_canary_that_was_rolled_back_keeps_its_failed_checks(status, failed):
    assert read_row(canary_manifest() | {"status": status}).failed == failed


def test_without_canaries_the_table_says_so():
    assert drawn() == "No Canaries found.\n"


def test_control_characters_do_not_reach_the_terminal():
    metric = Finding("errors\x1b[2J", "passed", "")
    (row,) = read_rows([canary_manifest()], [make_deployment(image="podinfo:\x1b[2J")])
    assert "\x1b" not in drawn(replace(row, message="Halt \x1b]0;title\x07 \x9b31m", metrics=(metric,)))


@pytest.mark.parametrize(
    ("analysis", "status", "traffic"),
    [
        pytest.param(WEIGHTED, {"canaryWeight": 30}, "30%", id="weighted"),
        pytest.param(WEIGHTED, {"canaryWeight": 30, "observedWeight": 28.9}, "30%", id="as the weight says"),
        pytest.param(WEIGHTED, {"canaryWeight": 30, "observedWeight": 10.2}, "30% (10% seen)", id="not there yet"),
        pytest.param(WEIGHTED, {"mirrored": True}, "mirror", id="a copy of the traffic"),
        pytest.param(AB_TESTING, {"iterations": 1, "canaryWeight": 100}, "round 1 of 2", id="A/B"),
        pytest.param(BLUE_GREEN, {"iterations": 2}, "round 2 of 2", id="blue/green"),
        pytest.param(BLUE_GREEN, {"iterations": 3, "canaryWeight": 100}, "100%", id="blue/green, switched over"),
        pytest.param(BLUE_GREEN, {}, "0%", id="blue/green, between rollouts"),
    ],
)
def test_traffic_is_a_weight_or_a_round(analysis, status, traffic):
    manifest = canary_manifest(analysis=analysis) | {"status": {"phase": "Progressing", **status}}
    assert read_row(manifest).traffic == traffic


@pytest.mark.parametrize(
    ("image", "ready", "pods"),
    [
        ("ghcr.io/shop/backend:6.1.1", {"readyReplicas": 2}, "6.1.1 (2/2)"),
        ("localhost:5000/backend:6.1.1", {"readyReplicas": None}, "6.1.1 (0/2)"),
        ("localhost:5000/backend", {}, "latest (0/2)"),
        ("backend@sha256:0123456789abcdef", {}, "0123456789ab (0/2)"),
        ("backend:6.1.1@sha256:0123456789abcdef", {}, "6.1.1 (0/2)"),
    ],
)
def test_workloads_show_image_and_ready_replicas(image, ready, pods):
    deployment = make_deployment(image=image, replicas=2) | {"status": ready}
    (row,) = read_rows([canary_manifest()], [deployment])
    assert (row.primary, row.canary) == ("", pods)


METRIC = "request-success-rate-of-checkout"


def test_nothing_is_cut_where_the_table_is_wider_than_the_terminal():
    message = "Halt checkout-frontend.shop-production advancement request-success-rate-of-checkout 98.00% < 99% " * 3
    row = CanaryRow(
        namespace="shop-production",
        name="checkout-frontend-with-a-long-name",
        phase=Phase.WAITING_PROMOTION,
        weight=100,
        mirrored=False,
        iterations=10,
        rounds=10,
        failed_checks=12,
        threshold=15,
        primary="2026.01.01-0123456789abcdef (10/10)",
        canary="2026.01.02-fedcba9876543210 (10/10)",
        metrics=(
            Finding("request-success-rate-of-checkout", "INCONCLUSIVE", "", ratio=2, interval=(1.5, 2.5), p_value=0.1),
        ),
        message=message,
    )
    shown = drawn(row)
    assert max(len(line) for line in shown.splitlines()) <= 80
    kept = sorted(character for line in shown.splitlines() for character in line if not character.isspace())
    cells = (row.label, row.phase, f"{row.traffic}, failed checks 12/15")
    versions = f"primary {row.primary}, canary {row.canary}"
    metric = ("METRIC FOUND P VERDICT", row.metrics[0].metric, "2x (1.5 to 2.5)", "0.1", "INCONCLUSIVE")
    said = "".join((*cells, versions, *metric, message))
    assert kept == sorted(character for character in said if not character.isspace())


def test_a_lack_of_values_is_a_failed_check_without_a_number():
    cluster = rolling_out(looks=1)
    cluster.answers["metric/error-rate"] = NoValues()
    cluster.tick(10)
    assert cluster.phase is Phase.PROGRESSING
    reading = read_row(cluster.canary).metrics[0]
    assert (reading.verdict, reading.value) == ("failed", None)
