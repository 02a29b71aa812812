"""The whole process, kopf included, on an API server that misbehaves."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from controller.api.names import LEASE_NAME
from controller.shell import operator
from controller.shell.informer import lists
from controller.shell.informer.cache import Cache
from controller.shell.kubernetes import client
from controller.shell.kubernetes.access import Access
from controller.shell.kubernetes.errors import StoppedError
from controller.shell.kubernetes.kinds import CONFIGS, KINDS, LEASE, OPTIONAL, WATCHED, Kind
from controller.shell.reporting.events import EventRecorder
from controller.shell.settings import Settings
from tests.builders import canary_manifest, make_deployment
from tests.unit.shell.fakes import serving

LONG = 10.0


class ApiServer:
    """Serves discovery, the lists of ``objects``, and watches on which nothing happens.

    Attributes:
        watches: kinds in the order in which their watches were opened.
        refused: paths that were refused: outside the namespace, or lists of namespaces and CRDs.
        accepted: the ``Accept`` header of each kind's watch.
        watch_status: what a kind's watch is answered with, instead of a stream.
        namespace: the only one that may be read; empty: all.
        lease: the Lease of leader election; None while there is none.
        writes: method and path of what was written beside the Lease.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.watches: list[str] = []
        self.refused: list[str] = []
        self.accepted: dict[str, str] = {}
        self.watch_status: dict[str, int] = {}
        self.namespace = ""
        self.lease: dict[str, Any] | None = None
        self.writes: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self.unserved: dict[str, int] = {}
        self._by_plural = {kind.plural: kind for kind in (*WATCHED, *OPTIONAL, *CONFIGS)}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        kind = self._by_plural.get(request.path.rpartition("/")[2])
        if request.path.endswith(("/namespaces", "/customresourcedefinitions")):
            self.refused.append(request.path)
            return web.json_response({"kind": "Status"}, status=403)
        if kind is None:
            return web.json_response(_discovery(request.path))
        if kind.name in self.unserved:
            return web.json_response({"kind": "Status"}, status=self.unserved[kind.name])
        if f"/namespaces/{self.namespace}/" not in request.path and self.namespace:
            self.refused.append(request.path)
            return web.json_response({"kind": "Status"}, status=403)
        if "watch" in request.query:
            return await self._watch(request, kind)
        items = [manifest for manifest in self.objects.values() if manifest["kind"] == kind.name]
        return web.json_response({"kind": f"{kind.name}List", "metadata": {"resourceVersion": "9"}, "items": items})

    async def _take_write(self, request: web.Request) -> web.StreamResponse:
        self.writes.append(f"{request.method} {request.path}")
        return web.json_response(await request.json(), status=201)

    async def _answer_about_lease(self, request: web.Request) -> web.StreamResponse:
        if request.method in ("POST", "PUT"):
            sent = await request.json()
            if self.lease and sent["metadata"].get("resourceVersion") != self.lease["metadata"]["resourceVersion"]:
                return web.json_response({"kind": "Status"}, status=409)
            version = int(sent["metadata"].get("resourceVersion", 0)) + 1
            self.lease = {**sent, "metadata": {**sent["metadata"], "resourceVersion": str(version)}}
        return web.json_response(self.lease or {"kind": "Status"}, status=200 if self.lease else 404)

    def hold_lease(self, holder: str, seconds: int = 12) -> None:
        """Somebody writes a name into the Lease."""
        metadata = {"name": LEASE_NAME, "namespace": "kube-system", "resourceVersion": "100"}
        spec = {"holderIdentity": holder, "leaseDurationSeconds": seconds}
        self.lease = {"apiVersion": LEASE.api_version, "kind": "Lease", "metadata": metadata, "spec": spec}

    async def _watch(self, request: web.Request, kind: Kind) -> web.StreamResponse:
        self.watches.append(kind.name)
        self.accepted[kind.name] = request.headers["Accept"]
        if kind.name in self.watch_status:
            return web.json_response({"kind": "Status"}, status=self.watch_status[kind.name])
        response = web.StreamResponse()
        await response.prepare(request)
        ends = self._ends[kind.name] = asyncio.Event()
        await ends.wait()
        await response.write(json.dumps({"type": "ERROR", "object": {"code": 410}}).encode() + b"\n")
        return response

    def expire(self, kind: str) -> None:
        """End the kind's watch: its version is too old to go on from."""
        self._loop.call_soon_threadsafe(self._ends[kind].set)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve on loopback, in a thread: kopf waits at its end for every task of its own loop. Yields the address."""
        started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        thread = asyncio.create_task(asyncio.to_thread(asyncio.run, self._serve(started)))
        try:
            yield await started
        finally:
            self._loop.call_soon_threadsafe(self._over.set)
            await thread

    async def _serve(self, started: asyncio.Future[str]) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        application = web.Application()
        application.router.add_route("*", "/{group:.*}/leases{name:.*}", self._answer_about_lease)
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            application.router.add_route(method, "/{path:.*}", self._take_write)
        application.router.add_route("*", "/{path:.*}", self.answer)
        async with serving(application) as address:
            started.get_loop().call_soon_threadsafe(started.set_result, address)
            await self._over.wait()

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[asyncio.Task[None]]:
        """The controller on this API server."""
        namespaces = (self.namespace,) if self.namespace else ()
        async with self.serving() as address:
            task = asyncio.create_task(
                operator.operate(Access(address, None, _no_token), Settings(port=0, namespaces=namespaces, **options))
            )
            try:
                yield task
            finally:
                if not task.done():
                    signal.raise_signal(signal.SIGTERM)
                    await asyncio.wait_for(task, LONG)


async def _no_token(fresh: bool) -> str:
    return ""


def _discovery(path: str) -> dict[str, Any]:
    """``/api``, ``/apis``, and the kinds of one group version, as kopf reads them."""
    kinds = [kind for kind in KINDS.values() if kind.path().startswith(f"{path}/")]
    if path == "/api":
        return {"versions": ["v1"]}
    if path == "/apis":
        groups: dict[str, dict[str, Any]] = {}
        for kind in KINDS.values():
            if kind.group:
                version = {"groupVersion": kind.api_version, "version": kind.version}
                groups[kind.group] = {"name": kind.group, "preferredVersion": version, "versions": [version]}
        version = {"groupVersion": "apiextensions.k8s.io/v1", "version": "v1"}
        groups["crds"] = {"name": "apiextensions.k8s.io", "preferredVersion": version, "versions": [version]}
        return {"groups": list(groups.values())}
    named = [(kind.plural, kind.name) for kind in kinds]
    if path == "/apis/apiextensions.k8s.io/v1":
        named = [("customresourcedefinitions", "CustomResourceDefinition")]
    if path == "/api/v1":
        named.append(("namespaces", "Namespace"))
    verbs = ["get", "list", "watch", "patch"]
    return {
        "resources": [
            {"name": plural, "kind": name, "singularName": name.lower(), "namespaced": True, "verbs": verbs}
            for plural, name in named
        ]
    }


async def until(holds, seconds: float = 8.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 -- what it waits for is no event of ours
            await asyncio.sleep(0.02)


ALL = {kind.name for kind in (*WATCHED, *OPTIONAL, *CONFIGS)}


async def test_every_kind_is_watched_and_of_configs_the_metadata_alone():
    server = ApiServer()
    async with server.running():
        await until(lambda: set(server.watches) == ALL)
    metadata_only = {kind for kind, accept in server.accepted.items() if "as=PartialObjectMetadata;" in accept}
    assert metadata_only == {"ConfigMap", "Secret"}


@pytest.mark.parametrize("status", [404, 403])
async def test_without_keda_or_the_right_to_read_it_all_else_is_watched(status):
    server = ApiServer()
    server.unserved["ScaledObject"] = status
    async with server.running():
        await until(lambda: set(server.watches) == ALL - {"ScaledObject"})
    assert "ScaledObject" not in server.watches


async def test_with_namespaces_nothing_of_the_whole_cluster_is_read():
    server = ApiServer()
    server.namespace = "prod"
    async with server.running():
        await until(lambda: set(server.watches) == ALL)
    assert server.refused == []


async def test_a_watch_that_cannot_go_on_ends_the_process_with_a_log_line(tmp_path):
    server = ApiServer()
    server.watch_status["Canary"] = 404
    async with server.serving() as address:
        config = tmp_path / "config"
        config.write_text(yaml.safe_dump(kubeconfig(address)), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", RUN),
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "KUBECONFIG": str(config)},
        )
        try:
            _, log = await asyncio.wait_for(process.communicate(), 30)
        finally:
            if process.returncode is None:
                process.kill()
    assert process.returncode == 1
    assert "The controller stops: A watch failed, see the log." in log.decode().splitlines()[-1]


RUN = """
from controller.cli import app
from controller.shell import operator

operator.EXIT_SECONDS = 0.2
app(["run", "--port=0"])
"""


def kubeconfig(address: str) -> dict[str, Any]:
    return {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": address}}],
        "users": [{"name": "test", "user": {}}],
    }


async def test_a_controller_that_waits_for_its_crds_stops_at_once(caplog):
    server = ApiServer()
    server.namespace = "other"
    async with server.serving() as address:
        process = asyncio.create_task(operator.operate(Access(address, None, _no_token), Settings(port=0)))
        await until(lambda: "Waiting: canaries cannot be listed" in caplog.text)
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(process, 4)


async def test_a_silent_watch_is_opened_again(monkeypatch):
    assert client.SILENCE_SECONDS < 90
    monkeypatch.setattr(operator, "SILENCE_SECONDS", 0.2)
    server = ApiServer()
    async with server.running():
        await until(lambda: server.watches.count("Canary") > 2)


async def test_what_vanished_before_kopf_listed_again_is_removed_even_if_it_was_the_last(monkeypatch):
    monkeypatch.setattr(lists, "SETTLE_SECONDS", 0.05)
    caches: list[Cache] = []
    server = ApiServer()
    server.objects["backend"] = make_deployment()

    class NotedCache(Cache):
        def __init__(self, listener) -> None:
            super().__init__(listener)
            caches.append(self)

    monkeypatch.setattr(operator, "Cache", NotedCache)
    async with server.running():
        await until(lambda: set(server.watches) == ALL)
        assert caches[0].keys("Deployment") == [("Deployment", "prod", "backend")]
        server.objects.clear()
        server.expire("Deployment")
        await until(lambda: not caches[0].keys("Deployment"))


async def test_a_background_task_that_ends_ends_the_process(monkeypatch, caplog):
    watched = asyncio.Event()

    async def broken(self) -> None:
        await watched.wait()
        raise ZeroDivisionError("bug")

    monkeypatch.setattr(EventRecorder, "run", broken)
    server = ApiServer()
    async with server.running() as process:
        await until(lambda: set(server.watches) == ALL)
        watched.set()
        with pytest.raises(StoppedError, match="sending events ended: ZeroDivisionError"):
            await asyncio.wait_for(process, LONG)
    assert "sending events ended, so the controller stops" in caplog.text


async def metrics_of(caplog) -> tuple[float, int]:
    """``canary_leader``, and the status of /healthz."""
    port = caplog.text.partition("/metrics and /healthz on port ")[2].split()[0]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get("/metrics") as response:
            (line,) = (line for line in (await response.text()).splitlines() if line.startswith("canary_leader "))
        async with session.get("/healthz") as response:
            return float(line.split()[1]), response.status


async def test_one_that_stands_by_watches_and_writes_nothing_until_it_leads_and_gives_the_lease_back(caplog):
    caplog.set_level("INFO")
    server = ApiServer()
    server.objects["backend"] = canary_manifest()
    server.hold_lease("other")
    async with server.running(leader_election=True) as process:
        await until(lambda: set(server.watches) == ALL and "is held by other" in caplog.text)
        assert (await metrics_of(caplog), server.writes) == ((0, 200), [])
        server.hold_lease("")
        await until(lambda: bool(server.writes))
        assert await metrics_of(caplog) == (1, 200)
        assert server.lease is not None
        assert server.lease["spec"]["holderIdentity"]
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(process, LONG)
    assert "holderIdentity" not in server.lease["spec"]


async def test_a_controller_that_loses_the_lease_ends_and_leaves_it_to_the_other(caplog):
    caplog.set_level("INFO")
    server = ApiServer()
    async with server.running(leader_election=True) as process:
        await until(lambda: "Leading: " in caplog.text and set(server.watches) == ALL)
        server.hold_lease("other")
        with pytest.raises(StoppedError, match=r"holding the Lease ended: .* is held by other"):
            await asyncio.wait_for(process, LONG)
    assert server.lease is not None
    assert server.lease["spec"]["holderIdentity"] == "other"
