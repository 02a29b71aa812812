"""``canary replay``: from Prometheus to a table, JSON, a file to replay again, and a page."""

from __future__ import annotations

import functools
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from controller.api import parse_canary
from controller.cli import app, recording
from controller.cli.errors import CommandError
from controller.cli.recording import fetch_recording, load_recording, parse_time, save_recording
from controller.cli.replay.page import render_page
from controller.cli.replay.report import as_json
from controller.core.simulation.recording import Series
from controller.core.simulation.replay import plan_recording
from controller.core.simulation.replay import replay as replay_recording
from tests.builders import ERROR_RATE, NOW, canary_manifest, error_rate_template
from tests.unit.cli.prometheus import Matrix, Prometheus
from tests.unit.core.evidence.traffic import CANARY, PRIMARIES, Traffic, gauge, recorded

ANALYSIS: Mapping[str, Any] = {
    "interval": "10s",
    "threshold": 2,
    "stepWeight": 10,
    "maxWeight": 50,
    "metrics": [
        {"name": "errors", "compare": {"errors": {}, "warmup": "0s"}},
        {"name": "latency", "compare": {"latency": {"edges": ["100ms", "1s"]}, "warmup": "0s"}},
        ERROR_RATE,
    ],
}
GOOD, HARMFUL = range(20, 40), range(60, 75)
POINTS = 121


def served(point: int) -> Mapping[tuple[str, str], tuple[int, int]]:
    primary = dict.fromkeys(PRIMARIES, (1000, 10))
    if point in GOOD:
        return {**primary, CANARY: (500, 5)}
    return {**primary, CANARY: (500, 45)} if point in HARMFUL else primary


def slow(point: int) -> list[dict[str, Any]]:
    """Buckets of the same requests: a tenth is slower than 100 ms, one in a hundred than 1 s, everywhere."""
    return [
        {"workload": workload, "instance": pod, "le": le, "count": total * part}
        for (workload, pod), (total, _) in served(point).items()
        for le, part in (("100.0", 0.9), ("1000.0", 0.99), ("+Inf", 1.0))
    ]


def latency_matrix(start: float) -> Matrix:
    series: dict[tuple[str, str, str], list[list[Any]]] = {}
    totals: dict[tuple[str, str, str], float] = {}
    for point in range(POINTS):
        for row in slow(point):
            key = (row["workload"], row["instance"], row["le"])
            totals[key] = totals.get(key, 0.0) + row["count"]
            series.setdefault(key, []).append([start + point * 10, str(totals[key])])
    return [
        {
            "metric": {"destination_workload": workload, "reporter": "destination", "instance": pod, "le": le},
            "values": values,
        }
        for (workload, pod, le), values in series.items()
    ]


def matrix(series: tuple[Series, ...], start: float) -> Matrix:
    return [
        {
            "metric": dict(one.labels),
            "values": [[start + point * 10, str(value)] for point, value in one.values.items()],
        }
        for one in series
    ]


TRAFFIC = Traffic(POINTS, served).series()


def past(query: str, start: float, end: float, _step: float) -> Matrix | str:
    """Twenty minutes with a good rollout and a harmful one; only the counters of errors tell them apart."""
    if "bucket" in query:
        return latency_matrix(start)
    if "istio_requests_total" in query:
        return matrix(TRAFFIC, start)
    return [{"metric": {}, "values": [[start + point * 10, "0.5"] for point in range(POINTS)]}]


@pytest.fixture
def manifest(tmp_path) -> Path:
    path = tmp_path / "canary.yaml"
    path.write_text(yaml.safe_dump_all([canary_manifest(analysis=ANALYSIS), error_rate_template().to_dict()]))
    return path


SPAN = ("--start", "2026-01-01T12:00", "--end", "2026-01-01T12:20")


def replay(manifest: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["replay", "-f", str(manifest), *arguments])
    return result.exit_code, result.output


def test_from_prometheus_each_rollout_is_judged_and_quiet_times_are_tried(manifest):
    with Prometheus(past).serve() as prometheus:
        code, shown = replay(manifest, "--prometheus", prometheus.address, *SPAN, "-o", "json")
    assert code == 0, shown
    found = json.loads(shown)
    assert [(each["beginsAt"], each["outcome"], each["atLook"]) for each in found["rollouts"]] == [
        ("2026-01-01T12:03:10+00:00", "promoted", 5),
        ("2026-01-01T12:09:50+00:00", "harm", 2),
    ]
    assert found["rollouts"][1]["reason"].startswith(
        "Rolling back backend.prod errors: errors 9% of 1,000 requests against the primary's 1% of 6,000, 9 times "
    )
    assert found["rollouts"][1]["looks"][2]["evidence"]["errors"]["verdict"] == "FAIL"
    assert found["quiet"]["runs"] > 10
    assert found["quiet"]["alarms"] == []


def test_every_query_is_asked_once_over_the_whole_span(manifest):
    with Prometheus(past).serve() as prometheus:
        arguments = ("--prometheus", prometheus.address, *SPAN, "--header", "X-Scope-OrgID: shop")
        code, _ = replay(manifest, *arguments)
    assert code == 0
    assert {path for path, _, _ in prometheus.requests} == {"/api/v1/query_range"}
    assert {headers["X-Scope-OrgID"] for _, _, headers in prometheus.requests} == {"shop"}
    queries = [form.pop("query") for _, form, _ in prometheus.requests]
    assert len(queries) == len(set(queries)) == 4
    grid = {"start": f"{NOW.timestamp():.3f}", "end": f"{NOW.timestamp() + 1200:.3f}", "step": "10"}
    assert all(form == grid for _, form, _ in prometheus.requests)


def test_a_saved_recording_replays_the_same_without_prometheus(manifest, tmp_path):
    saved = tmp_path / "recorded.json"
    with Prometheus(past).serve() as prometheus:
        _, live = replay(manifest, "--prometheus", prometheus.address, *SPAN, "--save", str(saved), "-o", "json")
    assert replay(manifest, "--recorded", str(saved), "-o", "json") == (0, live)


@pytest.fixture
def saved(manifest, tmp_path) -> Path:
    path = tmp_path / "recorded.json"
    with Prometheus(past).serve() as prometheus:
        replay(manifest, "--prometheus", prometheus.address, *SPAN, "--save", str(path))
    return path


def test_the_table_has_a_result_and_a_reason_for_each_rollout(manifest, saved):
    code, shown = replay(manifest, "--recorded", str(saved))
    assert code == 0
    lines = shown.splitlines()
    assert lines[0] == "prod/backend, 2026-01-01 12:00:00 to 2026-01-01 12:20:00 UTC, one look every 10s"
    assert re.search(r"2026-01-01 12:09:50 +2m30s +7,500 +14% +rolled back: worse than the primary +2 +Rolling", shown)
    assert any("false alarms of comparisons: 0 (0%; risk is 5.0%)" in line for line in lines)
    assert "- Webhooks are not recorded: gates count as open, and rollback hooks as not called." in lines


def test_the_page_stands_alone_and_shows_every_rollout(manifest, saved, tmp_path):
    page = tmp_path / "page.html"
    code, _ = replay(manifest, "--recorded", str(saved), "--html", str(page))
    assert code == 0
    text = page.read_text()
    assert not re.search(r"(?:src|href)=|url\(|@import|https?://", text)
    drawings = [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text)]
    assert [drawing.findtext("title") for drawing in drawings[:6]] == [
        "Weight by look",
        "errors: bad requests by look",
        "errors: evidence",
        "latency: bad requests by look",
        "latency: evidence",
        "error-rate",
    ]
    assert len(drawings) == 12
    assert "2. 2026-01-01 12:09:50 UTC: rolled back: worse than the primary" in text
    assert "errors 9% of 1,000 requests against the primary&#x27;s 1% of 6,000, 9 times" in text
    assert "nan" not in text


def test_numbers_of_each_side_are_drawn_as_they_are():
    asked = {"name": "cpu", "compare": {"value": {"query": "cpu{{workload}}", "better": "lower"}, "warmup": "0s"}}
    canary = parse_canary(canary_manifest(analysis={**ANALYSIS, "metrics": [asked]}))
    busy, sides = Traffic(9, served_early).series(), {"cpubackend": 3.0, "cpubackend-primary": 2.0}
    answers = {
        query: gauge(9, functools.partial(constant, sides[query])) if query in sides else busy
        for query in plan_recording(canary, {})
    }
    recording = recorded(9, answers)
    text = render_page(canary, recording, replay_recording(canary, {}, recording))
    assert "cpu: value" in text
    assert "rate of bad requests" not in text
    last = as_json(canary, recording, replay_recording(canary, {}, recording))["rollouts"][0]["looks"][-1]
    assert last["evidence"]["cpu"] == {
        "verdict": "FAIL",
        "pValue": pytest.approx(0.03, abs=0.01),
        "ratio": pytest.approx(1.5),
    }


def constant(number: float, _point: int) -> float:
    return number


def served_early(point: int) -> Mapping[tuple[str, str], tuple[int, int]]:
    return {**dict.fromkeys(PRIMARIES, (1000, 10)), **({CANARY: (500, 5)} if 0 < point < 8 else {})}


def test_a_name_cannot_put_markup_into_the_page(tmp_path, saved):
    metric = {**ANALYSIS["metrics"][0], "name": "<script>alert(1)</script>"}
    path = tmp_path / "canary.yaml"
    path.write_text(yaml.safe_dump(canary_manifest(analysis={**ANALYSIS, "metrics": [metric]})))
    page = tmp_path / "page.html"
    assert replay(path, "--recorded", str(saved), "--html", str(page))[0] == 0
    assert "<script" not in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "set either --prometheus with --start, or --recorded"),
        (("--prometheus", "http://p", "--recorded", "r.json"), "set either --prometheus with --start"),
        (("--prometheus", "http://p"), "--start is missing: set a time as in 2026-11-24T12:00, or a duration"),
        (("--prometheus", "http://p", "--start", "soon"), "--start 'soon': must be a time as in 2026-11-24T12:00"),
        (
            ("--prometheus", "http://p", "--start", "1h", "--end", "2h"),
            "must be at least one interval (10s) before --end",
        ),
        (("--prometheus", "http://p", "--start", "1h", "--header", "token"), "--header: must be NAME: VALUE, as in"),
        (("--prometheus", "http://127.0.0.1:1", "--start", "1h"), "http://127.0.0.1:1 failed: "),
        (("--prometheus", "p:9090", "--start", "1h"), "--prometheus 'p:9090': must start with http:// or https://"),
        (("--recorded", "none.json"), "none.json cannot be read: No such file or directory"),
    ],
)
def test_an_error_is_one_sentence(manifest, arguments, said):
    code, shown = replay(manifest, *arguments)
    assert (code, shown.startswith("canary replay: ")) == (1, True)
    assert said in shown


def test_an_error_of_prometheus_is_shown_with_the_query(manifest):
    with Prometheus(lambda *_: "parse error: unexpected {").serve() as prometheus:
        code, shown = replay(manifest, "--prometheus", prometheus.address, *SPAN)
    assert code == 1
    assert "answered 400: parse error: unexpected {\nThe query was: " in shown


def test_a_recording_of_other_metrics_is_an_error(tmp_path, saved):
    other = tmp_path / "other.yaml"
    metric = {"name": "errors", "compare": {"errors": {"responseCodes": "[45].."}}}
    other.write_text(yaml.safe_dump(canary_manifest(analysis={**ANALYSIS, "metrics": [metric]})))
    code, shown = replay(other, "--recorded", str(saved))
    assert code == 1
    assert "the recording does not hold the query" in shown


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"start": "2026-01-01", "stepSeconds": 0, "points": 1, "answers": []}']
)
def test_a_file_that_is_not_a_recording_is_an_error(tmp_path, content):
    path = tmp_path / "r.json"
    path.write_text(content)
    with pytest.raises(CommandError, match=r"r\.json"):
        load_recording(path)


def test_a_recording_survives_its_file(tmp_path):
    values = {0: 0.1 + 0.2, 2: 1e21, 3: float("inf")}
    before = recorded(4, {"q": (Series({"a": "b"}, values),), "empty": ()}, step=7.5)
    save_recording(tmp_path / "r.json", before)
    assert load_recording(tmp_path / "r.json") == before


def test_a_long_span_is_asked_in_parts_and_put_together(monkeypatch):
    monkeypatch.setattr(recording, "MOST_POINTS", 4)

    def answer(_: str, start: float, end: float, step: float) -> Matrix:
        count = round((end - start) / step) + 1
        return [{"metric": {"a": "b"}, "values": [[start + n * step, str(start + n * step)] for n in range(count)]}]

    with Prometheus(answer).serve() as prometheus:
        found = fetch_recording(prometheus.address, ["q"], start=NOW, end=NOW + timedelta(seconds=90), step=10.0)
    assert sorted((float(form["start"]) - NOW.timestamp()) / 10 for _, form, _ in prometheus.requests) == [0, 4, 8]
    assert found == recorded(10, {"q": (Series({"a": "b"}, {n: NOW.timestamp() + 10 * n for n in range(10)}),)})


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("now", NOW),
        ("90m", NOW - timedelta(minutes=90)),
        ("2025-12-31", datetime(2025, 12, 31, tzinfo=UTC)),
        ("2025-12-31T10:00:00+02:00", datetime(2025, 12, 31, 8, tzinfo=UTC)),
    ],
)
def test_times_are_read(text, time):
    assert parse_time("--start", text, NOW) == time
