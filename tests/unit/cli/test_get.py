"""``canary get``: what a status says, as a table and as JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from controller.api.status import Phase
from controller.cli import app, get
from controller.cli.errors import CommandError
from controller.core.model import NoValues, Samples, Value
from controller.shell.kubernetes.errors import Rejected
from tests.builders import ERROR_RATE, canary_manifest
from tests.unit.core.cluster import Cluster, progressing
from tests.unit.core.evidence.traffic import CANARY, PRIMARIES, Traffic
from tests.unit.shell.fakes import FakeKube

ANALYSIS: Mapping[str, Any] = {
    "interval": "10s",
    "threshold": 3,
    "stepWeight": 10,
    "metrics": [
        ERROR_RATE,
        {"name": "errors", "compare": {"errors": {}, "harmfulRatio": 9}},
        {"name": "latency", "compare": {"latency": {"edges": ["100ms"]}}},
    ],
}


def rolling_out(bad: int = 20, error_rate: float = 0.5, looks: int = 2) -> Cluster:
    """A rollout two looks old whose canary fails ``bad`` of 1,000 requests, the primary 1%."""
    primary = dict.fromkeys(PRIMARIES, (1000, 10))
    traffic = Traffic(looks + 1, lambda point: {**primary, CANARY: (1000, bad)} if point else primary)
    cluster = progressing(0, canary_manifest(analysis=ANALYSIS))
    cluster.answers["metric/error-rate"] = Value(error_rate)
    for point in range(looks + 1):
        cluster.answers["counters/errors"] = Samples(traffic.samples(point))
        cluster.tick(10)
    return cluster


def test_a_status_is_read_with_its_checks_and_its_evidence():
    row = get.read_row(rolling_out().canary)
    threshold, errors, latency = row.readings
    assert (row.namespace, row.name, row.phase, row.canary_weight, row.failed_checks, row.threshold, row.message) == (
        "prod",
        "backend",
        "Progressing",
        30,
        0,
        3,
        "",
    )
    assert threshold == get.Reading("error-rate", "passed", "error-rate 0.50", value=0.5)
    assert (errors.metric, errors.verdict, errors.ratio, errors.value) == ("errors", "PASS", 2.0, None)
    assert errors.detail.startswith("errors 2.0 times the primary's: 40 of 2,000 against 60 of 6,000, p = ")
    assert errors.p_value is not None
    assert 0 < errors.p_value < 0.5
    assert (latency.verdict, latency.ratio, latency.p_value) == ("INCONCLUSIVE", None, 1.0)


def test_a_rollback_shows_its_verdict_and_its_reason():
    row = get.read_row(rolling_out(bad=300).canary)
    errors = next(reading for reading in row.readings if reading.metric == "errors")
    assert (row.phase, errors.verdict) == ("Failed", "FAIL")
    assert row.message.startswith("Rolling back backend.prod errors: errors 30.0 times the primary's: 300 of 1,000")


def test_a_failed_check_is_shown_with_its_value():
    row = get.read_row(rolling_out(error_rate=7.0).canary)
    assert (row.failed_checks, row.readings[0]) == (
        2,
        get.Reading("error-rate", "failed", "error-rate 7.00 > 1", value=7.0),
    )


def test_a_canary_without_status_is_new():
    row = get.read_row(canary_manifest())
    assert (row.phase, row.readings, row.message) == ("", (), "")


def test_evidence_that_cannot_be_read_does_not_hide_the_canary():
    manifest = rolling_out().canary
    manifest["status"]["evidence"]["errors"] = {"test": {"alpha": "a lot"}}
    reading = next(each for each in get.read_row(manifest).readings if each.metric == "errors")
    assert (reading.verdict, reading.detail.partition(":")[0]) == ("unreadable", "saved evidence")


def test_a_canary_with_an_invalid_spec_shows_its_status_and_what_is_wrong():
    manifest = rolling_out().canary
    manifest["spec"]["analysis"]["interval"] = "soon"
    row = get.read_row(manifest)
    assert (row.phase, row.canary_weight, row.threshold) == ("Progressing", 30, None)
    assert row.message.startswith('invalid: spec.analysis.interval: Invalid value: "soon"')


def shown(*manifests: Mapping[str, Any]) -> str:
    console = Console(width=140, no_color=True)
    with console.capture() as capture:
        console.print(get._shown([get.read_row(manifest) for manifest in manifests]))
    return capture.get()


def test_the_table_has_a_line_for_each_metric_and_the_messages_below():
    lines = shown(canary_manifest(name="other"), rolling_out(bad=300).canary).splitlines()
    assert lines[0].split() == list(get._COLUMNS)
    assert lines[1].split() == ["prod", "other", "(new)", "0", "0/3"]
    assert lines[2].split() == ["prod", "backend", "Failed", "0", "0/3", "error-rate", "0.5", "passed"]
    name, ratio, p_value, verdict = lines[3].split()
    assert (name, ratio, verdict) == ("errors", "30x", "FAIL")
    assert float(p_value) < 0.05
    assert lines[4].split() == ["latency", "-", "1", "INCONCLUSIVE"]
    assert lines[6].startswith("prod/backend: Rolling back backend.prod errors: ")


def test_without_canaries_the_table_says_so():
    assert shown() == "No Canaries found.\n"


def test_json_has_the_same(capsys):
    cluster = rolling_out()
    cluster.canary["status"]["checks"][0]["value"] = None
    get.print_rows([get.read_row(cluster.canary)], "json")
    (canary,) = json.loads(capsys.readouterr().out)
    assert {key: canary[key] for key in ("namespace", "name", "phase", "canaryWeight", "threshold")} == {
        "namespace": "prod",
        "name": "backend",
        "phase": "Progressing",
        "canaryWeight": 30,
        "threshold": 3,
    }
    assert [(metric["name"], metric["verdict"], metric["ratio"]) for metric in canary["metrics"]] == [
        ("error-rate", "passed", None),
        ("errors", "PASS", 2.0),
        ("latency", "INCONCLUSIVE", None),
    ]


def in_namespace(name: str, namespace: str) -> dict[str, Any]:
    manifest = canary_manifest(name=name)
    manifest["metadata"]["namespace"] = namespace
    return manifest


CANARIES = (in_namespace("b", "prod"), in_namespace("a", "prod"), in_namespace("b", "dev"))


@pytest.mark.parametrize(
    ("name", "namespace", "found"),
    [
        ("", "", ["dev/b", "prod/a", "prod/b"]),
        ("", "prod", ["prod/a", "prod/b"]),
        ("b", "", ["dev/b", "prod/b"]),
        ("b", "prod", ["prod/b"]),
        ("", "empty", []),
    ],
)
async def test_canaries_are_found_by_name_and_namespace(name, namespace, found):
    rows = await get.find_rows(FakeKube(*CANARIES), name, namespace)
    assert [f"{row.namespace}/{row.name}" for row in rows] == found


async def test_a_name_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(CommandError, match="no Canary 'c' in prod; there are: a, b"):
        await get.find_rows(FakeKube(*CANARIES), "c", "prod")


async def test_who_may_not_see_all_namespaces_is_told_of_n():
    kube = FakeKube(*CANARIES)
    kube.failures["list"] = [Rejected("GET /canaries", 403, "forbidden")] * 2
    with pytest.raises(CommandError, match="403: forbidden; -n NAMESPACE looks at one namespace only"):
        await get.find_rows(kube)
    with pytest.raises(CommandError, match=r"403: forbidden$"):
        await get.find_rows(kube, "", "prod")


def test_a_lack_of_values_is_a_failed_check_without_a_number():
    cluster = rolling_out(looks=1)
    cluster.answers["metric/error-rate"] = NoValues()
    cluster.tick(10)
    assert cluster.phase is Phase.PROGRESSING
    reading = get.read_row(cluster.canary).readings[0]
    assert (reading.verdict, reading.value) == ("failed", None)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A kubeconfig of an API server on loopback that knows `CANARIES`; the paths that it was asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path.partition("?")[0])
            body = json.dumps({"metadata": {"resourceVersion": "1"}, "items": CANARIES}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name in the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    config = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
        "users": [{"name": "test", "user": {}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    yield paths
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ("get", "/apis/flagger.app/v1beta1/canaries"),
        ("get -A", "/apis/flagger.app/v1beta1/canaries"),
        ("get a -n prod", "/apis/flagger.app/v1beta1/namespaces/prod/canaries"),
    ],
)
def test_the_current_context_is_asked(cluster, arguments, path):
    result = CliRunner().invoke(app, [*arguments.split(), "-o", "json"])
    assert result.exit_code == 0, result.output
    assert "a" in [canary["name"] for canary in json.loads(result.output)]
    assert cluster == [path]


def test_a_context_that_does_not_exist_is_told_with_those_that_do(cluster):
    result = CliRunner().invoke(app, ["get", "--context", "other"])
    assert result.exit_code == 1
    assert result.output.startswith("canary get: ")
    assert "there is no context 'other'; there are: test." in result.output


def test_watching_shows_the_table_again_and_again_until_interrupted(cluster, monkeypatch):
    looks: list[tuple[Any, ...]] = []
    find = get.find_rows

    async def find_twice(*arguments: Any) -> Any:
        if len(looks) == 2:
            raise KeyboardInterrupt
        looks.append(arguments[1:])
        return await find(*arguments)

    async def no_pause(_: float) -> None:
        return

    monkeypatch.setattr(get, "find_rows", find_twice)
    monkeypatch.setattr(asyncio, "sleep", no_pause)
    result = CliRunner().invoke(app, ["watch", "a", "-n", "prod"])
    assert (result.exit_code, looks) == (0, [("a", "prod")] * 2)
