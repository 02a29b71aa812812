"""``canary get`` and ``canary watch``: which Canaries, as a table or as JSON."""

from __future__ import annotations

import asyncio
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from controller.cli import app, get, watch
from controller.cli.errors import CommandError
from controller.cli.options import Output
from controller.shell.kubernetes.client import Listing
from controller.shell.kubernetes.errors import Rejected
from controller.shell.kubernetes.kinds import Kind
from controller.views.rows import read_rows
from tests.builders import canary_manifest, make_daemon_set, make_deployment
from tests.unit.cli.rollouts import rolling_out
from tests.unit.core.cluster import rolled_out
from tests.unit.shell.fakes import FakeKube


def test_json_has_the_same(capsys):
    cluster = rolling_out()
    cluster.canary["status"]["checks"][0]["value"] = None
    get.print_rows(read_rows([cluster.canary]), Output.JSON)
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


def test_json_has_the_receipt_of_what_the_primary_runs(capsys):
    cluster = rolling_out(bad=10, looks=10)
    rolled_out(cluster)
    get.print_rows(read_rows([cluster.canary]), Output.JSON)
    (canary,) = json.loads(capsys.readouterr().out)
    assert canary["receipt"] == cluster.canary["status"]["receipt"]
    assert canary["receipt"]["images"] == {"backend": "podinfo:2"}


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


class WithoutDeployments(FakeKube):
    """An API whose user may list Canaries and nothing else."""

    async def list(
        self, kind: Kind, namespace: str = "", *, metadata_only: bool = False, selector: str = "", fields: str = ""
    ) -> Listing:
        if kind.name == "Deployment":
            raise Rejected("GET /deployments", 403, "forbidden")
        return await super().list(kind, namespace, metadata_only=metadata_only)


@pytest.mark.parametrize(("kube", "canary"), [(FakeKube, "6.1.0 (0/1)"), (WithoutDeployments, "")])
async def test_the_workloads_are_shown_to_those_who_may_list_deployments(kube, canary):
    (row,) = await get.find_rows(kube(CANARIES[1], make_deployment("a", image="podinfo:6.1.0")), "a", "prod")
    assert row.canary == canary


async def test_a_daemon_set_is_shown_and_deployments_are_not_read_for_it():
    kube = FakeKube(canary_manifest(name="a", kind="DaemonSet"), make_daemon_set("a", image="podinfo:6.1.0"))
    (row,) = await get.find_rows(kube, "a", "prod")
    assert (row.canary, kube.requests) == ("6.1.0 (1/1)", [("list", "Canary"), ("list", "DaemonSet")])


async def test_an_unknown_name_is_an_error_that_lists_the_known_ones():
    with pytest.raises(CommandError, match="no Canary 'c' in prod; found: a, b"):
        await get.find_rows(FakeKube(*CANARIES), "c", "prod")


async def test_an_error_on_listing_all_namespaces_names_the_option_for_one():
    kube = FakeKube(*CANARIES)
    kube.failures["list"] = [Rejected("GET /canaries", 403, "forbidden")] * 2
    with pytest.raises(CommandError, match="403: forbidden; use -n NAMESPACE to list one namespace only"):
        await get.find_rows(kube)
    with pytest.raises(CommandError, match=r"403: forbidden$"):
        await get.find_rows(kube, "", "prod")


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A kubeconfig of an API server on loopback that knows `CANARIES`; the paths that it was asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            paths.append(path)
            items = CANARIES if path.endswith("/canaries") else (make_deployment("a"),)
            body = json.dumps({"metadata": {"resourceVersion": "1"}, "items": items}).encode()
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
    assert cluster == [path, path.replace("flagger.app/v1beta1", "apps/v1").replace("canaries", "deployments")]


def test_an_unknown_context_is_an_error_that_lists_the_known_ones(cluster):
    result = CliRunner().invoke(app, ["get", "--context", "other"])
    assert result.exit_code == 1
    assert result.output.startswith("canary get: ")
    assert "there is no context 'other'; there are: test." in result.output


def test_watch_refreshes_the_table_until_interrupted(cluster, monkeypatch):
    looks: list[tuple[Any, ...]] = []
    find = get.find_rows

    async def find_twice(*arguments: Any) -> Any:
        if len(looks) == 2:
            raise KeyboardInterrupt
        looks.append(arguments[1:])
        return await find(*arguments)

    async def no_pause(_: float) -> None:
        return

    monkeypatch.setattr(watch, "find_rows", find_twice)
    monkeypatch.setattr(asyncio, "sleep", no_pause)
    result = CliRunner().invoke(app, ["watch", "-n", "prod"])
    assert (result.exit_code, looks) == (0, [("", "prod")] * 2)
