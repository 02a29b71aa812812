"""A stage for the controller on a real API server: it runs as a process of its own, the other actors are played.

Played: the controllers of workloads (every rollout is done at once, except for images in `broken_images`),
Prometheus, and a webhook receiver.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientSession, web

from controller.api.crd import custom_resource_definitions
from controller.api.names import history_name
from controller.shell.kubernetes.access import find_access
from controller.shell.kubernetes.client import KubeClient
from controller.shell.kubernetes.errors import Conflict, NotFound
from controller.shell.kubernetes.kinds import (
    CANARY,
    CONFIG_MAP,
    DAEMON_SET,
    DEPLOYMENT,
    EVENT,
    VIRTUAL_SERVICE,
    WORKLOADS,
    Kind,
)
from sandbox.paths import Cache
from tests.builders import NAMESPACE, daemon_status, ready_status

PATIENCE_SECONDS = 60


@contextlib.asynccontextmanager
async def open_client(kubeconfig: Path) -> AsyncIterator[KubeClient]:
    access = find_access({"KUBECONFIG": str(kubeconfig)})
    async with access.open_session() as session:
        yield KubeClient(session, access.server, lambda verb, kind: None, field_manager="tests")


async def install_crds(kubeconfig: Path) -> None:
    """Our CRDs, and Istio's two from the chart the sandbox has built."""
    crds = [*custom_resource_definitions(), *istio_crds()]
    access = find_access({"KUBECONFIG": str(kubeconfig)})
    definitions = Kind("CustomResourceDefinition", "customresourcedefinitions", "apiextensions.k8s.io/v1")
    async with access.open_session() as session:
        for crd in crds:
            async with session.post(access.server + definitions.path(), json=crd) as response:
                assert response.status == 201, await response.text()
        for crd in crds:
            url = access.server + definitions.path(name=crd["metadata"]["name"])

            async def established(url: str = url) -> bool:
                async with session.get(url) as response:
                    conditions = ((await response.json()).get("status") or {}).get("conditions") or ()
                    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)

            await eventually(established)


def istio_crds() -> list[dict[str, Any]]:
    path = Cache.default().share / "charts" / "base" / "files" / "crd-all.gen.yaml"
    assert path.exists(), f"{path} is missing: run `python -m sandbox build` first"
    documents = path.read_text(encoding="utf-8").split("\n---\n")
    wanted = ("name: virtualservices.networking.istio.io", "name: destinationrules.networking.istio.io")
    return [yaml.safe_load(text) for text in documents if any(name in text for name in wanted)]


async def eventually(
    holds: Callable[[], Awaitable[Any]], what: Callable[[], str] = lambda: "", seconds: float = PATIENCE_SECONDS
) -> Any:
    """What ``holds`` returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (result := await holds()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what()}"
        await asyncio.sleep(0.05)
    return result


@dataclass
class FakePrometheus:
    """Answers every query with ``values`` by the first key that the query contains, else with 0."""

    values: dict[str, str] = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        query = str({**request.query, **await request.post()}["query"])
        self.queries.append(query)
        value = next(
            (value for part, value in self.values.items() if part in query), "1" if "vector(1)" in query else "0"
        )
        result = [] if value == "none" else [{"metric": {}, "value": [0, value]}]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})


@dataclass
class FakeHooks:
    """Takes every webhook; ``statuses`` and seconds of ``delays`` by path, 200 at once for others."""

    statuses: dict[str, int] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.calls.append((request.path, await request.json()))
        await asyncio.sleep(self.delays.get(request.path, 0))
        return web.Response(status=self.statuses.get(request.path, 200), text="as configured")


@contextlib.asynccontextmanager
async def listening(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Serve on loopback; yields the address."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _rests(workload: Mapping[str, Any]) -> bool:
    return "flagger.app/scale-to-zero" in workload["spec"]["template"]["spec"].get("nodeSelector", {})


@dataclass
class Stage:
    """One namespace, and what plays in it."""

    kube: KubeClient
    namespace: str
    kubeconfig: Path
    folder: Path
    prometheus: FakePrometheus
    prometheus_url: str
    hooks: FakeHooks
    hooks_url: str
    broken_images: set[str] = field(default_factory=set)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    runs: int = 0

    async def apply(self, *manifests: Mapping[str, Any]) -> None:
        """Create objects in the namespace of the stage."""
        for manifest in manifests:
            metadata = {**manifest["metadata"], "namespace": self.namespace}
            for served in ("uid", "resourceVersion", "generation"):
                metadata.pop(served, None)
            body = json.loads(
                json.dumps({**manifest, "metadata": metadata}).replace(f'"{NAMESPACE}"', f'"{self.namespace}"')
            )
            await self.kube.create({name: value for name, value in body.items() if name != "status"})

    async def create_any(self, kind: Kind, body: Mapping[str, Any], path: str = "") -> dict[str, Any]:
        """Create an object of a kind that the controller does not know, of the whole cluster without ``path``."""
        return await self.kube._send("POST", kind, path or kind.path(), verb="create", body=body)

    async def read(self, kind: Kind, name: str) -> dict[str, Any] | None:
        try:
            return dict(await self.kube.get(kind, self.namespace, name))
        except NotFound:
            return None

    async def delete(self, kind: Kind, name: str) -> None:
        """As ``kubectl delete``: whatever the object's version is, which a controller may change at any time."""
        await self.kube._send("DELETE", kind, kind.path(self.namespace, name), verb="delete")

    async def status(self, name: str = "backend") -> dict[str, Any]:
        return dict((await self.kube.get(CANARY, self.namespace, name)).get("status") or {})

    async def wait_for_phase(self, *phases: str, name: str = "backend") -> dict[str, Any]:
        """The status once the Canary is in one of the phases."""
        seen: dict[str, Any] = {}

        async def there() -> bool:
            seen.clear()
            seen.update(await self.status(name))
            return seen.get("phase") in phases

        await eventually(there, lambda: f"{phases}, but {seen}\n{self.log()[-4000:]}")
        return seen

    async def weights(self, name: str = "backend") -> list[int]:
        """Primary's and canary's weight in the VirtualService."""
        service = await self.kube.get(VIRTUAL_SERVICE, self.namespace, name)
        return [route.get("weight", 0) for route in service["spec"]["http"][0]["route"]]

    async def wait_for_message(self, part: str, name: str = "backend") -> str:
        """``status.message`` once it contains ``part``."""

        async def there() -> str:
            message = str((await self.status(name)).get("message", ""))
            return message if part in message else ""

        return str(await eventually(there, lambda: f"{part!r} in status.message\n{self.log()[-4000:]}"))

    async def wait_for_scale(self, replicas: int, name: str = "backend") -> None:
        """A Deployment has been scaled, and its status has followed."""

        async def there() -> bool:
            deployment = await self.kube.get(DEPLOYMENT, self.namespace, name)
            ready = (deployment.get("status") or {}).get("readyReplicas", 0)
            return bool(deployment["spec"]["replicas"] == replicas == ready)

        await eventually(there, lambda: f"{replicas} replicas of {name}\n{self.log()[-4000:]}")

    async def wait_for_rest(self, name: str = "backend") -> None:
        """A DaemonSet selects no node any more, and its status has followed."""

        async def there() -> bool:
            live = await self.kube.get(DAEMON_SET, self.namespace, name)
            return _rests(live) and not (live.get("status") or {}).get("desiredNumberScheduled", 0)

        await eventually(there, lambda: f"{name} at rest\n{self.log()[-4000:]}")

    async def wait_for_record(self, name: str = "backend") -> None:
        """The history of a Canary has been written, which comes seconds after the end of a rollout."""

        async def there() -> bool:
            return await self.read(CONFIG_MAP, history_name(name)) is not None

        await eventually(there, lambda: f"history of {name}\n{self.log()[-4000:]}")

    async def set_image(self, image: str, name: str = "backend", kind: Kind = DEPLOYMENT) -> None:
        template = {"spec": {"containers": [{"name": name, "image": image}]}}
        await self.kube.patch(kind, self.namespace, name, {"spec": {"template": template}})

    async def events(self, name: str = "backend") -> list[str]:
        listing = await self.kube.list(EVENT, self.namespace)
        mine = [item for item in listing.items if item["involvedObject"]["name"] == name]
        return [item["message"] for item in sorted(mine, key=lambda item: item["metadata"]["creationTimestamp"])]

    async def wait_for_event(self, part: str, name: str = "backend") -> None:
        """An event with that text: events are sent in the background, after the status that they are about."""

        async def there() -> bool:
            return any(part in message for message in await self.events(name))

        await eventually(there, lambda: f"an event of {name}: {part}\n{self.log()[-4000:]}")

    async def play_workloads(self) -> None:
        """The controllers of Deployments and DaemonSets, until it is over."""
        while not self.over.is_set():
            with contextlib.suppress(Conflict, NotFound):
                for kind in WORKLOADS:
                    for workload in (await self.kube.list(kind, self.namespace)).items:
                        await self._finish_rollout(workload)
            await asyncio.sleep(0.05)

    async def _finish_rollout(self, workload: Mapping[str, Any]) -> None:
        generation, replicas = workload["metadata"]["generation"], workload["spec"].get("replicas", 1)
        image = workload["spec"]["template"]["spec"]["containers"][0]["image"]
        status = {**ready_status(replicas, generation), "readyReplicas": replicas}
        if workload["kind"] == DAEMON_SET.name:
            status = daemon_status(ready_status(0 if _rests(workload) else 1, generation))
        if image in self.broken_images and replicas:
            condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": ""}
            status |= {
                "availableReplicas": 0,
                "readyReplicas": 0,
                "unavailableReplicas": replicas,
                "conditions": [condition],
            }
        seen = workload.get("status", {})
        if any(seen.get(name, 0) != value for name, value in status.items() if name != "conditions"):
            await self.kube.replace_status({**workload, "status": status})

    @contextlib.asynccontextmanager
    async def controller(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run the controller; it is killed without a warning if it still runs at the end."""
        self.runs += 1
        command = [str(Path(sys.executable).with_name("canary")), "run", f"--namespace={self.namespace}", "--port=0"]
        command += [f"--metrics-server={self.prometheus_url}", "--minimum-interval=1s", *arguments]
        with (self.folder / f"controller-{self.runs}.log").open("wb") as log:
            environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
            process = await asyncio.create_subprocess_exec(*command, stderr=log, stdout=log, env=environment)
            try:
                yield process
            finally:
                if process.returncode is None:
                    process.send_signal(signal.SIGKILL)
                await process.wait()

    def log(self) -> str:
        """All that the controller has logged in its last run."""
        return (self.folder / f"controller-{self.runs}.log").read_text(encoding="utf-8")

    async def metrics(self) -> dict[str, float]:
        """The controller's metrics: ``name{labels}`` to value."""
        started = next(message for message in self.messages() if "on port" in message)
        async with (
            ClientSession() as session,
            session.get(f"http://127.0.0.1:{started.split()[-1]}/metrics") as response,
        ):
            lines = [line for line in (await response.text()).splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    async def requests(self) -> float:
        """How many requests about single objects the controller has sent to the API."""
        metrics = await self.metrics()
        sent = {name: value for name, value in metrics.items() if name.startswith("canary_api_requests_total")}
        return sum(value for name, value in sent.items() if 'verb="list"' not in name and 'verb="watch"' not in name)

    def messages(self) -> list[str]:
        return [json.loads(line)["msg"] for line in self.log().splitlines() if line.startswith("{")]
