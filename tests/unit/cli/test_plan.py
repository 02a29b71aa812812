"""``canary plan``: a rollout predicted from given or measured traffic."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from controller.cli import app
from controller.core.evidence.planning import requests_to_fail
from controller.core.evidence.question import Question
from tests.builders import AB_TESTING, ERROR_RATE, canary_manifest, webhook
from tests.unit.cli.prometheus import Matrix, Prometheus

ERRORS = {"name": "errors", "compare": {"errors": {}, "warmup": "0s"}}
LATENCY = {"name": "latency", "compare": {"latency": {"edges": ["100ms", "1s"]}, "warmup": "0s"}}
STEPS = {"interval": "30s", "threshold": 2, "stepWeight": 25, "maxWeight": 50}


@pytest.fixture
def plan(tmp_path):
    """Exit status and output of ``canary plan`` for an analysis."""

    def run(*arguments: str, **analysis: Any) -> tuple[int, str]:
        path = tmp_path / "canary.yaml"
        path.write_text(yaml.safe_dump(canary_manifest(analysis={**STEPS, **analysis})))
        result = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["plan", "-f", str(path), *arguments])
        return result.exit_code, result.output

    return run


@pytest.fixture
def planned(plan):
    def run(*arguments: str, **analysis: Any) -> dict[str, Any]:
        code, shown = plan(*arguments, "-o", "json", **analysis)
        assert code == 0, shown
        answer: dict[str, Any] = json.loads(shown)
        return answer

    return run


def test_without_comparisons_it_is_steps_and_times(plan):
    code, shown = plan(metrics=[ERROR_RATE])
    assert code == 0
    assert [line.split() for line in shown.splitlines() if line.strip()] == [
        ["prod/backend:", "2", "steps", "of", "30s"],
        ["STEP", "AT", "CANARY"],
        ["1", "0s", "25%"],
        ["2", "30s", "50%"],
        ["Earliest", "promotion", "after", "the", "first", "traffic:", "1m"],
        ["Latest", "promotion", "or", "rollback", "after", "the", "first", "traffic:", "1m30s"],
    ]


def test_with_known_traffic_the_verdicts_have_a_time(plan):
    code, shown = plan("--requests-per-second", "100", "--error-rate", "0.02", metrics=[ERRORS])
    assert code == 0
    lines = [line.split() for line in shown.splitlines()]
    assert ["1", "0s", "25%", "750"] in lines
    question = Question()
    needs = f"{requests_to_fail(question, primary_rate=0.02, ratio=10.0, canary_share=0.5):,.0f}"
    assert ["errors", "10x", "as", "bad", "FAIL", needs, "look", "2,", "after", "1m"] in lines


@pytest.mark.parametrize(
    ("arguments", "analysis", "said"),
    [
        pytest.param((), {}, "When the comparisons reach a verdict depends on the traffic", id="no traffic"),
        pytest.param(("--requests-per-second", "9"), {}, "errors: its rate of bad requests is not known", id="no rate"),
        pytest.param(
            ("--requests-per-second", "1", "--error-rate", "0.001"),
            {},
            "even a canary as good as the primary would be promoted without proof",
            id="too little for a PASS",
        ),
        pytest.param(
            ("--requests-per-second", "1", "--error-rate", "0.001"),
            {"onInconclusive": "rollback"},
            "even a canary as good as the primary would be rolled back without a verdict",
            id="too little for a PASS, and a rollback",
        ),
        pytest.param(
            (),
            {"maxWeight": 100},
            "spec.analysis.metrics[0].compare: at weight 100 the primary has no requests to compare with; set ",
            id="a side without requests",
        ),
        pytest.param(
            ("--requests-per-second", "1", "--error-rate", "0.001"),
            {"onInconclusive": "gate", "webhooks": [webhook("ask", "confirm-promotion")]},
            "even a canary as good as the primary would wait for approval without a verdict",
            id="too little for a PASS, and a gate",
        ),
        pytest.param(
            ("--requests-per-second", "1", "--error-rate", "0.001"),
            {},
            "canary requests, the plan counts 22: the analysis is too short to detect such a canary",
            id="too little for a FAIL",
        ),
        pytest.param(
            (),
            {"mirrorWeight": 30},
            "The controller rejects this Canary: spec.analysis.m",
            id="refused",
        ),
        pytest.param(
            (),
            {"webhooks": [webhook("ask", "confirm-promotion")]},
            "A closed gate (confirm-traffic-increase",
            id="a gate",
        ),
        pytest.param(
            ("--requests-per-second", "9", "--error-rate", "0.1"),
            AB_TESTING,
            "The number of requests that will match is not known",
            id="A/B",
        ),
    ],
)
def test_a_plan_has_remarks(arguments, analysis, said):
    steps = {} if "iterations" in analysis else STEPS
    assert any(said in remark for remark in run_plan(arguments, {**steps, "metrics": [ERRORS], **analysis})["remarks"])


def test_a_dry_run_is_planned_and_no_remark_warns_of_it(plan):
    known = ("--requests-per-second", "1", "--error-rate", "0.001")
    code, shown = plan(*known, metrics=[{**ERRORS, "dryRun": True}])
    assert code == 0
    assert "errors (dry run)" in shown
    assert "without a verdict" not in shown


CPU = {
    "name": "cpu",
    "compare": {"value": {"query": "avg(rate(cpu{{workload}}[1m]))", "better": "lower"}, "warmup": "0s"},
}


@pytest.mark.parametrize(
    ("analysis", "said"),
    [
        pytest.param(
            {"stepWeight": 5},
            "cpu: 5 looks count, one every 1m. FAIL at 2x as bad and PASS at as good need the canary's value over the"
            " primary's to scatter by less than 33% from look to look.",
            id="enough",
        ),
        pytest.param(
            {"stepWeight": 25},
            "cpu: 1 looks count, one every 1m: too few for a verdict; make the analysis longer.",
            id="too few",
        ),
        pytest.param(
            {"metrics": [{"name": "cpu", "compare": {"value": {"query": "{{workload}}{{a}}", "better": "lower"}}}]},
            "cpu: placeholder {{ a }} is unknown",
            id="a query that cannot be asked",
        ),
    ],
)
def test_a_number_of_each_side_has_a_remark(analysis, said):
    found = run_plan((), {**STEPS, "metrics": [CPU], **analysis})
    assert [remark for remark in found["remarks"] if remark.startswith(said)]
    assert found["traffic"] is None


def test_counters_of_the_app_s_own_have_a_pace_of_their_own(planned):
    asked = {"bad": "orders_bad{{workload}}", "total": "orders{{workload}}"}
    orders = {"name": "orders", "compare": {"counters": asked, "warmup": "0s"}}

    def answer(query: str, start: float, end: float, step: float) -> Matrix:
        paces = {"total": 2.0, "bad": 0.1}
        return (
            [
                {
                    "metric": {"destination_workload": "backend-primary", "instance": "p", "count": count},
                    "values": [
                        [start + at * step, str(pace * at * step)] for at in range(int((end - start) / step) + 1)
                    ],
                }
                for count, pace in paces.items()
            ]
            if "orders" in query
            else counters(start, end, step, good=20.0)
        )

    with Prometheus(answer).serve() as prometheus:
        found = planned("--prometheus", prometheus.address, "--window", "30m", metrics=[ERRORS, orders])
    assert found["traffic"]["requestsPerSecond"] == pytest.approx(20.0)
    assert found["traffic"]["badRates"]["orders"] == pytest.approx([0.05])
    gets = {verdict["metric"]: verdict["countedInPlan"] for verdict in found["verdicts"]}
    assert gets["errors"] == pytest.approx(10 * gets["orders"], rel=1e-3)


def run_plan(arguments: tuple[str, ...], analysis: dict[str, Any]) -> dict[str, Any]:
    manifest = yaml.safe_dump(canary_manifest(analysis=analysis))
    result = CliRunner().invoke(app, ["plan", "-f", "-", *arguments, "-o", "json"], input=manifest)
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.output)
    return answer


def counters(start: float, end: float, step: float, **per_second: float) -> Matrix:
    """Counters that rise evenly: of the primary's pod by response class, or by bucket."""
    count = int((end - start) / step) + 1
    series = []
    for name, pace in per_second.items():
        label = {"bad": "true"} if name == "bad" else {} if name == "good" else {"le": name.removeprefix("le_")}
        labels = {"destination_workload": "backend-primary", "reporter": "destination", "instance": "p", **label}
        values = [[start + point * step, str(1000 + pace * point * step)] for point in range(count)]
        series.append({"metric": labels, "values": values})
    return series


def test_traffic_is_measured_from_the_primary_s_counters(planned):
    def answer(query: str, start: float, end: float, step: float) -> Matrix:
        if "bucket" in query:
            return counters(start, end, step, **{"le_100.0": 15.0, "le_1000.0": 19.8, "le_+Inf": 20.0})
        return counters(start, end, step, good=19.5, bad=0.5)

    with Prometheus(answer).serve() as prometheus:
        found = planned("--prometheus", prometheus.address, "--window", "30m", metrics=[ERRORS, LATENCY])
    assert found["traffic"]["requestsPerSecond"] == pytest.approx(20.0)
    assert found["traffic"]["badRates"] == {
        "errors": pytest.approx([0.025]),
        "latency": pytest.approx([0.25, 0.01]),
    }
    assert found["remarks"][0] == "Measured over the last 30m: 36,000 requests."
    assert {verdict["metric"] for verdict in found["verdicts"]} == {"errors", "latency"}
    assert {form["step"] for _, form, _ in prometheus.requests} == {"30"}


def test_without_failed_requests_one_counts_as_failed(planned):
    with Prometheus(lambda _, *grid: counters(*grid, good=1.0)).serve() as prometheus:
        found = planned("--prometheus", prometheus.address, metrics=[ERRORS])
    assert found["traffic"]["badRates"]["errors"] == [pytest.approx(1 / 3600)]
    assert "errors: none of 3,600 requests failed; counted as one" in found["remarks"]


def test_errors_that_come_in_bursts_are_measured_and_need_more_requests(planned):
    def served(burst: int) -> dict[str, Any]:
        """A hundred errors in ten minutes, all at once or evenly."""

        def answer(_: str, start: float, end: float, step: float) -> Matrix:
            good, bad = counters(start, end, step, good=50.0, bad=1.0)
            values = [[time, str(burst * (float(value) // burst))] for time, value in bad["values"]]
            return [good, {**bad, "values": values}]

        with Prometheus(answer).serve() as prometheus:
            return planned("--prometheus", prometheus.address, metrics=[ERRORS])

    even, bursts = served(1), served(100)
    needs = [[each["canaryRequests"] for each in found["verdicts"]] for found in (even, bursts)]
    assert all(burst > 2 * steady for steady, burst in zip(*needs, strict=True))
    (said,) = (remark for remark in bursts["remarks"] if "clumps" in remark)
    assert said.startswith("errors: bad requests come in clumps, so that verdicts need ")
    assert not any("clumps" in remark for remark in even["remarks"])


def test_without_traffic_there_are_no_verdicts(planned):
    with Prometheus(lambda *_: []).serve() as prometheus:
        found = planned("--prometheus", prometheus.address, metrics=[ERRORS])
    assert (found["traffic"], found["verdicts"]) == (None, [])
    assert found["remarks"][0] == "Measured over the last 1h: 0 requests."


def test_options_override_the_measurement(planned):
    with Prometheus(lambda _, *grid: counters(*grid, good=19.5, bad=0.5)).serve() as prometheus:
        arguments = ("--prometheus", prometheus.address, "--requests-per-second", "7", "--error-rate", "0.2")
        found = planned(*arguments, metrics=[ERRORS])
    assert found["traffic"] == {"requestsPerSecond": 7.0, "badRates": {"errors": [0.2]}}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--error-rate", "2"), "--error-rate and --slow-rate must be above 0 and below 1 (0.01 is 1%), got 2"),
        (("--minimum-interval", "soon"), "--minimum-interval 'soon': must be a duration as in"),
        (("--window", "soon", "--prometheus", "http://127.0.0.1:1"), "--window 'soon': must be a duration as in"),
        (("--prometheus", "http://127.0.0.1:1"), "http://127.0.0.1:1 failed: "),
        (("--name", "other"), "no Canary 'other'"),
    ],
)
def test_an_error_is_one_sentence(plan, arguments, said):
    code, shown = plan(*arguments, metrics=[ERRORS])
    assert code == 1
    assert shown.startswith("canary plan: ")
    assert said in shown


def test_an_invalid_canary_is_an_error_with_its_place(plan):
    code, shown = plan(interval="soon")
    assert code == 1
    assert 'canary.yaml:1: The Canary "prod/backend" is invalid:\n  spec.analysis.interval: Invalid value' in shown


def test_several_canaries_need_a_name(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump_all([canary_manifest(name="a"), canary_manifest(name="b")]))
    result = CliRunner().invoke(app, ["plan", "-f", str(path)])
    assert (result.exit_code, result.output.strip()) == (
        1,
        f"canary plan: {path}: several Canaries (a, b); select one with --name",
    )
    assert CliRunner().invoke(app, ["plan", "-f", str(path), "--name", "b"]).exit_code == 0
