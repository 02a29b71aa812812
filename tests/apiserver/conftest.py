from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controller.shell.kubernetes.kinds import Kind
from sandbox.node.apiserver import ApiServer, api_server
from tests.apiserver.stage import FakeHooks, FakePrometheus, Stage, install_crds, listening, open_client


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


NAMESPACES = Kind("Namespace", "namespaces", "v1")
