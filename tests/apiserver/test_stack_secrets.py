"""Secrets of a stack, with Pulumi's own engine and state: where they arrive, and where they do not."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.deploy.plugins import install
from sandbox.node.apiserver import ApiServer
from sandbox.paths import REPO, Cache

VALUE, OTHER = "https://chat.example/hunter2", "https://chat.example/correct-horse"
OFF = {"enabled": False}
STACK: dict[str, Any] = {
    # Objects alone: the API server runs no pods.
    "canary-on-istio:istio": OFF,
    "canary-on-istio:gateway": OFF,
    "canary-on-istio:crds": OFF,
    "canary-on-istio:controller": OFF,
    "canary-on-istio:loadTester": OFF,
    "canary-on-istio:observability": {"prometheus": OFF | {"url": "http://prometheus.example"}, "grafana": OFF},
    "canary-on-istio:namespace": {"create": False},
    "canary-on-istio:apps": {"frontend": None, "backend": None},
    "canary-on-istio:alerts": {"team": {"provider": {"type": "slack", "secretRef": {"name": "chat"}}}},
}


@dataclass
class Project:
    """A project of its own that leads to the repository's program, and all that was printed so far."""

    folder: Path
    kubeconfig: Path
    cache: Cache
    said: str = ""

    def prepare(self) -> None:
        project = yaml.safe_load((REPO / "Pulumi.yaml").read_text()) | {"main": str(REPO)}
        for name, content in (("Pulumi.yaml", project), ("Pulumi.test.yaml", {"config": STACK})):
            (self.folder / name).write_text(yaml.safe_dump(content))
        install(self.folder / "home", self.cache, Path(sys.executable))
        (self.folder / "state").mkdir()
        self.pulumi("stack", "init", "test")

    def pulumi(self, *arguments: str) -> str:
        search = [str(Path(sys.executable).parent), str(self.cache.bin), os.environ["PATH"]]
        environment = {
            "PATH": os.pathsep.join(search),
            "KUBECONFIG": str(self.kubeconfig),
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "passphrase",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        command = [str(self.cache.bin / "pulumi"), f"--cwd={self.folder}", "--non-interactive", *arguments]
        ended = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
        self.said += ended.stdout + ended.stderr
        assert ended.returncode == 0, f"pulumi {arguments[0]}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    def kubectl(self, *arguments: str) -> str:
        command = [str(self.cache.bin / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def secret(self) -> Any:
        return json.loads(self.kubectl("get", "secret", "chat", "--namespace=istio-system", "--output=json"))

    def set_address(self, value: str) -> None:
        self.pulumi("config", "set", "--secret", "--path", "canary-on-istio:secrets.chat.address", value)

    def kept(self) -> str:
        """Everything that Pulumi has printed, and written into its state and the stack's file."""
        files = [*(self.folder / "state").rglob("*"), self.folder / "Pulumi.test.yaml"]
        return self.said + "".join(each.read_text(errors="replace") for each in files if each.is_file())


@pytest.fixture
def project(istio_api_server: ApiServer, tmp_path: Path) -> Project:
    cache = Cache.default()
    assert (cache.plugins / "pulumi-resource-kubernetes").exists(), "not built yet: python -m sandbox build"
    project = Project(tmp_path, istio_api_server.kubeconfig, cache)
    if "namespace/istio-system" not in project.kubectl("get", "namespaces", "--output=name").split():
        project.kubectl("create", "namespace", "istio-system")
    project.prepare()
    return project


def test_a_secret_arrives_changes_in_place_and_is_plain_nowhere_on_its_way(project: Project) -> None:
    project.set_address(VALUE)
    project.pulumi("up", "--yes")
    first = project.secret()
    project.set_address(OTHER)
    project.pulumi("preview", "--diff")
    project.pulumi("up", "--yes", "--diff")
    second = project.secret()
    project.pulumi("preview", "--refresh", "--expect-no-changes")
    project.pulumi("stack", "export")

    found = [base64.b64decode(each["data"]["address"]).decode() for each in (first, second)]
    assert found == [VALUE, OTHER]
    assert first["metadata"]["uid"] == second["metadata"]["uid"]
    plain = [text for value in (VALUE, OTHER) for text in (value, base64.b64encode(value.encode()).decode())]
    assert [text for text in plain if text in project.kept()] == []


LOGIN = ("alice", "correct-staple")
CHART = {
    "Chart.yaml": "apiVersion: v2\nname: grafana\nversion: 1.0.0\n",
    "templates/map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: made-by-the-chart}\n",
}


@pytest.fixture
def chart_repository() -> Iterator[str]:
    """The address of a repository with one chart, which asks for `LOGIN`."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in CHART.items():
            entry = tarfile.TarInfo(f"grafana/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    versions = [{"apiVersion": "v2", "name": "grafana", "version": "1.0.0", "urls": ["grafana-1.0.0.tgz"]}]
    index = yaml.safe_dump({"apiVersion": "v1", "entries": {"grafana": versions}}).encode()
    files = {"/index.yaml": index, "/grafana-1.0.0.tgz": packed.getvalue()}
    expected = "Basic " + base64.b64encode(":".join(LOGIN).encode()).decode()

    class Repository(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_known = self.headers["Authorization"] == expected
            self.send_response((200 if self.path in files else 404) if is_known else 401)
            self.end_headers()
            self.wfile.write(files.get(self.path, b"") if is_known else b"")

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Repository)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_login_of_a_repository_gets_the_chart_and_is_plain_nowhere(project: Project, chart_repository: str) -> None:
    grafana = {"repository": chart_repository, "repositorySecret": "charts", "version": "1.0.0", "enabled": "true"}
    for key, value in grafana.items():
        project.pulumi("config", "set", "--path", f"canary-on-istio:observability.grafana.{key}", value)
    for key, value in zip(("username", "password"), LOGIN, strict=True):
        project.pulumi("config", "set", "--secret", "--path", f"canary-on-istio:secrets.charts.{key}", value)
    project.pulumi("up", "--yes", "--diff")
    project.kubectl("get", "configmap", "made-by-the-chart", "--namespace=istio-system")
    project.pulumi("preview", "--diff", "--expect-no-changes")
    project.pulumi("stack", "export")
    encoded = base64.b64encode(LOGIN[1].encode()).decode()
    assert [text for text in (LOGIN[1], encoded) if text in project.kept()] == []
    assert "secret/charts" not in project.kubectl("get", "secrets", "--all-namespaces", "--output=name").split()
