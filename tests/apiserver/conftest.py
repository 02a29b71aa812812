from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controller.shell.kubernetes.kinds import Kind
from sandbox.deploy.plugins import install
from sandbox.node.apiserver import ApiServer, api_server
from sandbox.paths import REPO, Cache
from tests.apiserver.stage import FakeHooks, FakePrometheus, Stage, install_crds, listening, open_client

NO_CLUSTER = """
current-context: none
clusters: [{name: none, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: me, user: {}}]
contexts: [{name: none, context: {cluster: none, user: me}}]
"""


@pytest.fixture(scope="session")
def istio_api_server() -> Iterator[ApiServer]:
    """An API server with our CRDs and Istio's."""
    with api_server() as server:
        asyncio.run(install_crds(server.kubeconfig))
        yield server


@pytest.fixture
async def stage(istio_api_server: ApiServer, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """An empty namespace named after the test, in which workloads become ready."""
    namespace = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:50].strip("-")
    prometheus, hooks = FakePrometheus(), FakeHooks()
    async with (
        open_client(istio_api_server.kubeconfig) as kube,
        listening(prometheus.answer) as prometheus_url,
        listening(hooks.answer) as hooks_url,
    ):
        await kube._send(
            "POST", NAMESPACES, "/api/v1/namespaces", verb="create", body={"metadata": {"name": namespace}}
        )
        stage = Stage(
            kube, namespace, istio_api_server.kubeconfig, tmp_path, prometheus, prometheus_url, hooks, hooks_url
        )
        playing = asyncio.create_task(stage.play_workloads())
        yield stage
        stage.over.set()
        await playing


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a project, where `pulumi` finds the sandbox's plugins and no cluster."""
    cache = Cache.default()
    assert (cache.plugins / "pulumi-resource-kubernetes").exists(), "not built yet: python -m sandbox build"
    install(tmp_path / "home", cache, Path(sys.executable))
    (tmp_path / "kubeconfig").write_text(NO_CLUSTER)
    for folder in ("backend", "project", "bin"):
        (tmp_path / folder).mkdir()
    for name, value in {
        "PATH": f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{cache.bin}:/usr/bin:/bin",
        "PYTHONPATH": str(REPO),
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


NAMESPACES = Kind("Namespace", "namespaces", "v1")
